//! Who is connected to one stream, shared between its trackers so that nobody is met twice.
//!
//! Says of each member whether it may be met and each connection whether it is kept; it opens and
//! closes none. Driven by `signalling`, for each tracker, and by the actor.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bans::Bans;
use crate::ids::{PeerId, PeerKey};
use crate::tracker::message::OfferId;

/// Answers being made at the same time; further offers are left to others.
pub(super) const ANSWERS_MAX: usize = 16;

/// What both members know of how they met; the lower one wins when they met twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meeting {
    /// Who offered.
    pub offerer: PeerId,
    /// The offer.
    pub offer: OfferId,
}

/// Who is connected, shared between a stream's trackers so that nobody is met twice.
#[derive(Debug)]
pub struct Roster {
    inner: Mutex<Inner>,
    peers_max: usize,
    /// Who lied, here or in another stream.
    bans: Arc<Bans>,
    /// Whether company is looked for.
    is_seeking: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    peers: BTreeMap<PeerId, (PeerKey, Meeting)>,
    /// Members whose offers are being answered.
    answering: BTreeSet<PeerId>,
}

/// What to do with a connection that has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Keep it.
    Keep,
    /// Keep it, and close the older one to the same member.
    Replace(PeerKey),
    /// Close it.
    Refuse,
}

impl Roster {
    /// An empty roster for at most `peers_max` members.
    pub fn new(peers_max: usize, bans: Arc<Bans>) -> Self {
        Self { inner: Mutex::default(), peers_max, bans, is_seeking: AtomicBool::new(false) }
    }

    /// Decides about a connection that has opened. When two members met twice both keep the
    /// meeting that compares lower, so they agree without a word.
    pub fn admit(
        &self,
        key: PeerKey,
        peer: PeerId,
        remote: Option<SocketAddr>,
        meeting: Meeting,
    ) -> Admission {
        let is_banned = self.bans.has(peer, remote);
        let peers = &mut self.lock().peers;
        let admission = match peers.get(&peer) {
            _ if is_banned => Admission::Refuse,
            Some((older, known)) if meeting < *known => Admission::Replace(*older),
            Some(_) => Admission::Refuse,
            None if peers.len() >= self.peers_max => Admission::Refuse,
            None => Admission::Keep,
        };
        if admission != Admission::Refuse {
            peers.insert(peer, (key, meeting));
        }
        admission
    }

    /// A connection has closed.
    pub fn leave(&self, key: PeerKey) {
        self.lock().peers.retain(|_, (k, _)| *k != key);
    }

    /// Begins to answer a member's offer, unless it is known, or enough are being answered.
    pub(super) fn begin_answer(self: &Arc<Self>, peer: PeerId) -> Option<Answering> {
        let is_known = self.has(peer);
        let mut inner = self.lock();
        let is_full = inner.peers.len() >= self.peers_max || inner.answering.len() >= ANSWERS_MAX;
        let may_begin = !is_known && !is_full && inner.answering.insert(peer);
        may_begin.then(|| Answering { roster: self.clone(), peer })
    }

    /// Whether there is nothing to gain from meeting it: it is connected, or banned.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.bans.has_id(peer) || self.lock().peers.contains_key(&peer)
    }

    /// Whether more company is looked for than trackers bring by themselves.
    pub(super) fn seek(&self, is_seeking: bool) {
        self.is_seeking.store(is_seeking, Ordering::Relaxed);
    }

    pub(super) fn is_seeking(&self) -> bool {
        self.is_seeking.load(Ordering::Relaxed)
    }

    /// Connections that may still be added.
    pub(super) fn room(&self) -> usize {
        self.peers_max.saturating_sub(self.lock().peers.len())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An offer that is being answered.
pub(super) struct Answering {
    roster: Arc<Roster>,
    pub(super) peer: PeerId,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.roster.lock().answering.remove(&self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_at_most(peers_max: usize) -> Roster {
        Roster::new(peers_max, Arc::default())
    }

    fn meeting(offerer: u8, offer: u8) -> Meeting {
        Meeting { offerer: PeerId([offerer; 20]), offer: OfferId([offer; 20]) }
    }

    #[test]
    fn two_members_that_met_twice_keep_the_same_meeting_in_whatever_order_they_open() {
        let peer = PeerId([9; 20]);
        let (lower, higher) = (meeting(1, 7), meeting(2, 3));
        let roster = for_at_most(5);
        assert_eq!(roster.admit(PeerKey(1), peer, None, higher), Admission::Keep);
        assert_eq!(roster.admit(PeerKey(2), peer, None, lower), Admission::Replace(PeerKey(1)));
        let other = for_at_most(5);
        assert_eq!(other.admit(PeerKey(1), peer, None, lower), Admission::Keep);
        assert_eq!(other.admit(PeerKey(2), peer, None, higher), Admission::Refuse);
    }

    #[test]
    fn a_full_roster_refuses_and_a_member_that_left_makes_room() {
        let roster = for_at_most(1);
        assert_eq!(roster.admit(PeerKey(1), PeerId([1; 20]), None, meeting(1, 1)), Admission::Keep);
        assert_eq!(
            roster.admit(PeerKey(2), PeerId([2; 20]), None, meeting(2, 1)),
            Admission::Refuse
        );
        roster.leave(PeerKey(1));
        assert_eq!(roster.admit(PeerKey(3), PeerId([2; 20]), None, meeting(2, 2)), Admission::Keep);
    }

    #[test]
    fn offers_are_answered_once_for_each_member_and_only_so_many_at_a_time() {
        let roster = Arc::new(for_at_most(100));
        let turns: Vec<_> =
            (0..=255).filter_map(|n| roster.begin_answer(PeerId([n; 20]))).collect();
        assert_eq!(turns.len(), ANSWERS_MAX);
        drop(turns);
        let turn = roster.begin_answer(PeerId([1; 20]));
        assert!(turn.is_some() && roster.begin_answer(PeerId([1; 20])).is_none());
    }

    #[test]
    fn a_banned_member_is_not_met_again_whatever_it_calls_itself() {
        let bans = Arc::<Bans>::default();
        let (roster, elsewhere) = (Roster::new(2, bans.clone()), Roster::new(2, bans.clone()));
        let (liar, alias) = (PeerId([9; 20]), PeerId([8; 20]));
        let remote = Some(SocketAddr::from(([203, 0, 113, 7], 5000)));
        roster.admit(PeerKey(1), liar, remote, meeting(2, 1));
        bans.ban(liar, remote);
        roster.leave(PeerKey(1));
        for roster in [Arc::new(roster), Arc::new(elsewhere)] {
            assert!(roster.has(liar) && roster.begin_answer(liar).is_none(), "no offer answered");
            assert_eq!(roster.admit(PeerKey(2), liar, None, meeting(2, 2)), Admission::Refuse);
            assert!(roster.begin_answer(alias).is_some(), "not known yet");
            assert_eq!(roster.admit(PeerKey(3), alias, remote, meeting(2, 3)), Admission::Refuse);
        }
    }

    #[test]
    fn a_replaced_connection_that_closes_does_not_remove_its_successor() {
        let roster = for_at_most(2);
        let peer = PeerId([9; 20]);
        roster.admit(PeerKey(1), peer, None, meeting(2, 1));
        roster.admit(PeerKey(2), peer, None, meeting(1, 1));
        roster.leave(PeerKey(1));
        assert!(roster.has(peer));
    }
}

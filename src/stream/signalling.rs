//! Meeting peers through one tracker: makes offers, answers those of others, and hands over each
//! connection that opens.
//!
//! One task for each tracker of a stream. It decides nothing about segments; whether a connection
//! is kept when two members met twice is [`Roster`]'s rule, the same on both sides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::{PeerId, PeerKey};
use crate::rtc::{Connector, Link, Pending};
use crate::tracker::message::{Offer, OfferId};
use crate::tracker::session::{Membership, TrackerEvent};

/// Offers in one announce: what p2p-media-loader sends, and every tracker passes on.
const OFFERS_PER_ANNOUNCE: usize = 5;
/// An offer that nobody answered is withdrawn after this long.
const OFFER_LIFETIME: Duration = Duration::from_secs(50);
/// Banned members that are remembered, for each stream.
const BANNED_MAX: usize = 1024;
/// Answers being made at the same time; further offers are left to others.
const ANSWERS_MAX: usize = 16;

/// A connection whose data channel has opened.
pub struct Opened {
    /// The other member.
    pub peer: PeerId,
    /// The connection.
    pub link: Arc<dyn Link>,
    /// Which meeting it came from: who offered, and the offer.
    pub meeting: Meeting,
}

/// What both members know of how they met; the lower one wins when they met twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meeting {
    offerer: PeerId,
    offer: OfferId,
}

/// What a tracker said of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// So many members, this one included.
    Members(u32),
    /// It cannot be reached, or refuses us.
    Unreachable,
}

/// What the signalling of one stream works with.
#[derive(Clone)]
pub struct Context {
    /// Our own id.
    pub me: PeerId,
    /// Makes connections.
    pub connector: Arc<dyn Connector>,
    /// Who is connected.
    pub roster: Arc<Roster>,
    /// Where opened connections go. Bounded by the number of connections being opened.
    pub opened: mpsc::Sender<Opened>,
    /// Where reports go, with the tracker's number. When it is full a report waits.
    pub reports: mpsc::Sender<(usize, Report)>,
    /// Spawns tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends everything of the stream.
    pub cancel: CancellationToken,
}

/// Who is connected, shared between a stream's trackers so that nobody is met twice.
#[derive(Debug)]
pub struct Roster {
    inner: Mutex<Inner>,
    peers_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    peers: BTreeMap<PeerId, (PeerKey, Meeting)>,
    /// Members whose offers are being answered.
    answering: BTreeSet<PeerId>,
    /// Members that lied, oldest first.
    banned: VecDeque<PeerId>,
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
    pub fn new(peers_max: usize) -> Self {
        Self { inner: Mutex::default(), peers_max }
    }

    /// Decides about a connection that has opened. When two members met twice both keep the
    /// meeting that compares lower, so they agree without a word.
    pub fn admit(&self, key: PeerKey, peer: PeerId, meeting: Meeting) -> Admission {
        let Inner { peers, banned, .. } = &mut *self.lock();
        let admission = match peers.get(&peer) {
            _ if banned.contains(&peer) => Admission::Refuse,
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

    /// Never meet this member again, as long as the stream lasts.
    pub fn ban(&self, peer: PeerId) {
        let banned = &mut self.lock().banned;
        if banned.len() >= BANNED_MAX {
            banned.pop_front();
        }
        banned.push_back(peer);
    }

    /// Begins to answer a member's offer, unless it is known, or enough are being answered.
    fn begin_answer(self: &Arc<Self>, peer: PeerId) -> Option<Answering> {
        let mut inner = self.lock();
        let is_known = inner.peers.contains_key(&peer) || inner.banned.contains(&peer);
        let is_full = inner.peers.len() >= self.peers_max || inner.answering.len() >= ANSWERS_MAX;
        let may_begin = !is_known && !is_full && inner.answering.insert(peer);
        may_begin.then(|| Answering { roster: self.clone(), peer })
    }

    /// Whether there is nothing to gain from meeting it: it is connected, or banned.
    fn has(&self, peer: PeerId) -> bool {
        let inner = self.lock();
        inner.peers.contains_key(&peer) || inner.banned.contains(&peer)
    }

    /// Connections that may still be added.
    fn room(&self) -> usize {
        self.peers_max.saturating_sub(self.lock().peers.len())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An offer that is being answered.
struct Answering {
    roster: Arc<Roster>,
    peer: PeerId,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.roster.lock().answering.remove(&self.peer);
    }
}

/// The signalling with one tracker, until the stream ends.
pub async fn run(number: usize, mut membership: Membership, context: Context) {
    // Bounded: offers and answers wait here until the loop below passes them on.
    let (made, mut ready) = mpsc::channel::<Made>(ANSWERS_MAX);
    let mut offers = BTreeMap::<OfferId, oneshot::Sender<(PeerId, String)>>::new();
    loop {
        tokio::select! {
            () = context.cancel.cancelled() => return,
            Some(made) = ready.recv() => match made {
                Made::Offers(new) => {
                    offers.retain(|_, waiting| !waiting.is_closed());
                    let mut announced = Vec::new();
                    for (offer, waiting) in new {
                        offers.insert(offer.offer_id, waiting);
                        announced.push(offer);
                    }
                    membership.announce(announced);
                }
                Made::Answer { peer, offer, sdp } => membership.answer(peer, offer, sdp),
            },
            event = membership.recv() => {
                let report = match event {
                    None => return,
                    Some(TrackerEvent::OffersWanted) => {
                        context.tasks.spawn(make_offers(context.clone(), made.clone()));
                        continue;
                    }
                    Some(TrackerEvent::Offer { peer, offer_id, sdp }) => {
                        if peer != context.me
                            && let Some(turn) = context.roster.begin_answer(peer)
                        {
                            let (context, made) = (context.clone(), made.clone());
                            context.tasks.clone().spawn(answer(context, made, turn, offer_id, sdp));
                        }
                        continue;
                    }
                    Some(TrackerEvent::Answer { peer, offer_id, sdp }) => {
                        if let Some(waiting) = offers.remove(&offer_id) {
                            // The offer may have run out a moment ago.
                            let _ = waiting.send((peer, sdp));
                        }
                        continue;
                    }
                    Some(TrackerEvent::Announced { complete, incomplete }) => {
                        Report::Members(complete.saturating_add(incomplete))
                    }
                    Some(TrackerEvent::Failed { .. }) => Report::Unreachable,
                };
                if context.reports.send((number, report)).await.is_err() {
                    return;
                }
            }
        }
    }
}

enum Made {
    Offers(Vec<(Offer, oneshot::Sender<(PeerId, String)>)>),
    Answer { peer: PeerId, offer: OfferId, sdp: String },
}

/// Makes the offers of one announce; each then waits for its answer in a task of its own.
async fn make_offers(context: Context, made: mpsc::Sender<Made>) {
    let wanted = OFFERS_PER_ANNOUNCE.min(context.roster.room());
    let connector = context.connector.clone();
    let offers = futures_util::future::join_all((0..wanted).map(|_| connector.offer())).await;
    let mut announced = Vec::new();
    for offer in offers {
        let mut id = OfferId([0; 20]);
        let offer = match (offer, crate::ids::fill_random(&mut id.0)) {
            (Ok(offer), Ok(())) => offer,
            (Err(error), _) => {
                tracing::warn!(%error, "no offer could be made");
                continue;
            }
            (_, Err(_)) => continue,
        };
        id.0 = id.0.map(|byte| b'a' + byte % 26);
        let (waiting, answered) = oneshot::channel();
        announced.push((Offer { offer_id: id, sdp: offer.sdp }, waiting));
        context.tasks.spawn(await_answer(context.clone(), id, offer.pending, answered));
    }
    // The signalling may have ended meanwhile; then the offers end with it.
    let _ = made.send(Made::Offers(announced)).await;
}

async fn await_answer(
    context: Context,
    offer: OfferId,
    pending: Box<dyn Pending>,
    answered: oneshot::Receiver<(PeerId, String)>,
) {
    let outcome = context
        .cancel
        .run_until_cancelled(async {
            let (peer, sdp) = tokio::time::timeout(OFFER_LIFETIME, answered).await.ok()?.ok()?;
            if context.roster.has(peer) {
                return None;
            }
            pending.accept(&sdp).await.ok()?;
            Some((peer, pending.opened().await.ok()?))
        })
        .await
        .flatten();
    let meeting = Meeting { offerer: context.me, offer };
    hand_over(&context, outcome, meeting, &*pending).await;
}

async fn answer(
    context: Context,
    made: mpsc::Sender<Made>,
    turn: Answering,
    offer: OfferId,
    sdp: String,
) {
    let peer = turn.peer;
    let Some(answer) = context.cancel.run_until_cancelled(context.connector.answer(&sdp)).await
    else {
        return;
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "an offer could not be answered");
            return;
        }
    };
    let pending = answer.pending;
    let outcome = context
        .cancel
        .run_until_cancelled(async {
            made.send(Made::Answer { peer, offer, sdp: answer.sdp }).await.ok()?;
            Some((peer, pending.opened().await.ok()?))
        })
        .await
        .flatten();
    hand_over(&context, outcome, Meeting { offerer: peer, offer }, &*pending).await;
}

async fn hand_over(
    context: &Context,
    outcome: Option<(PeerId, Arc<dyn Link>)>,
    meeting: Meeting,
    pending: &dyn Pending,
) {
    match outcome {
        Some((peer, link)) => {
            if context.opened.send(Opened { peer, link: link.clone(), meeting }).await.is_err() {
                link.close().await;
            }
        }
        None => pending.close().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(offerer: u8, offer: u8) -> Meeting {
        Meeting { offerer: PeerId([offerer; 20]), offer: OfferId([offer; 20]) }
    }

    #[test]
    fn two_members_that_met_twice_keep_the_same_meeting_in_whatever_order_they_open() {
        let peer = PeerId([9; 20]);
        let (lower, higher) = (meeting(1, 7), meeting(2, 3));
        let roster = Roster::new(5);
        assert_eq!(roster.admit(PeerKey(1), peer, higher), Admission::Keep);
        assert_eq!(roster.admit(PeerKey(2), peer, lower), Admission::Replace(PeerKey(1)));
        let other = Roster::new(5);
        assert_eq!(other.admit(PeerKey(1), peer, lower), Admission::Keep);
        assert_eq!(other.admit(PeerKey(2), peer, higher), Admission::Refuse);
    }

    #[test]
    fn a_full_roster_refuses_and_a_member_that_left_makes_room() {
        let roster = Roster::new(1);
        assert_eq!(roster.admit(PeerKey(1), PeerId([1; 20]), meeting(1, 1)), Admission::Keep);
        assert_eq!(roster.admit(PeerKey(2), PeerId([2; 20]), meeting(2, 1)), Admission::Refuse);
        roster.leave(PeerKey(1));
        assert_eq!(roster.admit(PeerKey(3), PeerId([2; 20]), meeting(2, 2)), Admission::Keep);
    }

    #[test]
    fn offers_are_answered_once_for_each_member_and_only_so_many_at_a_time() {
        let roster = Arc::new(Roster::new(100));
        let turns: Vec<_> =
            (0..=255).filter_map(|n| roster.begin_answer(PeerId([n; 20]))).collect();
        assert_eq!(turns.len(), ANSWERS_MAX);
        drop(turns);
        let turn = roster.begin_answer(PeerId([1; 20]));
        assert!(turn.is_some() && roster.begin_answer(PeerId([1; 20])).is_none());
    }

    #[test]
    fn a_banned_member_is_not_met_again() {
        let roster = Roster::new(2);
        let liar = PeerId([9; 20]);
        roster.admit(PeerKey(1), liar, meeting(2, 1));
        roster.ban(liar);
        roster.leave(PeerKey(1));
        assert!(roster.has(liar), "its offers are not answered");
        assert_eq!(roster.admit(PeerKey(2), liar, meeting(2, 2)), Admission::Refuse);
        (0..BANNED_MAX).for_each(|n| roster.ban(PeerId([(n % 7) as u8; 20])));
        assert!(!roster.has(liar), "the list is bounded");
    }

    #[test]
    fn a_replaced_connection_that_closes_does_not_remove_its_successor() {
        let roster = Roster::new(2);
        let peer = PeerId([9; 20]);
        roster.admit(PeerKey(1), peer, meeting(2, 1));
        roster.admit(PeerKey(2), peer, meeting(1, 1));
        roster.leave(PeerKey(1));
        assert!(roster.has(peer));
    }
}

//! What the built-in tracker decides: who is a member, whose offer goes to whom.
//!
//! PURE: connections are numbers, time and randomness are inputs, and messages to deliver are
//! return values. Driven by [`super::server`], which owns the sockets. It keeps no offers: an
//! answer goes to whoever it names, and a client knows its own offers.

use super::message::{AnnounceEvent, ClientMessage, Counts, Offer, ServerMessage};
use crate::ids::{InfoHash, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One client's connection, as the server counts them.
pub type Connection = u64;

/// How much the tracker keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most swarms.
    pub swarms_max: usize,
    /// Most members of one swarm.
    pub members_max: usize,
    /// Most swarms one connection may be a member of.
    pub hashes_per_connection_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { swarms_max: 10_000, members_max: 10_000, hashes_per_connection_max: 256 }
    }
}

/// All swarms of the tracker.
pub struct Relay {
    limits: Limits,
    interval: Duration,
    random: u64,
    swarms: BTreeMap<InfoHash, BTreeMap<PeerId, Member>>,
    /// Which member each connection is in each swarm: one at most.
    connections: BTreeMap<Connection, BTreeMap<InfoHash, PeerId>>,
}

struct Member {
    connection: Connection,
    is_seed: bool,
    announced: Instant,
}

impl Relay {
    /// A tracker without members that asks for an announce every `interval`; `seed` decides whom
    /// offers go to.
    pub fn new(limits: Limits, interval: Duration, seed: u64) -> Self {
        let (swarms, connections) = (BTreeMap::new(), BTreeMap::new());
        Self { limits, interval, random: seed, swarms, connections }
    }

    /// Takes one message in and says what to deliver to which connection.
    pub fn handle(
        &mut self,
        now: Instant,
        from: Connection,
        message: ClientMessage,
    ) -> Vec<(Connection, ServerMessage)> {
        match message {
            ClientMessage::Announce { hash, event: Some(AnnounceEvent::Stopped), .. } => {
                self.leave(from, hash);
                vec![(from, self.announced(hash))]
            }
            ClientMessage::Announce { hash, peer, is_seed, wanted, offers, .. } => {
                let member = Member { connection: from, is_seed, announced: now };
                if let Err(reason) = self.join(hash, peer, member) {
                    return vec![(from, refusal(hash, reason))];
                }
                let mut deliveries = vec![(from, self.announced(hash))];
                deliveries.extend(self.hand_out(hash, peer, wanted, offers));
                deliveries
            }
            ClientMessage::Answer { hash, peer, to, answer, .. } => {
                let membership = self.connections.get(&from).and_then(|own| own.get(&hash));
                if membership != Some(&peer) {
                    let text = "an answer without an announce before it".to_owned();
                    return vec![(from, ServerMessage::Warning { text })];
                }
                let receiver = self.swarms.get(&hash).and_then(|members| members.get(&to));
                let deliver = |member: &Member| {
                    (member.connection, ServerMessage::Answer { hash, peer, offer: answer })
                };
                receiver.map(deliver).into_iter().collect()
            }
            ClientMessage::Scrape { hashes } => {
                let files = hashes.into_iter().map(|hash| (hash, self.counts(hash))).collect();
                vec![(from, ServerMessage::Scraped { files })]
            }
        }
    }

    /// Forgets what came over a connection that is gone.
    pub fn disconnect(&mut self, gone: Connection) {
        for hash in self.connections.remove(&gone).unwrap_or_default().into_keys() {
            self.retain(hash, |member| member.connection != gone);
        }
    }

    /// Forgets members that missed two announces.
    pub fn expire(&mut self, now: Instant) {
        let age_max = self.interval * 2;
        let is_fresh = |member: &Member| now.saturating_duration_since(member.announced) <= age_max;
        let hashes: Vec<InfoHash> = self.swarms.keys().copied().collect();
        hashes.into_iter().for_each(|hash| self.retain(hash, is_fresh));
        let swarms = &self.swarms;
        self.connections.retain(|connection, own| {
            own.retain(|hash, peer| {
                let member = swarms.get(hash).and_then(|members| members.get(peer));
                member.is_some_and(|member| member.connection == *connection)
            });
            !own.is_empty()
        });
    }

    /// Number of swarms and of members in all of them.
    pub fn totals(&self) -> (usize, usize) {
        (self.swarms.len(), self.swarms.values().map(BTreeMap::len).sum())
    }

    fn join(&mut self, hash: InfoHash, peer: PeerId, member: Member) -> Result<(), &'static str> {
        let connection = member.connection;
        let own = self.connections.get(&connection);
        let former = own.and_then(|own| own.get(&hash)).copied();
        let held = own.map_or(0, BTreeMap::len);
        if former.is_none() && held >= self.limits.hashes_per_connection_max {
            return Err("too many swarms on this connection");
        }
        if !self.swarms.contains_key(&hash) && self.swarms.len() >= self.limits.swarms_max {
            return Err("too many swarms");
        }
        if former.is_some_and(|former| former != peer) {
            self.leave(connection, hash);
        }
        let members = self.swarms.entry(hash).or_default();
        if !members.contains_key(&peer) && members.len() >= self.limits.members_max {
            return Err("swarm is full");
        }
        // A peer id seen on another connection moves to this one: its owner reconnects before the
        // old connection is known to be dead far more often than anyone takes a stranger's id.
        if let Some(before) = members.insert(peer, member)
            && before.connection != connection
        {
            self.forget_membership(before.connection, hash);
        }
        self.connections.entry(connection).or_default().insert(hash, peer);
        Ok(())
    }

    fn leave(&mut self, connection: Connection, hash: InfoHash) {
        if self.forget_membership(connection, hash) {
            self.retain(hash, |member| member.connection != connection);
        }
    }

    fn forget_membership(&mut self, connection: Connection, hash: InfoHash) -> bool {
        let Some(own) = self.connections.get_mut(&connection) else { return false };
        let was_member = own.remove(&hash).is_some();
        if own.is_empty() {
            self.connections.remove(&connection);
        }
        was_member
    }

    fn retain(&mut self, hash: InfoHash, is_kept: impl Fn(&Member) -> bool) {
        if let Some(members) = self.swarms.get_mut(&hash) {
            members.retain(|_, member| is_kept(member));
            if members.is_empty() {
                self.swarms.remove(&hash);
            }
        }
    }

    fn counts(&self, hash: InfoHash) -> Counts {
        let members = self.swarms.get(&hash);
        let of = |is_seed: bool| {
            let count = members.map_or(0, |m| m.values().filter(|m| m.is_seed == is_seed).count());
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        Counts { complete: of(true), incomplete: of(false) }
    }

    fn announced(&self, hash: InfoHash) -> ServerMessage {
        let interval_s = u32::try_from(self.interval.as_secs()).unwrap_or(u32::MAX).max(1);
        let counts = self.counts(hash);
        ServerMessage::Announced { hash, interval_s: Some(interval_s), counts, tracker_id: None }
    }

    /// Each offer goes to a random other member, no two to the same.
    fn hand_out(
        &mut self,
        hash: InfoHash,
        peer: PeerId,
        wanted: usize,
        offers: Vec<Offer>,
    ) -> Vec<(Connection, ServerMessage)> {
        let members = self.swarms.get(&hash).into_iter().flatten();
        let mut others: Vec<Connection> =
            members.filter(|(id, _)| **id != peer).map(|(_, member)| member.connection).collect();
        let mut deliveries = Vec::new();
        for offer in offers.into_iter().take(wanted) {
            if others.is_empty() {
                break;
            }
            let receiver = others.swap_remove(self.next_below(others.len()));
            deliveries.push((receiver, ServerMessage::Offer { hash, peer, offer }));
        }
        deliveries
    }

    /// The next of a sequence of numbers that looks random (splitmix64).
    fn next_below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

fn refusal(hash: InfoHash, reason: &str) -> ServerMessage {
    ServerMessage::Failure { hash: Some(hash), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;

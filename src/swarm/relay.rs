//! What members of our own kind are told while a segment is still arriving: the chunks they can
//! have, and that it is coming at all, so that nobody fetches it who need not.
//!
//! Gathered for a moment each. Whole segments and fetches are announced by `have` to everybody.
//! Driven by `conduct`.

use std::time::{Duration, Instant};

use super::kin::{chunks, next_hop};
use super::peer::Peer;
use super::state::Swarm;
use super::wire::{CHUNK_BYTES, Message};
use super::{Output, Reason};
use crate::ids::{PeerKey, SegmentId};

/// How long new chunks of a segment are gathered before others are told.
const GATHER_CHUNKS: Duration = Duration::from_millis(200);
/// Others are told again when so much of the segment more is here: one part of that many.
const NEWS_PARTS: u64 = 16;
/// The same for what is counted on.
const GATHER_COMING: Duration = Duration::from_millis(100);

/// What was said, and when there may be something new to say.
#[derive(Debug, Default)]
pub(super) struct Told {
    coming: Vec<(u64, u64)>,
    look_at: Option<Instant>,
}

impl Told {
    /// What is counted on may be something else now.
    pub(super) fn changed(&mut self, now: Instant) {
        self.look_at.get_or_insert(now + GATHER_COMING);
    }
}

impl Swarm {
    /// Tells what there is to tell.
    pub(super) fn tell_kin(&mut self) {
        if self.config.upload {
            self.tell_chunks();
            self.tell_coming();
        }
    }

    /// When there will be something to tell.
    pub(super) fn tell_at(&self) -> Option<(Instant, Reason)> {
        if !self.config.upload {
            return None;
        }
        let chunks_at = self.transfers.values().filter_map(|transfer| {
            let (_, at) = transfer.told?;
            transfer.has_news().then(|| at + GATHER_CHUNKS)
        });
        chunks_at.chain(self.told.look_at).min().map(|at| (at, Reason::Announce))
    }

    /// A peer that has just connected is told everything at once.
    pub(super) fn tell_newcomer(&mut self, key: PeerKey) {
        if !self.config.upload || !self.peers.get(&key).is_some_and(|peer| peer.is_kin()) {
            return;
        }
        let holding: Vec<_> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| transfer.told.is_some())
            .filter_map(|(id, transfer)| transfer.holding(*id))
            .collect();
        holding.into_iter().for_each(|message| self.say(key, message));
        if !self.told.coming.is_empty() {
            self.say(key, Message::Coming { segments: self.told.coming.clone() });
        }
    }

    fn tell_chunks(&mut self) {
        let now = self.now;
        let mut messages = Vec::new();
        for (id, transfer) in &mut self.transfers {
            let at = transfer.told.map(|(_, at)| at + GATHER_CHUNKS);
            if transfer.has_news() && at.is_none_or(|at| at <= now) {
                transfer.told = Some((transfer.servable().len(), now));
                messages.extend(transfer.holding(*id).map(|message| (*id, message)));
            }
        }
        for (segment, message) in messages {
            self.say_to_kin(&message, |peer| !peer.holds(segment) && !peer.is_loading(segment));
        }
    }

    fn tell_coming(&mut self) {
        if self.told.look_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.told.look_at = None;
        let coming = self.coming();
        // What is not counted on any more need not be said: it has come, or is fetched in time.
        if coming.iter().any(|one| !self.told.coming.contains(one)) {
            self.told.coming = coming.clone();
            self.say_to_kin(&Message::Coming { segments: coming }, |_| true);
        }
    }

    /// The segments wanted that somebody has who is not too far away.
    fn coming(&self) -> Vec<(u64, u64)> {
        let is_other = |id: &SegmentId| {
            self.transfers.get(id).is_none_or(|t| !t.is_fetching() && t.told.is_none())
        };
        let mut wanted: Vec<_> = self.wanted();
        wanted.sort_unstable();
        let hops = |id: SegmentId| {
            let nearest = self.peers.values().filter_map(|peer| peer.distance(id)).min()?;
            Some((id.0, next_hop(nearest)?))
        };
        wanted.into_iter().filter(is_other).filter_map(hops).collect()
    }

    fn say_to_kin(&mut self, message: &Message, is_meant: impl Fn(&Peer) -> bool) {
        for (key, peer) in &self.peers {
            if peer.is_kin() && is_meant(peer) {
                self.outputs.push_back(Output::Say { peer: *key, message: message.clone() });
            }
        }
    }
}

impl super::transfer::Transfer {
    /// Whether there is much more to pass on than others were told of.
    fn has_news(&self) -> bool {
        let Some(total) = self.total else { return false };
        let (told, here) = (self.told.map_or(0, |(bytes, _)| bytes), self.servable().len());
        here >= (told + (total.bytes / NEWS_PARTS).max(CHUNK_BYTES)).min(total.bytes) && here > told
    }

    fn holding(&self, segment: SegmentId) -> Option<Message> {
        let total = self.total?.bytes;
        let chunks = chunks(self.servable(), total);
        Some(Message::Holding { segment: segment.0, total, chunks })
    }
}

//! The actor's dealings with peers: meeting them, hearing them, asking and serving them.
//!
//! Translates between the core's ids and those on the wire; whom to ask and serve is the core's
//! decision.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::actor::Actor;
use super::link::{LinkEvent, PeerLink};
use super::reports::{Reports, Source};
use super::roster::Admission;
use super::signalling::{self, OFFERS_PER_ANNOUNCE, Opened, Report};
use crate::ids::{PeerKey, SegmentId};
use crate::playlist::membership::Membership;
use crate::rtc::Connector;
use crate::swarm::wire::Message;
use crate::swarm::{DropReason, Input};
use crate::tracker::session::TrackerSession;

/// How often room is made for new company.
const ROOM_MADE_EVERY: Duration = Duration::from_secs(30);

impl Actor {
    pub(super) fn meet_peers(
        &mut self,
        joining: Option<Joining>,
        opened: &mpsc::Sender<Opened>,
        reports: &mpsc::Sender<(Source, Report)>,
    ) {
        let Some(Joining { connector, trackers, memberships, after }) = joining else {
            self.feed(Input::Alone);
            return;
        };
        if !after.is_zero() {
            self.feed(Input::Alone);
        }
        self.reports = Reports::expect(memberships.len(), trackers.len());
        for (tracker, session) in trackers.iter().enumerate() {
            for (swarm, membership) in memberships.iter().enumerate() {
                let context = signalling::Context {
                    me: self.parts.me,
                    source: Source { swarm, tracker },
                    wire: membership.wire,
                    connector: connector.clone(),
                    roster: self.roster.clone(),
                    opened: opened.clone(),
                    reports: reports.clone(),
                    tasks: self.parts.tasks.clone(),
                    cancel: self.cancel.clone(),
                };
                let (session, info_hash) = (session.clone(), membership.swarm.info_hash);
                self.parts.tasks.spawn(async move {
                    let waiting = tokio::time::sleep(after);
                    if context.cancel.run_until_cancelled(waiting).await.is_some() {
                        signalling::run(session.join(info_hash), context).await;
                    }
                });
            }
        }
    }

    pub(super) fn on_opened(&mut self, opened: Opened) {
        let key = PeerKey(self.next_peer);
        self.next_peer += 1;
        let remote = opened.link.remote();
        let admission = self.roster.admit(key, opened.peer, remote, opened.meeting);
        if let Admission::Replace(older) = admission {
            self.disconnect(older);
        }
        let is_near = opened.link.is_near();
        if self.parts.bans.doubts(opened.peer, remote) {
            // It is doubted for once only: what a stranger may do it may, too.
            let _ = self.verifier.trust.doubt(key);
        }
        let link = PeerLink::start(key, opened.peer, opened.wire, opened.link, &self.links);
        if admission == Admission::Refuse {
            self.verifier.trust.forget(key);
            link.close();
            return;
        }
        tracing::debug!(peer = %opened.peer, "a peer is connected");
        self.peers.insert(key, link);
        self.feed(Input::Connected { peer: key, id: opened.peer });
        if is_near {
            self.feed(Input::Near { peer: key });
        }
        // Behind the announcement of the segments that they are of.
        self.drain();
        self.say_hashes(key);
        self.look_for_proof();
    }

    pub(super) fn disconnect(&mut self, peer: PeerKey) {
        if let Some(link) = self.peers.remove(&peer) {
            link.close();
            self.forget(peer);
            self.feed(Input::Disconnected { peer });
        }
    }

    /// Says whether more company is looked for, and makes room for it.
    pub(super) fn keep_company(&mut self) {
        let lacks = self.swarm.lacks_company();
        self.roster.seek(lacks);
        let (now, room) = (Instant::now(), self.roster.room());
        if lacks && room < OFFERS_PER_ANNOUNCE && self.room_made_at + ROOM_MADE_EVERY <= now {
            self.room_made_at = now;
            self.feed(Input::Crowded(OFFERS_PER_ANNOUNCE - room));
        }
    }

    fn forget(&mut self, peer: PeerKey) {
        self.verifier.trust.forget(peer);
        self.passing.forget(peer);
    }

    /// The core has forgotten that peer; what it did is not forgotten, if it lied.
    pub(super) fn drop_peer(&mut self, peer: PeerKey, reason: DropReason) {
        tracing::debug!(peer = peer.0, %reason, "a peer is dropped");
        self.forget(peer);
        let Some(link) = self.peers.remove(&peer) else { return };
        match reason {
            DropReason::Polluted => {
                self.parts.bans.ban(link.id, link.remote());
                self.throw_away_all(peer);
            }
            DropReason::Protocol | DropReason::Overflow | DropReason::Flood => {
                self.parts.bans.ban_id(link.id);
            }
            DropReason::Strikes | DropReason::Crowded | DropReason::Far => {}
        }
        link.close();
    }

    /// What that peer did the core does not hear of: the core hears that it is gone.
    fn expel(&mut self, peer: PeerKey, reason: DropReason) {
        self.drop_peer(peer, reason);
        self.feed(Input::Disconnected { peer });
    }

    /// Somebody was banned, perhaps for what it sent of another stream: whoever that is here goes.
    pub(super) fn on_bans(&mut self) {
        let is_banned = |link: &PeerLink| self.parts.bans.has(link.id, link.remote());
        let liars: Vec<_> =
            self.peers.iter().filter(|(_, link)| is_banned(link)).map(|(key, _)| *key).collect();
        for peer in liars {
            self.disconnect(peer);
            self.throw_away_all(peer);
        }
    }

    /// What a liar sent is not worth a check: all of it that is not proved yet goes.
    fn throw_away_all(&mut self, peer: PeerKey) {
        for segment in self.arriving.suspects(peer) {
            self.give_up_on_peers(segment);
        }
    }

    pub(super) fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Heard(peer, message) => {
                // The one it replaced may still be speaking.
                let Some(wire) = self.peers.get(&peer).map(|link| link.wire) else { return };
                let translated = message.map_segments(|number| Some(wire.from_wire(number)?.0));
                if let Some(Message::Hash { segment, sha256, is_from_origin: true }) = translated {
                    self.on_claim(peer, SegmentId(segment), sha256);
                } else if let Some(blocks @ Message::Blocks { .. }) = translated {
                    self.on_blocks(peer, blocks);
                } else if let Some(message) = translated {
                    let is_head = matches!(message, Message::Data { .. } | Message::Part { .. });
                    self.feed(Input::Heard { peer, message });
                    if let Some(expected) = self.swarm.expecting(peer).filter(|_| is_head) {
                        let behind = expected.offset + expected.remaining;
                        let size = expected.total.unwrap_or(behind);
                        self.arriving.set_claimed(expected.segment, size);
                    }
                }
            }
            LinkEvent::Payload(peer, bytes) => self.on_payload(peer, bytes),
            LinkEvent::Broken(peer) => self.expel(peer, DropReason::Protocol),
            LinkEvent::Served { peer, request, is_complete } => {
                self.feed(Input::ServeEnded { peer, request, is_complete });
            }
            LinkEvent::Closed(peer) => {
                self.roster.leave(peer);
                self.disconnect(peer);
            }
        }
    }

    pub(super) fn on_payload(&mut self, peer: PeerKey, bytes: Bytes) {
        let len = bytes.len() as u64;
        let Some(expected) = self.swarm.expecting(peer) else {
            if self.peers.get(&peer).is_some_and(|link| link.is_too_much(len)) {
                self.expel(peer, DropReason::Overflow);
            }
            return;
        };
        self.meter.add(|c| &c.peer_bytes, len);
        if len <= expected.remaining {
            let buffer = self.arriving.buffer(expected.segment);
            let range = expected.offset..expected.offset + len;
            self.arriving.add_share(expected.segment, peer, range);
            if !buffer.put(expected.offset, bytes) {
                self.give_up_on_peers(expected.segment);
            }
        }
        self.feed(Input::Received { peer, len });
        self.pass_on(expected.segment);
    }

    pub(super) fn on_report(&mut self, source: Source, report: Report) {
        if let Some(input) = self.reports.note(source, report) {
            self.feed(input);
        }
    }

    pub(super) fn say(&mut self, peer: PeerKey, message: Message) {
        let Some(link) = self.peers.get(&peer) else { return };
        let wire = link.wire;
        let translated = message.map_segments(|segment| wire.to_wire(SegmentId(segment)));
        if let Some(message) = translated {
            link.say(&message);
        }
    }

    pub(super) fn serve(&mut self, peer: PeerKey, wanted: Wanted) {
        let Wanted { segment, request, from, end } = wanted;
        let bytes = self.bytes_for(segment, from, end);
        if end.is_some() {
            self.say_blocks(peer, segment);
        }
        let Some(link) = self.peers.get(&peer) else { return };
        // It named the segment by its number.
        let number = link.wire.to_wire(segment).unwrap_or_default();
        match bytes {
            Some((bytes, total)) => link.serve(number, request, bytes, end.map(|_| total)),
            None => {
                link.say(&Message::Absent { segment: number, request });
                self.feed(Input::ServeEnded { peer, request, is_complete: false });
            }
        }
    }

    /// Bytes of a segment that is held, or a part of one that is arriving; and the size of the
    /// whole.
    fn bytes_for(
        &mut self,
        segment: SegmentId,
        from: u64,
        end: Option<u64>,
    ) -> Option<(Bytes, u64)> {
        if let Some(held) = self.parts.cache.peek(self.profile.id, segment) {
            let total = held.bytes.len() as u64;
            let end = end.map_or(total, |end| end.min(total));
            let within = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            return (from < end).then(|| (held.bytes.slice(within(from)..within(end)), total));
        }
        // What is not proved yet could make liars of us.
        let total = self.swarm.size(segment).filter(|_| !self.profile.is_sealed)?;
        let range = from..end?.min(total);
        self.arriving
            .contains(segment)
            .then(|| self.arriving.buffer(segment))?
            .slice(range)
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| (bytes, total))
    }
}

/// How a stream meets peers.
pub struct Joining {
    /// Makes connections.
    pub connector: Arc<dyn Connector>,
    /// At which trackers.
    pub trackers: Vec<TrackerSession>,
    /// In which swarms.
    pub memberships: Vec<Membership>,
    /// After how long.
    pub after: Duration,
}

/// What a peer is sent.
pub(super) struct Wanted {
    /// The segment.
    pub(super) segment: SegmentId,
    /// The peer's number for it.
    pub(super) request: u64,
    /// First byte.
    pub(super) from: u64,
    /// First byte no longer wanted, where a part was asked for.
    pub(super) end: Option<u64>,
}

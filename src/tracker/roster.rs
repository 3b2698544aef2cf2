//! The swarms a tracker session is in: when each is to announce, and what is waiting to be sent.
//!
//! It has no clock, socket or task: [`super::session`] says what time it is, what arrived and that
//! the connection came or went, and sends what [`Roster::outgoing`] returns. Commands of members
//! wait here only while connected, so nothing stale is ever sent.

use super::message::{AnnounceEvent, ClientMessage, Counts, Offer, OfferId, ServerMessage};
use super::message::{MESSAGE_BYTES_MAX, OFFERS_MAX};
use crate::ids::{InfoHash, PeerId};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events waiting for one member. When full, an offer or answer is dropped, which costs one
/// connection that may come about later; a request for offers is repeated.
const EVENTS_MAX: usize = 64;

/// Answers of one member waiting to be sent. When full the oldest is dropped: its offer is the
/// next to expire.
const ANSWERS_MAX: usize = 64;

/// How long after an event found no room it is offered again.
const REPEAT: Duration = Duration::from_secs(1);

/// When more announces follow the first, in multiples of [`Rhythm::early`]: one of them is made by
/// everybody, the others by those who lack company.
const EXTRAS: [f64; 7] = [0.3, 0.6, 1.0, 1.5, 3.5, 6.5, 9.5];
const EXTRA_FOR_ALL: usize = 2;

/// What a tracker session tells a member of a swarm.
#[derive(Clone, PartialEq, Eq)]
pub enum TrackerEvent {
    /// An announce is due: call `announce` with fresh offers.
    OffersWanted {
        /// It is one more than usual, for those who still lack company: the others need not.
        if_lacking: bool,
    },
    /// The tracker responded; no proof that an announce was heard.
    Announced {
        /// Members that lack nothing.
        complete: u32,
        /// The others.
        incomplete: u32,
    },
    /// Another member would like to connect: answer it.
    Offer {
        /// Who.
        peer: PeerId,
        /// To be repeated in the answer.
        offer_id: OfferId,
        /// The offer's session description.
        sdp: String,
    },
    /// The answer to an offer of ours.
    Answer {
        /// Of whom.
        peer: PeerId,
        /// Which offer it answers.
        offer_id: OfferId,
        /// The answer's session description.
        sdp: String,
    },
    /// The connection is lost or the tracker refused: nobody will answer for now.
    Failed {
        /// What happened, fit for a log line.
        reason: String,
    },
}

impl fmt::Debug for TrackerEvent {
    /// Leaves out session descriptions: they hold addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffersWanted { if_lacking } => write!(f, "OffersWanted({if_lacking})"),
            Self::Announced { complete, incomplete } => {
                write!(f, "Announced({complete}, {incomplete})")
            }
            Self::Offer { peer, .. } => write!(f, "Offer({peer})"),
            Self::Answer { peer, .. } => write!(f, "Answer({peer})"),
            Self::Failed { reason } => write!(f, "Failed({reason:?})"),
        }
    }
}

/// How often to announce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// Extra announce this long after the first: many members join at the same time. Those who
    /// lack company announce more often in the first minutes, in proportion to this.
    pub early: Duration,
    /// Interval until the tracker names one.
    pub fallback: Duration,
    /// Shortest interval accepted.
    pub min: Duration,
    /// Longest interval accepted.
    pub max: Duration,
}

/// Tells a member from an earlier one of the same swarm.
pub(super) type Serial = u64;

pub(super) struct Roster {
    me: PeerId,
    rhythm: Rhythm,
    is_connected: bool,
    is_closed: bool,
    last_serial: Serial,
    members: BTreeMap<InfoHash, Member>,
    /// Swarms left, to be told to the tracker, with the tracker id to repeat.
    left: BTreeMap<InfoHash, Option<String>>,
}

struct Member {
    serial: Serial,
    events: mpsc::Sender<TrackerEvent>,
    offers: Option<Vec<Offer>>,
    answers: VecDeque<(PeerId, Offer)>,
    interval: Duration,
    tracker_id: Option<String>,
    is_started: bool,
    is_refused: bool,
    asked: Asked,
}

/// Which request for offers was the last on this connection.
#[derive(Clone, Copy)]
enum Asked {
    Never,
    /// The first was then, and so many more followed.
    Early(Instant, usize),
    Again(Instant),
    NoRoom(Instant),
}

impl Roster {
    pub(super) fn new(me: PeerId, rhythm: Rhythm) -> Self {
        let (members, left) = (BTreeMap::new(), BTreeMap::new());
        Self { me, rhythm, is_connected: false, is_closed: false, last_serial: 0, members, left }
    }

    /// Adds a member, who hears nothing at all after the end. One that was in the swarm before
    /// hears no more.
    pub(super) fn join(&mut self, hash: InfoHash) -> (Serial, mpsc::Receiver<TrackerEvent>) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        self.last_serial += 1;
        let former = self.members.remove(&hash);
        let member = Member {
            serial: self.last_serial,
            events: sender,
            offers: None,
            answers: VecDeque::new(),
            interval: self.rhythm.fallback,
            tracker_id: None,
            is_started: former.is_some_and(|former| former.is_started),
            is_refused: false,
            asked: Asked::Never,
        };
        if !self.is_closed {
            self.members.insert(hash, member);
        }
        (self.last_serial, events)
    }

    pub(super) fn leave(&mut self, hash: InfoHash, serial: Serial) {
        if self.member(hash, serial).is_none() {
            return;
        }
        if let Some(member) = self.members.remove(&hash).filter(|member| member.is_started) {
            self.left.insert(hash, member.tracker_id);
        }
    }

    pub(super) fn announce(&mut self, hash: InfoHash, serial: Serial, offers: Vec<Offer>) {
        let is_connected = self.is_connected;
        if let Some(member) = self.member(hash, serial).filter(|_| is_connected) {
            member.offers = Some(offers);
        }
    }

    pub(super) fn answer(&mut self, hash: InfoHash, serial: Serial, to: PeerId, answer: Offer) {
        let is_connected = self.is_connected;
        if let Some(member) = self.member(hash, serial).filter(|_| is_connected) {
            member.answers.push_back((to, answer));
            if member.answers.len() > ANSWERS_MAX {
                member.answers.pop_front();
            }
        }
    }

    /// The session is over: members hear no more.
    pub(super) fn close(&mut self) {
        (self.is_connected, self.is_closed) = (false, true);
        self.members.clear();
    }

    /// Whether anyone needs the tracker.
    pub(super) fn is_wanted(&self) -> bool {
        self.members.values().any(|member| !member.is_refused)
    }

    pub(super) fn connected(&mut self) {
        self.is_connected = true;
        self.left.clear();
        for member in self.members.values_mut() {
            member.is_started = false;
            member.asked = Asked::Never;
        }
    }

    /// The connection ended; with a reason that members must know, or by our own will.
    pub(super) fn disconnected(&mut self, reason: Option<&str>) {
        self.is_connected = false;
        self.left.clear();
        for member in self.members.values_mut() {
            (member.offers, member.is_started) = (None, false);
            member.answers.clear();
            if let Some(reason) = reason.filter(|_| !member.is_refused) {
                member.tell(TrackerEvent::Failed { reason: reason.to_owned() });
            }
        }
    }

    /// When [`Roster::ask`] is to be called next.
    pub(super) fn due(&self) -> Option<Instant> {
        let rhythm = self.rhythm;
        self.members.values().filter(|m| !m.is_refused).filter_map(|m| m.due(rhythm)).min()
    }

    /// Asks members whose announce is due for offers.
    pub(super) fn ask(&mut self, now: Instant) {
        let rhythm = self.rhythm;
        for member in self.members.values_mut().filter(|member| !member.is_refused) {
            if member.due(rhythm).is_some_and(|due| due > now) {
                continue;
            }
            let if_lacking =
                matches!(member.asked, Asked::Early(_, count) if count != EXTRA_FOR_ALL);
            let is_heard = member.tell(TrackerEvent::OffersWanted { if_lacking });
            member.asked = match (is_heard, member.asked) {
                (false, _) => Asked::NoRoom(now),
                (true, Asked::Never) => Asked::Early(now, 0),
                (true, Asked::Early(first, count)) => member.after_extra(rhythm, first, count + 1),
                (true, _) => Asked::Again(now),
            };
        }
    }

    /// Takes everything waiting to be sent, departures first.
    pub(super) fn outgoing(&mut self) -> Vec<ClientMessage> {
        let me = self.me;
        let left = std::mem::take(&mut self.left);
        // Someone who came back before the departure was told has not departed.
        let gone = left.into_iter().filter(|(hash, _)| !self.members.contains_key(hash));
        let mut messages: Vec<ClientMessage> =
            gone.map(|(hash, tracker_id)| stopped(hash, me, tracker_id)).collect();
        for (&hash, member) in &mut self.members {
            let tracker_id = &member.tracker_id;
            if let Some(offers) = member.offers.take().filter(|_| !member.is_refused) {
                let event = (!member.is_started).then_some(AnnounceEvent::Started);
                member.is_started = true;
                messages.push(announce(hash, me, event, offers, tracker_id.clone()));
            }
            // A tracker refuses answers of someone who has not announced on this connection.
            if member.is_started {
                messages.extend(member.answers.drain(..).map(|(to, answer)| {
                    let tracker_id = tracker_id.clone();
                    ClientMessage::Answer { hash, peer: me, to, answer, tracker_id }
                }));
            }
        }
        messages
    }

    /// What to send before the connection is closed by us.
    pub(super) fn farewells(&mut self) -> Vec<ClientMessage> {
        let mut left = std::mem::take(&mut self.left);
        for (hash, member) in self.members.iter().filter(|(_, member)| member.is_started) {
            left.insert(*hash, member.tracker_id.clone());
        }
        left.into_iter().map(|(hash, tracker_id)| stopped(hash, self.me, tracker_id)).collect()
    }

    /// Takes in what the tracker said. Unknown swarms and echoes of our own are passed over.
    pub(super) fn received(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Announced { hash, interval_s, counts, tracker_id } => {
                let rhythm = self.rhythm;
                let Some(member) = self.members.get_mut(&hash) else { return };
                if let Some(seconds) = interval_s {
                    let told = Duration::from_secs(u64::from(seconds));
                    member.interval = told.clamp(rhythm.min, rhythm.max);
                }
                if tracker_id.is_some() {
                    member.tracker_id = tracker_id;
                }
                let Counts { complete, incomplete } = counts;
                member.tell(TrackerEvent::Announced { complete, incomplete });
            }
            ServerMessage::Offer { hash, peer, offer } if peer != self.me => {
                self.tell(
                    hash,
                    TrackerEvent::Offer { peer, offer_id: offer.offer_id, sdp: offer.sdp },
                );
            }
            ServerMessage::Answer { hash, peer, offer } if peer != self.me => {
                self.tell(
                    hash,
                    TrackerEvent::Answer { peer, offer_id: offer.offer_id, sdp: offer.sdp },
                );
            }
            ServerMessage::Failure { hash: Some(hash), reason } => {
                if let Some(member) = self.members.get_mut(&hash) {
                    (member.is_refused, member.is_started) = (true, false);
                    member.tell(TrackerEvent::Failed { reason });
                }
            }
            ServerMessage::Failure { hash: None, reason } => {
                for member in self.members.values_mut() {
                    member.tell(TrackerEvent::Failed { reason: reason.clone() });
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, hash: InfoHash, serial: Serial) -> Option<&mut Member> {
        self.members.get_mut(&hash).filter(|member| member.serial == serial)
    }

    fn tell(&self, hash: InfoHash, event: TrackerEvent) {
        if let Some(member) = self.members.get(&hash) {
            member.tell(event);
        }
    }
}

impl Member {
    fn tell(&self, event: TrackerEvent) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// When offers are wanted next; `None` is at once. Not postponed by the tracker's responses,
    /// which may concern something else than our announce.
    fn due(&self, rhythm: Rhythm) -> Option<Instant> {
        match self.asked {
            Asked::Never => None,
            Asked::Early(first, count) => Some(first + self.extra(rhythm, count)),
            Asked::Again(at) => Some(at + self.interval),
            Asked::NoRoom(at) => Some(at + REPEAT),
        }
    }

    /// When the extra announce of that number is due, counted from the first announce.
    fn extra(&self, rhythm: Rhythm, count: usize) -> Duration {
        let at = rhythm.early.mul_f64(EXTRAS.get(count).copied().unwrap_or(1.0));
        if count == EXTRA_FOR_ALL { at.min(self.interval) } else { at }
    }

    /// What follows an extra announce: the next, unless an ordinary one is due before.
    fn after_extra(&self, rhythm: Rhythm, first: Instant, next: usize) -> Asked {
        let for_all = self.extra(rhythm, EXTRA_FOR_ALL);
        let is_over = next > EXTRA_FOR_ALL
            && (next >= EXTRAS.len() || self.extra(rhythm, next) >= for_all + self.interval);
        if is_over { Asked::Again(first + for_all) } else { Asked::Early(first, next) }
    }
}

fn stopped(hash: InfoHash, peer: PeerId, tracker_id: Option<String>) -> ClientMessage {
    announce(hash, peer, Some(AnnounceEvent::Stopped), Vec::new(), tracker_id)
}

/// An announce with as many of the offers as a tracker accepts.
fn announce(
    hash: InfoHash,
    peer: PeerId,
    event: Option<AnnounceEvent>,
    offers: Vec<Offer>,
    tracker_id: Option<String>,
) -> ClientMessage {
    // Even if JSON escaped every character, the message would be within its limit.
    let mut bytes_left = (MESSAGE_BYTES_MAX - 4096) / 2;
    let fits = |offer: &Offer| {
        let rest = bytes_left.checked_sub(offer.sdp.len());
        bytes_left = rest.unwrap_or(0);
        rest.is_some()
    };
    let offers: Vec<Offer> = offers.into_iter().take(OFFERS_MAX).take_while(fits).collect();
    let wanted = offers.len();
    ClientMessage::Announce { hash, peer, event, is_seed: false, wanted, offers, tracker_id }
}

#[cfg(test)]
mod tests;

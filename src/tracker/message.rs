//! Messages of the WebTorrent tracker protocol, in both directions, as JSON text.
//!
//! Ids are byte strings that travel as one code point per byte. PURE: this file reads and writes
//! text and holds no state; session descriptions are opaque to it. Driven by the client
//! ([`super::session`]) and the server ([`super::server`]).

mod object;

use crate::ids::{InfoHash, PeerId};
use object::{Object, counts, description, offer_id, printable};
use serde_json::{Map, Value, json};

/// Longest message accepted or sent.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Longest session description accepted or relayed.
pub const SDP_BYTES_MAX: usize = 16 << 10;

/// Most offers in one announce: what the strictest tracker in use accepts.
pub const OFFERS_MAX: usize = 10;

/// Most info hashes answered in one scrape.
pub const SCRAPE_HASHES_MAX: usize = 64;

/// Longest reason or warning kept; it ends up in logs and statistics.
pub const REASON_CHARS_MAX: usize = 200;

/// Names an offer, so that its answer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferId(pub [u8; 20]);

/// An offer to whichever peer the tracker hands it to, or the answer to one.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The offer's name; an answer bears that of the offer it answers.
    pub offer_id: OfferId,
    /// The session description, complete with candidates.
    pub sdp: String,
}

/// Why an announce is made, when not for being due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceEvent {
    /// The first on this connection.
    Started,
    /// The peer has everything.
    Completed,
    /// The peer leaves.
    Stopped,
}

/// What a client says to a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// "I am a member", with offers for others.
    Announce {
        /// The swarm.
        hash: InfoHash,
        /// The sender.
        peer: PeerId,
        /// What happened.
        event: Option<AnnounceEvent>,
        /// Whether the sender says that it lacks nothing.
        is_seed: bool,
        /// How many peers it would like its offers to reach.
        wanted: usize,
        /// One for each peer to reach.
        offers: Vec<Offer>,
        /// What the tracker asked to have repeated.
        tracker_id: Option<String>,
    },
    /// The answer to an offer that the tracker relayed.
    Answer {
        /// The swarm.
        hash: InfoHash,
        /// The sender.
        peer: PeerId,
        /// Whose offer it was.
        to: PeerId,
        /// Which offer, and the answer's session description.
        answer: Offer,
        /// What the tracker asked to have repeated.
        tracker_id: Option<String>,
    },
    /// "How many members have these swarms?"
    Scrape {
        /// The swarms asked about.
        hashes: Vec<InfoHash>,
    },
}

/// How many members a swarm has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members that lack nothing.
    pub complete: u32,
    /// The others; with this protocol's usual clients, all.
    pub incomplete: u32,
}

/// What a tracker says to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// Response to an announce; some trackers respond to answers too.
    Announced {
        /// The swarm.
        hash: InfoHash,
        /// Seconds until the next announce is due, when the tracker says.
        interval_s: Option<u32>,
        /// The swarm's size.
        counts: Counts,
        /// To be repeated in later messages.
        tracker_id: Option<String>,
    },
    /// Another member's offer.
    Offer {
        /// The swarm.
        hash: InfoHash,
        /// Who offers.
        peer: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// Another member's answer to an offer.
    Answer {
        /// The swarm.
        hash: InfoHash,
        /// Who answers.
        peer: PeerId,
        /// What it answers, with the session description.
        offer: Offer,
    },
    /// A refusal.
    Failure {
        /// The swarm concerned, when the tracker says.
        hash: Option<InfoHash>,
        /// The tracker's words.
        reason: String,
    },
    /// A remark without consequences.
    Warning {
        /// The tracker's words.
        text: String,
    },
    /// Response to a scrape.
    Scraped {
        /// Each swarm known.
        files: Vec<(InfoHash, Counts)>,
    },
}

/// Why a message was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More than [`MESSAGE_BYTES_MAX`].
    #[error("tracker message of more than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// Not a JSON object.
    #[error("tracker message is not a JSON object")]
    NotJson,
    /// Nothing this protocol has.
    #[error("tracker message of an unknown kind")]
    UnknownKind,
    /// A field is missing, malformed or too long.
    #[error("tracker message without a usable {0}")]
    BadField(&'static str),
}

impl std::fmt::Debug for Offer {
    /// Leaves out the session description: it holds addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Offer({})", self.offer_id.0.map(|byte| format!("{byte:02x}")).concat())
    }
}

impl OfferId {
    fn to_latin1(self) -> String {
        self.0.iter().map(|&byte| char::from(byte)).collect()
    }
}

impl ClientMessage {
    /// Reads a client's message. Malformed offers are left out, and those above [`OFFERS_MAX`].
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        let fields = Object::read(text)?;
        match fields.text("action") {
            Some("announce") => {}
            Some("scrape") => return Ok(Self::Scrape { hashes: fields.scraped_hashes() }),
            _ => return Err(MessageError::UnknownKind),
        }
        let (hash, peer) = (fields.hash()?, fields.peer("peer_id")?);
        let tracker_id = fields.tracker_id("trackerid");
        if let Some(answer) = fields.0.get("answer") {
            let to = fields.peer("to_peer_id")?;
            let sdp = description(answer, "answer").ok_or(MessageError::BadField("answer"))?;
            let answer = Offer { offer_id: fields.offer_id()?, sdp };
            return Ok(Self::Answer { hash, peer, to, answer, tracker_id });
        }
        let event = match fields.text("event") {
            Some("started") => Some(AnnounceEvent::Started),
            Some("completed") => Some(AnnounceEvent::Completed),
            Some("stopped") => Some(AnnounceEvent::Stopped),
            _ => None,
        };
        let listed = fields.0.get("offers").and_then(Value::as_array);
        let offers: Vec<Offer> = listed
            .into_iter()
            .flatten()
            .filter_map(|item| {
                let offer_id = offer_id(item.get("offer_id")?)?;
                Some(Offer { offer_id, sdp: description(item.get("offer")?, "offer")? })
            })
            .take(OFFERS_MAX)
            .collect();
        let wanted = fields.count("numwant").map_or(offers.len(), |n| n as usize);
        let is_seed = fields.count("left") == Some(0) || event == Some(AnnounceEvent::Completed);
        Ok(Self::Announce { hash, peer, event, is_seed, wanted, offers, tracker_id })
    }

    /// The message as text.
    pub fn to_json(&self) -> String {
        match self {
            Self::Announce { hash, peer, event, is_seed, wanted, offers, tracker_id } => {
                let offers: Vec<Value> = offers.iter().map(offer_json).collect();
                let mut object = json!({
                    "action": "announce", "info_hash": hash.to_latin1(),
                    "peer_id": peer.to_latin1(), "numwant": wanted, "uploaded": 0,
                    "downloaded": 0, "offers": offers,
                });
                match event {
                    Some(AnnounceEvent::Started) => object["event"] = json!("started"),
                    Some(AnnounceEvent::Completed) => object["event"] = json!("completed"),
                    Some(AnnounceEvent::Stopped) => object["event"] = json!("stopped"),
                    None => {}
                }
                if *is_seed {
                    object["left"] = json!(0);
                }
                with_tracker_id(object, "trackerid", tracker_id)
            }
            Self::Answer { hash, peer, to, answer, tracker_id } => {
                let object = json!({
                    "action": "announce", "info_hash": hash.to_latin1(),
                    "peer_id": peer.to_latin1(), "to_peer_id": to.to_latin1(),
                    "answer": {"type": "answer", "sdp": answer.sdp},
                    "offer_id": answer.offer_id.to_latin1(),
                });
                with_tracker_id(object, "trackerid", tracker_id)
            }
            Self::Scrape { hashes } => {
                let hashes: Vec<String> = hashes.iter().map(|hash| hash.to_latin1()).collect();
                json!({"action": "scrape", "info_hash": hashes}).to_string()
            }
        }
    }
}

impl ServerMessage {
    /// Reads a tracker's message.
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        let fields = Object::read(text)?;
        if let Some(reason) = fields.text("failure reason") {
            return Ok(Self::Failure { hash: fields.hash().ok(), reason: printable(reason) });
        }
        for kind in ["offer", "answer"] {
            let Some(described) = fields.0.get(kind) else { continue };
            let sdp = description(described, kind).ok_or(MessageError::BadField("description"))?;
            let offer = Offer { offer_id: fields.offer_id()?, sdp };
            let (hash, peer) = (fields.hash()?, fields.peer("peer_id")?);
            return Ok(match kind {
                "offer" => Self::Offer { hash, peer, offer },
                _ => Self::Answer { hash, peer, offer },
            });
        }
        if fields.text("action") == Some("scrape") {
            return Ok(Self::Scraped { files: fields.files() });
        }
        let interval_s = fields.count("interval").or_else(|| fields.count("min interval"));
        let counts = counts(&fields.0);
        if interval_s.is_none() && fields.count("incomplete").is_none() {
            return match fields.text("warning message") {
                Some(text) => Ok(Self::Warning { text: printable(text) }),
                None => Err(MessageError::UnknownKind),
            };
        }
        let tracker_id = fields.tracker_id("tracker id");
        Ok(Self::Announced { hash: fields.hash()?, interval_s, counts, tracker_id })
    }

    /// The message as text.
    pub fn to_json(&self) -> String {
        let described = |kind: &str, hash: &InfoHash, peer: &PeerId, offer: &Offer| {
            json!({
                "action": "announce", "info_hash": hash.to_latin1(), "peer_id": peer.to_latin1(),
                "offer_id": offer.offer_id.to_latin1(), kind: {"type": kind, "sdp": offer.sdp},
            })
            .to_string()
        };
        match self {
            Self::Announced { hash, interval_s, counts, tracker_id } => {
                let mut object = json!({
                    "action": "announce", "info_hash": hash.to_latin1(),
                    "complete": counts.complete, "incomplete": counts.incomplete,
                });
                if let Some(seconds) = interval_s {
                    object["interval"] = json!(seconds);
                }
                with_tracker_id(object, "tracker id", tracker_id)
            }
            Self::Offer { hash, peer, offer } => described("offer", hash, peer, offer),
            Self::Answer { hash, peer, offer } => described("answer", hash, peer, offer),
            Self::Failure { hash, reason } => {
                let mut object = json!({"action": "announce", "failure reason": reason});
                if let Some(hash) = hash {
                    object["info_hash"] = json!(hash.to_latin1());
                }
                object.to_string()
            }
            Self::Warning { text } => json!({"warning message": text}).to_string(),
            Self::Scraped { files } => {
                let entry = |(hash, counts): &(InfoHash, Counts)| {
                    let Counts { complete, incomplete } = counts;
                    let value =
                        json!({"complete": complete, "incomplete": incomplete, "downloaded": 0});
                    (hash.to_latin1(), value)
                };
                let files: Map<String, Value> = files.iter().map(entry).collect();
                json!({"action": "scrape", "files": files}).to_string()
            }
        }
    }
}

fn offer_json(offer: &Offer) -> Value {
    json!({"offer_id": offer.offer_id.to_latin1(), "offer": {"type": "offer", "sdp": offer.sdp}})
}

fn with_tracker_id(mut object: Value, name: &str, id: &Option<String>) -> String {
    if let Some(id) = id {
        object[name] = json!(id);
    }
    object.to_string()
}

#[cfg(test)]
mod tests;

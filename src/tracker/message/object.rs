//! Reads single fields of a tracker message, and nothing that cannot be used.
//!
//! It knows the notation of ids, counts and session descriptions, not which message has which
//! field; [`super`] does.

use super::{Counts, MESSAGE_BYTES_MAX, MessageError, OfferId, REASON_CHARS_MAX};
use super::{SCRAPE_HASHES_MAX, SDP_BYTES_MAX};
use crate::ids::{InfoHash, PeerId};
use serde_json::{Map, Value};

/// Longest tracker id echoed.
const TRACKER_ID_BYTES_MAX: usize = 256;

/// A JSON object, with accessors that say what of it can be used.
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    pub(super) fn read(text: &str) -> Result<Self, MessageError> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong);
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(MessageError::NotJson),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.0.get(name).and_then(count)
    }

    pub(super) fn hash(&self) -> Result<InfoHash, MessageError> {
        let hash = self.text("info_hash").and_then(InfoHash::from_latin1);
        hash.ok_or(MessageError::BadField("info_hash"))
    }

    pub(super) fn peer(&self, name: &'static str) -> Result<PeerId, MessageError> {
        self.text(name).and_then(PeerId::from_latin1).ok_or(MessageError::BadField(name))
    }

    pub(super) fn offer_id(&self) -> Result<OfferId, MessageError> {
        self.0.get("offer_id").and_then(offer_id).ok_or(MessageError::BadField("offer_id"))
    }

    pub(super) fn tracker_id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| id.len() <= TRACKER_ID_BYTES_MAX).map(str::to_owned)
    }

    pub(super) fn scraped_hashes(&self) -> Vec<InfoHash> {
        let listed = match self.0.get("info_hash") {
            Some(Value::Array(items)) => items.as_slice(),
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        let hashes = listed.iter().filter_map(|item| InfoHash::from_latin1(item.as_str()?));
        hashes.take(SCRAPE_HASHES_MAX).collect()
    }

    pub(super) fn files(&self) -> Vec<(InfoHash, Counts)> {
        let files = self.0.get("files").and_then(Value::as_object);
        let entry = |(name, value): (&String, &Value)| {
            Some((InfoHash::from_latin1(name)?, counts(value.as_object()?)))
        };
        files.into_iter().flatten().filter_map(entry).take(SCRAPE_HASHES_MAX).collect()
    }
}

/// A whole number; trackers write some as fractions. Negative ones are none.
fn count(value: &Value) -> Option<u32> {
    value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u32)
}

pub(super) fn counts(fields: &Map<String, Value>) -> Counts {
    let number = |name: &str| fields.get(name).and_then(count).unwrap_or(0);
    Counts { complete: number("complete"), incomplete: number("incomplete") }
}

pub(super) fn offer_id(value: &Value) -> Option<OfferId> {
    // The same 20 code points as an info hash.
    InfoHash::from_latin1(value.as_str()?).map(|InfoHash(bytes)| OfferId(bytes))
}

pub(super) fn description(value: &Value, kind: &str) -> Option<String> {
    let sdp = value.get("sdp")?.as_str()?;
    (value.get("type")?.as_str()? == kind && sdp.len() <= SDP_BYTES_MAX).then(|| sdp.to_owned())
}

/// A stranger's words, fit for a log line.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).filter(|c| !c.is_control()).collect()
}

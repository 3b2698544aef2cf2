//! What a steering server says: JSON into a model, within limits.
//!
//! A manifest is a stranger's text. What has the wrong type, or too much of anything, is refused
//! whole: the one before stays in force. It applies nothing; `course` and `pathways` do.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::PATHWAYS_MAX;

/// Largest manifest that is read.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Most URIs, and most parameters, in one clone.
pub const ENTRIES_MAX: usize = 1024;
/// Longest name of a pathway, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// How long a manifest holds that does not say.
pub const TTL_DEFAULT: Duration = Duration::from_secs(300);
/// Shortest time between two requests for a manifest, whatever it says.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// Longest time for which a manifest is believed.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A manifest that was understood. Not printable, on purpose: its URIs and parameters are tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// How long until it is to be read again.
    pub ttl: Duration,
    /// Where the next one is, relative to this one; where this one was, if absent.
    pub reload: Option<String>,
    /// Pathways in order, the best first; not empty.
    pub priority: Vec<String>,
    /// Pathways to be made of others.
    pub clones: Vec<PathwayClone>,
}

/// A pathway made of another by changing its URLs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PathwayClone {
    /// The pathway that it is made of.
    pub base: String,
    /// What it is called.
    pub id: String,
    /// Host, with or without port, to put in place of the base's.
    pub host: Option<String>,
    /// Parameters to set in each URL's query.
    pub params: BTreeMap<String, String>,
    /// URLs by `STABLE-VARIANT-ID`.
    pub variants: BTreeMap<String, String>,
    /// URLs by `STABLE-RENDITION-ID`.
    pub renditions: BTreeMap<String, String>,
}

/// Why a manifest is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// More than [`MANIFEST_BYTES_MAX`].
    #[error("the steering manifest is larger than {} KiB", MANIFEST_BYTES_MAX >> 10)]
    TooLarge,
    /// Not JSON, or nested too deeply.
    #[error("the steering manifest is not a JSON object")]
    NotJson,
    /// A version nobody here knows.
    #[error("the steering manifest is of another version than 1")]
    Version,
    /// A field that is missing, of the wrong type or empty.
    #[error("the steering manifest's {0} makes no sense")]
    Field(&'static str),
    /// More than the limit of something.
    #[error("the steering manifest has too much in {0}")]
    TooMany(&'static str),
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(BadManifest::TooLarge);
        }
        let Ok(Value::Object(all)) = serde_json::from_slice(bytes) else {
            return Err(BadManifest::NotJson);
        };
        if all.get("VERSION").and_then(Value::as_f64) != Some(1.0) {
            return Err(BadManifest::Version);
        }
        let priority = list(&all, "PATHWAY-PRIORITY", |value| name(value, "PATHWAY-PRIORITY"))?;
        if priority.is_empty() {
            return Err(BadManifest::Field("PATHWAY-PRIORITY"));
        }
        Ok(Self {
            ttl: ttl(&all)?,
            reload: text(&all, "RELOAD-URI")?,
            priority,
            clones: list(&all, "PATHWAY-CLONES", PathwayClone::parse)?,
        })
    }
}

impl PathwayClone {
    fn parse(value: &Value) -> Result<Self, BadManifest> {
        let of = |object: &Map<String, Value>, key| {
            name(object.get(key).ok_or(BadManifest::Field(key))?, key)
        };
        let object = value.as_object().ok_or(BadManifest::Field("PATHWAY-CLONES"))?;
        let replacement = object.get("URI-REPLACEMENT").and_then(Value::as_object);
        let replacement = replacement.ok_or(BadManifest::Field("URI-REPLACEMENT"))?;
        Ok(Self {
            base: of(object, "BASE-ID")?,
            id: of(object, "ID")?,
            host: text(replacement, "HOST")?,
            params: entries(replacement, "PARAMS")?,
            variants: entries(replacement, "PER-VARIANT-URIS")?,
            renditions: entries(replacement, "PER-RENDITION-URIS")?,
        })
    }
}

/// The content of a `data:` URI; `None` for any other.
pub fn inline(uri: &str) -> Option<Vec<u8>> {
    let scheme = uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
    let (kind, data) = uri[scheme.len()..].split_once(',')?;
    let bytes = percent_decoded(data);
    if kind.to_ascii_lowercase().ends_with(";base64") {
        return STANDARD.decode(bytes).ok();
    }
    Some(bytes)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let pair = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let code = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match code.filter(|_| byte == b'%') {
            Some(code) => {
                bytes.push(code);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}

fn ttl(all: &Map<String, Value>) -> Result<Duration, BadManifest> {
    let Some(value) = all.get("TTL") else { return Ok(TTL_DEFAULT) };
    let seconds = value.as_f64().filter(|s| *s >= 0.0).ok_or(BadManifest::Field("TTL"))?;
    let ttl = Duration::from_secs_f64(seconds.min(TTL_MAX.as_secs_f64()));
    Ok(ttl.max(TTL_MIN))
}

fn name(value: &Value, field: &'static str) -> Result<String, BadManifest> {
    let name = value.as_str().filter(|name| !name.is_empty());
    let name = name.ok_or(BadManifest::Field(field))?;
    if name.len() > NAME_BYTES_MAX {
        return Err(BadManifest::TooMany(field));
    }
    Ok(name.to_owned())
}

fn text(object: &Map<String, Value>, key: &'static str) -> Result<Option<String>, BadManifest> {
    let Some(value) = object.get(key) else { return Ok(None) };
    Ok(Some(value.as_str().ok_or(BadManifest::Field(key))?.to_owned()))
}

fn list<T>(
    object: &Map<String, Value>,
    key: &'static str,
    read: impl Fn(&Value) -> Result<T, BadManifest>,
) -> Result<Vec<T>, BadManifest> {
    let Some(value) = object.get(key) else { return Ok(Vec::new()) };
    let values = value.as_array().ok_or(BadManifest::Field(key))?;
    if values.len() > PATHWAYS_MAX {
        return Err(BadManifest::TooMany(key));
    }
    values.iter().map(read).collect()
}

fn entries(
    object: &Map<String, Value>,
    key: &'static str,
) -> Result<BTreeMap<String, String>, BadManifest> {
    let Some(value) = object.get(key) else { return Ok(BTreeMap::new()) };
    let entries = value.as_object().ok_or(BadManifest::Field(key))?;
    if entries.len() > ENTRIES_MAX {
        return Err(BadManifest::TooMany(key));
    }
    let read = |(name, value): (&String, &Value)| {
        let value = value.as_str().ok_or(BadManifest::Field(key))?;
        Ok((name.clone(), value.to_owned()))
    };
    entries.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Option<BadManifest> {
        Manifest::parse(text.as_bytes()).err()
    }

    #[test]
    fn a_manifest_is_read() {
        let text = r#"{"VERSION":1,"TTL":10,"RELOAD-URI":"s?x=1","PATHWAY-PRIORITY":["B","A"],
            "PATHWAY-CLONES":[{"BASE-ID":"A","ID":"C","URI-REPLACEMENT":{"HOST":"c.test",
            "PARAMS":{"t":"1"},"PER-VARIANT-URIS":{"v":"https://v.test/"},
            "PER-RENDITION-URIS":{"r":"https://r.test/"}}}],"NEWS":[]}"#;
        let one = |a: &str, b: &str| BTreeMap::from([(a.to_owned(), b.to_owned())]);
        let clone = PathwayClone {
            base: "A".to_owned(),
            id: "C".to_owned(),
            host: Some("c.test".to_owned()),
            params: one("t", "1"),
            variants: one("v", "https://v.test/"),
            renditions: one("r", "https://r.test/"),
        };
        let manifest = Manifest::parse(text.as_bytes()).ok().unwrap();
        assert_eq!(manifest.ttl, Duration::from_secs(10));
        assert_eq!(manifest.reload.as_deref(), Some("s?x=1"));
        assert_eq!(manifest.priority, ["B", "A"]);
        assert!(manifest.clones == [clone]);
    }

    #[test]
    fn the_time_between_two_requests_has_bounds() {
        for (ttl, seconds) in
            [("", 300), (",\"TTL\":0", 1), (",\"TTL\":7", 7), (",\"TTL\":1e300", 24 * 3600)]
        {
            let text = format!(r#"{{"VERSION":1,"PATHWAY-PRIORITY":["A"]{ttl}}}"#);
            assert_eq!(Manifest::parse(text.as_bytes()).ok().unwrap().ttl.as_secs(), seconds);
        }
    }

    #[test]
    fn a_hostile_manifest_is_refused() {
        use BadManifest::*;
        let with = |rest: &str| format!(r#"{{"VERSION":1,"PATHWAY-PRIORITY":["A"],{rest}}}"#);
        let clone = |of: &str| with(&format!(r#""PATHWAY-CLONES":[{of}]"#));
        let replaced =
            |by: &str| clone(&format!(r#"{{"BASE-ID":"A","ID":"B","URI-REPLACEMENT":{by}}}"#));
        let many = format!("[{}\"A\"]", "\"A\",".repeat(PATHWAYS_MAX));
        for (text, why) in [
            (String::new(), NotJson),
            ("[]".to_owned(), NotJson),
            ("[".repeat(100_000), NotJson),
            (" ".repeat(10 << 20), TooLarge),
            (r#"{"PATHWAY-PRIORITY":["A"]}"#.to_owned(), Version),
            (r#"{"VERSION":2,"PATHWAY-PRIORITY":["A"]}"#.to_owned(), Version),
            (r#"{"VERSION":1}"#.to_owned(), Field("PATHWAY-PRIORITY")),
            (r#"{"VERSION":1,"PATHWAY-PRIORITY":"A"}"#.to_owned(), Field("PATHWAY-PRIORITY")),
            (r#"{"VERSION":1,"PATHWAY-PRIORITY":[1]}"#.to_owned(), Field("PATHWAY-PRIORITY")),
            (format!(r#"{{"VERSION":1,"PATHWAY-PRIORITY":{many}}}"#), TooMany("PATHWAY-PRIORITY")),
            (with(r#""TTL":"1""#), Field("TTL")),
            (with(r#""TTL":-1"#), Field("TTL")),
            (with(r#""RELOAD-URI":[]"#), Field("RELOAD-URI")),
            (clone("1"), Field("PATHWAY-CLONES")),
            (clone("{}"), Field("URI-REPLACEMENT")),
            (clone(r#"{"URI-REPLACEMENT":{}}"#), Field("BASE-ID")),
            (replaced("[]"), Field("URI-REPLACEMENT")),
            (replaced(r#"{"HOST":1}"#), Field("HOST")),
            (replaced(r#"{"PARAMS":{"a":1}}"#), Field("PARAMS")),
        ] {
            assert_eq!(refused(&text), Some(why), "{}", &text[..text.len().min(200)]);
        }
    }

    #[test]
    fn a_manifest_can_be_in_the_uri_itself() {
        assert_eq!(inline("data:,%7b%7D%").unwrap(), b"{}%");
        assert_eq!(inline("DATA:application/json;base64,e30=").unwrap(), b"{}");
        for uri in ["https://a.test/", "data:", "data:;base64,!", "é"] {
            assert_eq!(inline(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            text in "(\\{|\\}|\\[|\\]|,|:|\"VERSION\":1|\"TTL\":|\"A\"|\
                \"PATHWAY-PRIORITY\":|\"PATHWAY-CLONES\":|\"BASE-ID\":|\"ID\":|\
                \"URI-REPLACEMENT\":|-?[0-9e.]{1,9}){0,30}",
        ) {
            let _ = Manifest::parse(text.as_bytes());
            let _ = Manifest::parse(format!("{{\"VERSION\":1,{text}}}").as_bytes());
            let _ = inline(&format!("data:{text}"));
        }
    }
}

//! User name and password in front of a URL's host, as `/https/user:password@host/…`. PURE.
//!
//! They are taken off at once and sent as `Authorization`, so that nothing behind this (streams,
//! swarm ids, logs) ever sees them. Only the paths we give the same player carry them again.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use url::Url;

/// A user name and password, percent-encoded as in the URL. Not printable, on purpose.
#[derive(Clone)]
pub struct UserInfo {
    username: String,
    password: Option<String>,
    /// The URL they were for.
    place: Url,
}

impl UserInfo {
    /// Takes them off a URL.
    pub fn take(url: &mut Url) -> Option<Self> {
        let username = url.username().to_owned();
        let password = url.password().map(str::to_owned);
        if username.is_empty() && password.is_none() {
            return None;
        }
        // Refused only by URLs without a host, and those have neither.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Some(Self { username, password, place: url.clone() })
    }

    /// The `Authorization` header that says the same.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let mut pair = decoded(&self.username);
        pair.push(b':');
        pair.extend(decoded(self.password.as_deref().unwrap_or_default()));
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `url` as this player has to ask for it: with user name and password if they are for that
    /// place (the same origin, or the same host on its way from http to https).
    pub fn put_on(&self, url: &Url) -> Url {
        let mut with = url.clone();
        let (from, to) = (&self.place, url);
        let is_upgrade =
            (from.scheme(), to.scheme(), from.port(), to.port()) == ("http", "https", None, None);
        let is_same =
            from.origin() == to.origin() || (is_upgrade && from.host_str() == to.host_str());
        if is_same && to.username().is_empty() && to.password().is_none() {
            let _ = with.set_username(&self.username);
            let _ = with.set_password(self.password.as_deref());
        }
        with
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.filter(|hex| *first == b'%' && !hex.starts_with('+'));
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> (Option<UserInfo>, String) {
        let mut url: Url = text.parse().unwrap();
        (UserInfo::take(&mut url), url.into())
    }

    #[test]
    fn it_is_taken_off_and_becomes_a_header() {
        for (text, pair) in [
            ("https://me:secret@h.test/a", "me:secret"),
            ("https://me@h.test/a", "me:"),
            ("https://:secret@h.test/a", ":secret"),
            ("https://m%40e:a%3Ab%zz%+1%@h.test/a", "m@e:a:b%zz%+1%"),
            ("https://%C3%A9:%2F@h.test/a", "é:/"),
        ] {
            let (info, rest) = take(text);
            assert_eq!(rest, "https://h.test/a");
            let value = info.unwrap().authorization().unwrap();
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            assert_eq!(STANDARD.decode(encoded).unwrap(), pair.as_bytes(), "{text}");
            assert!(!format!("{value:?}").contains(encoded));
        }
        assert!(take("https://h.test/a").0.is_none());
    }

    #[test]
    fn it_comes_back_only_for_the_place_it_was_for() {
        for (from, to, expected) in [
            ("http://u:p@h.test/a", "http://h.test/b?c", "http://u:p@h.test/b?c"),
            ("http://u:p@h.test/a", "https://h.test/b", "https://u:p@h.test/b"),
            ("https://u:p@h.test/a", "http://h.test/b", "http://h.test/b"),
            ("http://u:p@h.test/a", "http://h.test:8080/b", "http://h.test:8080/b"),
            ("http://u:p@h.test/a", "http://other.test/b", "http://other.test/b"),
            ("http://u:p@h.test/a", "http://x@h.test/b", "http://x@h.test/b"),
        ] {
            let info = take(from).0.unwrap();
            assert_eq!(info.put_on(&to.parse().unwrap()).as_str(), expected);
        }
    }
}

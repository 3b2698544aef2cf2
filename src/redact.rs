//! URLs as they may be shown: in logs, statistics and the dashboard. PURE.
//!
//! Deliberately keeps names and drops values: which parameters a URL has helps to find a fault,
//! what is in them is somebody's token. Paths stay as they are.

use url::Url;

/// What stands in for a value.
const MASK: &str = "***";

/// Scheme, host, port, path and query with masked values; no user name, password or fragment.
pub fn url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_fragment(None);
    shown.set_query(None);
    // Only a URL without a host refuses these two, and that one has neither.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let mut text = String::from(shown);
    if let Some(query) = url.query() {
        text.push('?');
        text.push_str(&self::query(query));
    }
    text
}

/// A text that should be a URL, whether it is one or not.
pub fn text(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => self::url(&url),
        Err(_) => text.split(['?', '@']).next().unwrap_or_default().to_owned(),
    }
}

/// A query string with masked values; a parameter without `=` may itself be a token and is masked.
pub fn query(query: &str) -> String {
    let mask = |pair: &str| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    };
    query.split('&').map(mask).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_never_show() {
        for (from, expected) in [
            ("https://a.test/x.m3u8", "https://a.test/x.m3u8"),
            ("https://a.test/x?token=s3cret&q=1", "https://a.test/x?token=***&q=***"),
            ("https://a.test/x?token==s3cret=", "https://a.test/x?token=***"),
            ("https://a.test/x?s3cret", "https://a.test/x?***"),
            ("https://a.test/x?&a=s3cret&", "https://a.test/x?&a=***&"),
            ("https://a.test/x?", "https://a.test/x?"),
            ("https://me:s3cret@a.test:8443/x#s3cret", "https://a.test:8443/x"),
            ("https://s3cret@a.test/x", "https://a.test/x"),
            ("http://[::1]:80/a%20b", "http://[::1]/a%20b"),
            ("data:text/plain,x?a=s3cret", "data:text/plain,x?a=***"),
        ] {
            let shown = url(&from.parse().unwrap());
            assert_eq!(shown, expected);
            assert!(!shown.contains("s3cret"));
        }
    }
}

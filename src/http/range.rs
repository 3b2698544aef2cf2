//! The `Range` header of a player. PURE.
//!
//! A range that is malformed, of another unit, or in several parts is ignored, as HTTP allows:
//! the player gets everything.

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// Everything, or nothing that makes sense.
    Whole,
    /// From a byte on, up to and including another if one is given.
    From {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Last(u64),
}

/// What that means for bytes of known size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// All bytes, status 200.
    Whole,
    /// Some of them, status 206.
    Slice {
        /// First byte.
        start: u64,
        /// Last byte, itself included.
        end_incl: u64,
    },
    /// None, status 416.
    Unsatisfiable,
}

/// Reads a `Range` header.
pub fn parse(header: Option<&HeaderValue>) -> RangeSpec {
    header.and_then(|value| value.to_str().ok()).and_then(spec).unwrap_or(RangeSpec::Whole)
}

/// Whether an `If-Range` header lets the range count for bytes that came with these fields: a
/// strong tag or a date, the very one that the origin gave.
pub fn is_unchanged(condition: Option<&HeaderValue>, origin: &HeaderMap) -> bool {
    let Some(condition) = condition.map(|value| value.as_bytes().trim_ascii()) else { return true };
    let name = if condition.starts_with(b"\"") { ETAG } else { LAST_MODIFIED };
    origin.get(name).is_some_and(|known| known.as_bytes() == condition)
}

impl RangeSpec {
    /// Whether it asks for everything, be it as a range.
    pub fn is_from_start(self) -> bool {
        matches!(self, Self::Whole | Self::From { first: 0, last: None })
    }

    /// Applies the range to `size` bytes. While the size is unknown everything is given, since a
    /// partial answer has to name its end.
    pub fn resolve(self, size: Option<u64>) -> Resolved {
        let Some(size) = size.filter(|&size| size > 0) else { return Resolved::Whole };
        match self {
            Self::Whole => Resolved::Whole,
            Self::From { first, .. } if first >= size => Resolved::Unsatisfiable,
            Self::From { first, last } => {
                let end_incl = last.unwrap_or(u64::MAX).min(size - 1);
                Resolved::Slice { start: first, end_incl }
            }
            Self::Last(0) => Resolved::Unsatisfiable,
            Self::Last(n) => Resolved::Slice { start: size.saturating_sub(n), end_incl: size - 1 },
        }
    }
}

fn spec(text: &str) -> Option<RangeSpec> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(RangeSpec::Last(number(last)?)),
        (first, "") => Some(RangeSpec::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::From { first, last: Some(last) })
        }
    }
}

/// Digits only; what is too large for us is larger than any segment.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, size: u64) -> Resolved {
        parse(Some(&HeaderValue::from_str(text).unwrap())).resolve(Some(size))
    }

    fn slice(start: u64, end_incl: u64) -> Resolved {
        Resolved::Slice { start, end_incl }
    }

    #[test]
    fn ranges_resolve_against_a_known_size() {
        for (text, expected) in [
            ("bytes=0-", slice(0, 99)),
            ("bytes=0-0", slice(0, 0)),
            ("bytes=10-19", slice(10, 19)),
            ("bytes=10-1000", slice(10, 99)),
            ("bytes=99-", slice(99, 99)),
            ("bytes=-1", slice(99, 99)),
            ("bytes=-1000", slice(0, 99)),
            ("Bytes= 5 - 6 ", slice(5, 6)),
            ("bytes=7-99999999999999999999999", slice(7, 99)),
            ("bytes=100-", Resolved::Unsatisfiable),
            ("bytes=99999999999999999999999-", Resolved::Unsatisfiable),
            ("bytes=-0", Resolved::Unsatisfiable),
        ] {
            assert_eq!(resolved(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=+5-9",
            "bytes=0x5-",
            "bytes=0-1,5-6",
            "bytes=5",
            "bytes=1-2-3",
            "items=0-1",
            "bytes 0-1",
            "bytes=--5",
        ] {
            assert_eq!(resolved(text, 100), Resolved::Whole, "{text}");
        }
        let binary = HeaderValue::from_bytes(b"bytes=\xff-").unwrap();
        assert_eq!(parse(Some(&binary)), RangeSpec::Whole);
        assert_eq!(parse(None), RangeSpec::Whole);
    }

    #[test]
    fn a_range_counts_only_for_the_bytes_it_was_meant_for() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let strong = [(ETAG, "\"a\""), (LAST_MODIFIED, date)];
        for (condition, known, expected) in [
            (None, &[][..], true),
            (Some("\"a\""), &strong, true),
            (Some(" \"a\" "), &strong, true),
            (Some("\"b\""), &strong, false),
            (Some("\"a\""), &[], false),
            (Some("W/\"a\""), &[(ETAG, "W/\"a\"")], false),
            (Some(date), &strong, true),
            (Some("Sun, 06 Nov 1994 08:49:38 GMT"), &strong, false),
            (Some(date), &[], false),
            (Some(""), &strong, false),
        ] {
            let origin = known.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v)));
            let condition = condition.map(HeaderValue::from_static);
            let is_unchanged = is_unchanged(condition.as_ref(), &origin.collect());
            assert_eq!(is_unchanged, expected, "{condition:?} {known:?}");
        }
    }

    #[test]
    fn everything_is_given_while_the_size_is_unknown_or_nothing() {
        for text in ["bytes=0-", "bytes=5-9", "bytes=-5"] {
            let spec = parse(Some(&HeaderValue::from_static(text)));
            assert_eq!(spec.resolve(None), Resolved::Whole);
            assert_eq!(spec.resolve(Some(0)), Resolved::Whole);
        }
    }
}

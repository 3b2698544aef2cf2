//! What an origin says of a resource's bytes when it is asked for nothing but the header fields.
//!
//! Reads `Repr-Digest`, `Content-Digest` (RFC 9530), `Digest` (RFC 3230), `Content-MD5`, and an
//! `ETag` of the form object stores give to what was uploaded in one piece. Only SHA-256 and MD5:
//! to forge a segment one needs a second preimage, and there is none for MD5 either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::{Sha256, unhex};

/// Header fields that are looked at.
const FIELDS_MAX: usize = 256;
/// SHA-256 of no bytes at all.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A digest of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256(Sha256),
    /// MD5, said to be one.
    Md5([u8; 16]),
    /// An entity tag that looks like an MD5. Bytes that have it are proved; bytes that have not
    /// prove nothing, because a server may choose its tags as it likes.
    EntityTag([u8; 16]),
}

impl Digest {
    /// Whether these are the bytes.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha256(hash) => sha256(bytes) == *hash,
            Self::Md5(hash) | Self::EntityTag(hash) => {
                md5::Md5::digest(bytes).as_slice() == hash.as_slice()
            }
        }
    }

    /// Whether other bytes are certainly wrong.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::EntityTag(_))
    }
}

/// The SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    sha2::Sha256::digest(bytes).into()
}

/// The strongest digest in the answer to a `HEAD` for a whole resource; names are in lower case.
///
/// A resource under a `Content-Encoding` has none: representation digests, `Content-MD5` and tags
/// are then those of the encoded bytes, and peers send them decoded. A `Content-Digest` is that of
/// what follows the header, and after a `HEAD` that is nothing: servers that take it literally
/// state the digest of no bytes, which is left out; other servers state the resource's own.
pub fn digest<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Digest> {
    let fields: Vec<_> = fields.into_iter().take(FIELDS_MAX).collect();
    let values = |name: &'static str| {
        fields.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.trim())
    };
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    if !values("content-encoding").all(is_identity) {
        return None;
    }
    let stated = values("repr-digest").chain(values("content-digest"));
    let sha256 = stated.filter_map(structured_sha256).chain(values("digest").filter_map(plain));
    let sha256 = sha256.filter(|hash| Some(*hash) != unhex(OF_NOTHING)).map(Digest::Sha256);
    let md5 = values("content-md5").filter_map(decode).map(Digest::Md5);
    let is_object_encrypted = values("x-amz-server-side-encryption").any(|how| how != "AES256")
        || values("x-amz-server-side-encryption-customer-algorithm").next().is_some();
    let tags = values("etag").filter(|_| !is_object_encrypted).filter_map(entity_tag);
    sha256.chain(md5).chain(tags).next()
}

/// The SHA-256 among the members of a dictionary (RFC 9651): `sha-256=:base64:`.
fn structured_sha256(field: &str) -> Option<Sha256> {
    field.split(',').find_map(|member| {
        let (key, value) = member.trim().split_once('=')?;
        let value = value.split(';').next()?.trim();
        let inner = value.strip_prefix(':')?.strip_suffix(':')?;
        (key == "sha-256").then(|| decode(inner)).flatten()
    })
}

/// The SHA-256 of the older field: `SHA-256=base64`.
fn plain(field: &str) -> Option<Sha256> {
    field.split(',').find_map(|member| {
        let (algorithm, value) = member.trim().split_once('=')?;
        algorithm.eq_ignore_ascii_case("sha-256").then(|| decode(value)).flatten()
    })
}

/// `"0123…"`: 32 digits, no part count behind a dash, and strong.
fn entity_tag(tag: &str) -> Option<Digest> {
    unhex(tag.strip_prefix('"')?.strip_suffix('"')?).map(Digest::EntityTag)
}

fn decode<const N: usize>(base64: &str) -> Option<[u8; N]> {
    // Three bytes are four digits; anything longer is not decoded at all.
    if base64.len() > N.div_ceil(3) * 4 {
        return None;
    }
    STANDARD.decode(base64).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO_SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const HELLO_MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const HELLO_TAG: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

    fn read(fields: &[(&str, &str)]) -> Option<Digest> {
        digest(fields.iter().copied())
    }

    #[test]
    fn reads_every_form_that_origins_use() {
        let structured = format!("sha-512=:AAAA:, sha-256=:{HELLO_SHA256}:;q=1");
        let plain = format!("md5={HELLO_MD5},SHA-256={HELLO_SHA256}");
        for (field, value) in [
            ("repr-digest", structured.as_str()),
            ("content-digest", &structured),
            ("digest", &plain),
            ("content-md5", HELLO_MD5),
            ("etag", HELLO_TAG),
        ] {
            let digest = read(&[("content-length", "5"), (field, value)]).expect(field);
            assert!(digest.fits(b"hello"), "{field}");
            assert!(!digest.fits(b"hellp"), "{field}");
            assert_eq!(digest.is_certain(), field != "etag");
        }
    }

    #[test]
    fn the_strongest_counts() {
        let structured = format!("sha-256=:{HELLO_SHA256}:");
        let all = [("etag", HELLO_TAG), ("content-md5", HELLO_MD5), ("repr-digest", &structured)];
        assert!(matches!(read(&all), Some(Digest::Sha256(_))));
        assert!(matches!(read(&all[..2]), Some(Digest::Md5(_))));
    }

    #[test]
    fn what_is_encoded_has_no_digest() {
        let field = ("content-md5", HELLO_MD5);
        assert_eq!(read(&[field, ("content-encoding", "gzip")]), None);
        assert!(read(&[field, ("content-encoding", "identity")]).is_some());
    }

    #[test]
    fn the_digest_of_an_empty_answer_is_not_the_segments() {
        let nothing = STANDARD.encode(sha256(b""));
        let field = format!("sha-256=:{nothing}:");
        assert_eq!(read(&[("content-digest", &field)]), None);
        let both = [("content-digest", field.as_str()), ("etag", HELLO_TAG)];
        assert!(read(&both).is_some_and(|digest| digest.fits(b"hello")));
    }

    #[test]
    fn tags_that_are_no_digests_are_left_out() {
        let weak = format!("W/{HELLO_TAG}");
        let parts = "\"5d41402abc4b2a76b9719d911017c592-4\"";
        for tag in [weak.as_str(), parts, "\"5f1-abc\"", "5d41402abc4b2a76b9719d911017c592", ""] {
            assert_eq!(read(&[("etag", tag)]), None, "{tag}");
        }
        let encrypted = ("x-amz-server-side-encryption", "aws:kms");
        assert_eq!(read(&[("etag", HELLO_TAG), encrypted]), None);
    }

    #[test]
    fn nonsense_is_no_digest() {
        let long = format!("sha-256=:{}:", "A".repeat(1 << 20));
        for value in [&long, "sha-256=:::", "sha-256=", "=", ",,,", "sha-256=:AAAA:", "\u{0}"] {
            for field in ["repr-digest", "content-digest", "digest", "content-md5", "etag"] {
                assert_eq!(read(&[(field, value)]), None, "{field}");
            }
        }
    }
}

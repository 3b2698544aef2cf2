//! How it is proved that the bytes peers sent are the origin's.
//!
//! Pure: what the publisher's hash list and the origin's header fields say, what members of
//! different networks [agree](agreement) on, which proof counts ([`ladder`]), and which slices of
//! a segment are asked of the origin again to compare ([`trust`]). It fetches, holds and compares
//! nothing itself: the stream's verifier does, and the simulated world counts what it would cost.

pub mod agreement;
pub mod blocks;
pub mod digest;
pub mod hash_list;
pub mod ladder;
pub mod trust;

/// A SHA-256.
pub type Sha256 = [u8; 32];

/// Reads `N` bytes from twice as many hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_digits_of_either_case_and_nothing_else() {
        assert_eq!(unhex::<3>("00fFa1"), Some([0, 255, 161]));
        for wrong in ["", "00fFa", "00fFa1b2", "00fFag", "+0fFa1", "00f\u{e9}1"] {
            assert_eq!(unhex::<3>(wrong), None, "{wrong}");
        }
    }
}

//! Which proof counts for a segment: the strongest there is.

use std::fmt;
use std::str::FromStr;

use super::Sha256;
use super::digest::Digest;

/// How far a stream goes down the ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A publisher's hash list, else agreement between members, else slices of the origin.
    #[default]
    Ladder,
    /// The ladder, and the origin may be asked for a digest of each segment.
    Head,
    /// Only what a hash list or a digest of the origin proves.
    Strict,
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "ladder" => Ok(Self::Ladder),
            "head" => Ok(Self::Head),
            "strict" => Ok(Self::Strict),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ladder => "ladder",
            Self::Head => "head",
            Self::Strict => "strict",
        })
    }
}

impl Mode {
    /// Whether the origin may be asked for a digest.
    pub fn asks_for_digests(self) -> bool {
        matches!(self, Self::Head | Self::Strict)
    }
}

/// What is known of a segment without comparing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// From a list of the publisher.
    pub listed: Option<Sha256>,
    /// From the origin's header fields.
    pub stated: Option<Digest>,
    /// From members in different networks that did not get it from each other.
    pub agreed: Option<Sha256>,
}

/// How a segment is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a hash that the publisher lists.
    Listed(Sha256),
    /// By a digest that the origin states.
    Stated(Digest),
    /// By a hash that members agree on; of what came from strangers a slice is compared too.
    Agreed(Sha256),
    /// By comparing slices with the origin's.
    Slices,
    /// Not at all: it is not to be had from peers.
    None,
}

/// The strongest proof that `mode` allows.
pub fn choose(mode: Mode, known: &Known) -> Proof {
    let is_strict = mode == Mode::Strict;
    match *known {
        Known { listed: Some(hash), .. } => Proof::Listed(hash),
        Known { stated: Some(digest), .. } if mode.asks_for_digests() => Proof::Stated(digest),
        _ if is_strict => Proof::None,
        Known { agreed: Some(hash), .. } => Proof::Agreed(hash),
        _ => Proof::Slices,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_proof_counts() {
        let all = Known {
            listed: Some([1; 32]),
            stated: Some(Digest::Md5([2; 16])),
            agreed: Some([3; 32]),
        };
        let unlisted = Known { listed: None, ..all };
        let agreed = Known { stated: None, ..unlisted };
        let stated = Proof::Stated(Digest::Md5([2; 16]));
        for (mode, known, proof) in [
            (Mode::Strict, all, Proof::Listed([1; 32])),
            (Mode::Ladder, all, Proof::Listed([1; 32])),
            (Mode::Strict, unlisted, stated),
            (Mode::Head, unlisted, stated),
            (Mode::Ladder, unlisted, Proof::Agreed([3; 32])),
            (Mode::Strict, agreed, Proof::None),
            (Mode::Head, agreed, Proof::Agreed([3; 32])),
            (Mode::Strict, Known::default(), Proof::None),
            (Mode::Head, Known::default(), Proof::Slices),
            (Mode::Ladder, Known::default(), Proof::Slices),
        ] {
            assert_eq!(choose(mode, &known), proof, "{mode} {known:?}");
        }
    }

    #[test]
    fn modes_are_written_as_they_are_read() {
        for mode in [Mode::Ladder, Mode::Head, Mode::Strict] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("Strict".parse::<Mode>(), Err(()));
    }
}

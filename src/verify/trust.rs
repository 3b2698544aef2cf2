//! How much of a segment is compared with the origin's bytes where nothing else proves it.
//!
//! Of each contributor's bytes something is compared, in every segment: who sends another segment
//! in place of the one wanted is found out at once, however long it was honest. Of a stranger two
//! slices of up to 64 KiB are compared, 3 % of a segment at most; with each segment that agreed
//! they become shorter, down to one slice of 8 KiB for ever. A small random share of segments is
//! compared whole.
//!
//! Who flips a single byte, anywhere, in each segment is found out by chance. With segments of
//! 2.5 MB (4 s of 5 Mbit/s) that takes 215 segments on average where it begins at once, and 235
//! where it is honest for a while first; with segments of 1 MB 99 and 109. Each byte of a segment
//! is as likely to be compared as any other, so that no place is better to flip. For an honest
//! peer the origin sends 0.43 % of what it brings.
//!
//! Where a list of block hashes binds a segment together, one slice is enough for all of it,
//! whoever sent the bytes.
//!
//! Who says a wrong list need not be who made it: whoever got the bytes with it, and did not find
//! out, passes both on. So it is a stranger again, of whose lists half is compared, and is banned
//! when what it said was wrong more than once, and nearly as often as it was right.
//!
//! Pure: randomness is an argument. Driven by the stream's verifier, and by the simulated world.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::blocks::block_bytes;
use crate::ids::PeerKey;

/// Longest slice.
pub const SLICE_BYTES_MAX: u64 = 64 << 10;
/// The slice of those that are proven.
pub const SLICE_BYTES: u64 = 8 << 10;
/// Shortest slice, unless a peer brought less: a request costs about as much as it.
const SLICE_BYTES_MIN: u64 = 1 << 10;
/// Most of a segment that slices make up, in hundredths.
const SHARE_MAX: u64 = 3;
/// A segment of no more bytes has slices of an eighth.
const SMALL_BYTES: u64 = 64 << 10;
/// Segments that have to agree until a peer is proven.
const PROVEN_AFTER: u32 = 4;
/// Wrong lists that cost their sayer the connection, unless it brought more that was right.
const WRONG_LISTS: u32 = 2;
/// Segments that agreed, for each wrong list, beyond which it goes on.
const AGREED_FOR_EACH: u32 = 2;
/// Of a list that only such peers say, one part in so many is compared.
const DOUBTED_PART: u64 = 2;
/// A stranger's segment is compared whole once in so many.
const WHOLE_ONCE_IN: u64 = 64;
/// More slices than this are not worth their requests: the whole is compared instead.
const SLICES_MAX: usize = 24;

/// Bytes of a segment that one peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who sent them.
    pub peer: PeerKey,
    /// Where in the segment they are.
    pub bytes: Range<u64>,
}

/// What is to be compared with the origin's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// These ranges.
    Slices(Vec<Range<u64>>),
    /// The whole segment.
    Whole,
}

/// What peers have shown so far.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    agreed: BTreeMap<PeerKey, u32>,
    doubted: BTreeMap<PeerKey, Doubt>,
}

/// What speaks against a peer that said a wrong list, and for it.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    wrong: u32,
    agreed: u32,
}

impl Trust {
    /// A segment to which the peer contributed was proved to be the origin's.
    pub fn agreed(&mut self, peer: PeerKey) {
        let agreed = self.agreed.entry(peer).or_default();
        *agreed = agreed.saturating_add(1);
        if let Some(doubt) = self.doubted.get_mut(&peer) {
            doubt.agreed = doubt.agreed.saturating_add(1);
        }
    }

    /// The peer has gone, or what it sent was wrong: whoever comes is a stranger again.
    pub fn forget(&mut self, peer: PeerKey) {
        self.agreed.remove(&peer);
        self.doubted.remove(&peer);
    }

    /// What the peer said that the blocks of a segment are was wrong, here or before it came here;
    /// whether that was once too often.
    pub fn doubt(&mut self, peer: PeerKey) -> bool {
        let agreed = self.agreed.remove(&peer).unwrap_or_default();
        let doubt = self.doubted.entry(peer).or_insert(Doubt { wrong: 0, agreed });
        doubt.wrong = doubt.wrong.saturating_add(1);
        let is_mostly_right = doubt.agreed > doubt.wrong.saturating_mul(AGREED_FOR_EACH);
        doubt.wrong >= WRONG_LISTS && !is_mostly_right
    }

    /// Whether enough segments of the peer agreed.
    pub fn is_proven(&self, peer: PeerKey) -> bool {
        self.segments(peer) >= PROVEN_AFTER
    }

    /// What of a segment of `size` bytes is to be compared, where nothing else proves it; `shares`
    /// say whom its bytes are from. `random` gives numbers that peers cannot foresee.
    pub fn plan(&self, size: u64, shares: &[Share], random: &mut impl FnMut() -> u64) -> Check {
        let senders = senders(size, shares);
        let least = senders.keys().map(|peer| self.segments(*peer)).min().unwrap_or_default();
        if random().is_multiple_of(whole_once_in(least)) {
            return Check::Whole;
        }
        let rules = senders.iter().map(|(peer, bytes)| {
            (bytes.as_slice(), Rule::of(size, senders.len() as u64, self.segments(*peer)))
        });
        cut(rules, random)
    }

    /// What is to be compared all the same where members agree on the hash of the segment: a slice
    /// of each stranger's bytes. The members may be one who has many names.
    pub fn plan_agreed(
        &self,
        size: u64,
        shares: &[Share],
        random: &mut impl FnMut() -> u64,
    ) -> Check {
        let senders = senders(size, shares);
        let strangers = senders.iter().filter(|(peer, _)| !self.is_proven(**peer));
        let rule = Rule::of(size, senders.len() as u64, PROVEN_AFTER);
        cut(strangers.map(|(_, bytes)| (bytes.as_slice(), rule)), random)
    }

    /// What is to be compared of a segment of `size` bytes whose block hashes these peers said: one
    /// slice, as long as for the best known of them, or half of it where all of them said wrong
    /// ones and are not proven since; now and then the whole.
    pub fn plan_list(
        &self,
        size: u64,
        sayers: &BTreeSet<PeerKey>,
        random: &mut impl FnMut() -> u64,
    ) -> Range<u64> {
        let agreed = sayers.iter().map(|peer| self.segments(*peer)).max().unwrap_or_default();
        if random().is_multiple_of(whole_once_in(agreed)) {
            return 0..size;
        }
        let block = block_bytes(size);
        let blocks = size.div_ceil(block);
        let is_doubted = |peer| self.doubted.contains_key(peer) && !self.is_proven(*peer);
        let len = match sayers.iter().all(is_doubted) {
            true => size / DOUBTED_PART,
            false => Rule::of(size, 1, agreed).len,
        };
        let len = len.div_ceil(block).clamp(1, blocks.max(1));
        // It may begin before the first block, so that every block is as likely to be in it.
        let end = random() % (blocks + len - 1).max(1) + 1;
        end.saturating_sub(len) * block..(end.min(blocks) * block).min(size)
    }

    fn segments(&self, peer: PeerKey) -> u32 {
        self.agreed.get(&peer).copied().unwrap_or_default()
    }
}

/// Segments of `size` bytes until a peer is found out that flips one byte in each, on average; it
/// begins after `honest` segments that agreed.
pub fn expected_until_caught(size: u64, honest: u32) -> f64 {
    let caught = |agreed: u32| {
        let compared = Rule::of(size, 1, agreed).bytes().min(size) as f64 / size.max(1) as f64;
        1.0 - (1.0 - compared) * (1.0 - 1.0 / whole_once_in(agreed) as f64)
    };
    let (mut expected, mut is_free) = (0.0, 1.0);
    for agreed in honest..PROVEN_AFTER.max(honest) {
        expected += is_free;
        is_free *= 1.0 - caught(agreed);
    }
    expected + is_free / caught(PROVEN_AFTER.max(honest))
}

/// Who sent `bytes` alone, where that is one peer.
pub fn culprit(shares: &[Share], bytes: &Range<u64>) -> Option<PeerKey> {
    let is_in = |share: &&Share| share.bytes.start < bytes.end && bytes.start < share.bytes.end;
    let mut senders = shares.iter().filter(is_in).map(|share| share.peer);
    let first = senders.next()?;
    senders.all(|peer| peer == first).then_some(first)
}

/// How much of what one peer sent is compared.
#[derive(Clone, Copy)]
struct Rule {
    slices: u64,
    len: u64,
}

impl Rule {
    fn of(size: u64, senders: u64, agreed: u32) -> Self {
        if size <= SMALL_BYTES {
            let len = (size / 8).clamp(SLICE_BYTES_MIN, SLICE_BYTES);
            return Self { slices: 1, len };
        }
        let slices = if agreed < PROVEN_AFTER && senders == 1 { 2 } else { 1 };
        let len = match agreed {
            PROVEN_AFTER.. => SLICE_BYTES / senders.max(1),
            _ => (SLICE_BYTES_MAX >> agreed).max(SLICE_BYTES),
        };
        let len_max = size * SHARE_MAX / 100 / (slices * senders).max(1);
        Self { slices, len: len.min(len_max).max(SLICE_BYTES_MIN) }
    }

    fn bytes(self) -> u64 {
        self.slices * self.len
    }
}

fn whole_once_in(agreed: u32) -> u64 {
    WHOLE_ONCE_IN << agreed.min(PROVEN_AFTER)
}

/// The ranges that each peer sent, in order and without empty ones.
fn senders(size: u64, shares: &[Share]) -> BTreeMap<PeerKey, Vec<Range<u64>>> {
    let mut senders = BTreeMap::<_, Vec<_>>::new();
    for Share { peer, bytes } in shares {
        let bytes = bytes.start..bytes.end.min(size);
        if !bytes.is_empty() {
            senders.entry(*peer).or_default().push(bytes);
        }
    }
    senders.values_mut().for_each(|ranges| ranges.sort_by_key(|range| range.start));
    senders
}

/// Cuts slices out of each peer's bytes as the rules say.
fn cut<'a>(
    rules: impl Iterator<Item = (&'a [Range<u64>], Rule)>,
    random: &mut impl FnMut() -> u64,
) -> Check {
    let mut slices = Vec::new();
    for (ranges, rule) in rules {
        let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if total == 0 {
            continue;
        }
        // On a circle every byte is as likely to be met as any other.
        let (first, step) = (random() % total, total.div_ceil(rule.slices));
        let len = rule.len.min(step);
        for number in 0..rule.slices {
            let at = (first + number * step) % total;
            slices.extend(pick(ranges, at..(at + len).min(total)));
            slices.extend(pick(ranges, 0..(at + len).saturating_sub(total)));
        }
    }
    slices.sort_by_key(|slice| slice.start);
    if slices.len() > SLICES_MAX { Check::Whole } else { Check::Slices(slices) }
}

/// Where the bytes `wanted` of all `ranges` taken together are.
fn pick(ranges: &[Range<u64>], wanted: Range<u64>) -> Vec<Range<u64>> {
    let mut passed = 0;
    let mut picked = Vec::new();
    for range in ranges {
        let len = range.end - range.start;
        let from = wanted.start.clamp(passed, passed + len) - passed;
        let to = wanted.end.clamp(passed, passed + len) - passed;
        if from < to {
            picked.push(range.start + from..range.start + to);
        }
        passed += len;
    }
    picked
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;

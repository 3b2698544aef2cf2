//! The fields of a command: numbers and lists of ids in p2p-media-loader's binary notation.
//!
//! A field is a one-byte name, then a byte whose high nibble is the type. This file knows the
//! notation, not what commands mean; [`super`] drives it. Unknown names are read and left alone.

use super::{NUMBER_MAX, WireError};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Most groups a list can hold: their number is one byte.
const GROUPS_MAX: usize = 255;

/// Most ids written in one group: 256 would overflow the byte their number is given.
const GROUP_IDS_MAX: usize = 255;

/// Appends a number: its length in bytes, then big-endian with the top bit kept free for a sign.
pub(super) fn put_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let bits = u64::BITS - value.leading_zeros();
    let len = usize::try_from(bits / 8 + 1).unwrap_or(bytes.len()).min(bytes.len());
    out.push(u8::try_from(len).unwrap_or(0));
    out.extend_from_slice(&bytes[bytes.len() - len..]);
}

/// Appends a string of at most 4095 bytes, which is what its length leaves room for.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(0xfff)];
    let [high, low] = u16::try_from(text.len()).unwrap_or(0).to_be_bytes();
    out.extend([0x20 | high, low]);
    out.extend_from_slice(text);
}

/// Appends a list of ids as field `name`, nothing when the list is empty. Ids that share all but
/// the low byte form a group; groups come in order of first appearance. When there are too many
/// groups those of the highest, which is newest, ids are written.
pub(super) fn put_ids(out: &mut Vec<u8>, name: u8, ids: &[u64]) {
    let mut groups: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for &id in ids.iter().filter(|&&id| id <= NUMBER_MAX) {
        let common = id & !0xff;
        let low = id.to_be_bytes()[7];
        match open.get(&common).map(|&at| &mut groups[at].1) {
            Some(lows) if lows.len() < GROUP_IDS_MAX => lows.push(low),
            _ => {
                open.insert(common, groups.len());
                groups.push((common, vec![low]));
            }
        }
    }
    let mut kept: Vec<usize> = (0..groups.len()).collect();
    kept.sort_by_key(|&at| Reverse(groups[at].0));
    kept.truncate(GROUPS_MAX);
    kept.sort_unstable();
    if kept.is_empty() {
        return;
    }
    out.extend([name, 0x10, u8::try_from(kept.len()).unwrap_or(u8::MAX)]);
    for at in kept {
        let (common, lows) = &groups[at];
        put_int(out, common + lows.len() as u64);
        out.extend_from_slice(lows);
    }
}

/// The fields of one command by name; of equal names the last counts.
pub(super) struct Fields(BTreeMap<u8, Value>);

enum Value {
    Int(i128),
    Ids(Vec<u64>),
    Text(Vec<u8>),
}

impl Fields {
    /// Reads everything behind the operation.
    pub(super) fn read(rest: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader { rest };
        let mut fields = BTreeMap::new();
        while !reader.rest.is_empty() {
            let name = reader.byte()?;
            fields.insert(name, reader.value()?);
        }
        Ok(Self(fields))
    }

    /// A number the command cannot do without.
    pub(super) fn number(&self, name: char) -> Result<u64, WireError> {
        match self.get(name) {
            Some(Value::Int(value)) => in_range(*value),
            _ => Err(WireError::MissingField(name)),
        }
    }

    /// A number, `default` where it was not sent.
    pub(super) fn number_or(&self, name: char, default: u64) -> Result<u64, WireError> {
        if self.get(name).is_none() { Ok(default) } else { self.number(name) }
    }

    /// A number that need not be sent.
    pub(super) fn number_if(&self, name: char) -> Result<Option<u64>, WireError> {
        self.get(name).map(|_| self.number(name)).transpose()
    }

    /// A list of ids, empty where it was not sent.
    pub(super) fn ids(&mut self, name: char) -> Result<Vec<u64>, WireError> {
        match u8::try_from(name).ok().and_then(|name| self.0.remove(&name)) {
            None => Ok(Vec::new()),
            Some(Value::Ids(ids)) => Ok(ids),
            Some(_) => Err(WireError::MissingField(name)),
        }
    }

    /// A string the command cannot do without, as bytes.
    pub(super) fn text(&self, name: char) -> Result<&[u8], WireError> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(WireError::MissingField(name)),
        }
    }

    fn get(&self, name: char) -> Option<&Value> {
        self.0.get(&u8::try_from(name).ok()?)
    }
}

fn in_range(value: i128) -> Result<u64, WireError> {
    u64::try_from(value).ok().filter(|&value| value <= NUMBER_MAX).ok_or(WireError::BadNumber)
}

pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    /// A number with its sign; 15 bytes at most, because the length is a nibble.
    pub(super) fn int(&mut self) -> Result<i128, WireError> {
        let head = self.byte()?;
        if head >> 4 != 0 {
            return Err(WireError::UnknownType(head >> 4));
        }
        self.magnitude(head)
    }

    fn value(&mut self) -> Result<Value, WireError> {
        let head = self.byte()?;
        match head >> 4 {
            0 => Ok(Value::Int(self.magnitude(head)?)),
            1 => Ok(Value::Ids(self.ids()?)),
            2 => {
                let len = usize::from(head & 0x0f) << 8 | usize::from(self.byte()?);
                Ok(Value::Text(self.take(len)?.to_vec()))
            }
            unknown => Err(WireError::UnknownType(unknown)),
        }
    }

    fn magnitude(&mut self, head: u8) -> Result<i128, WireError> {
        let bytes = self.take(usize::from(head & 0x0f))?;
        let (&first, rest) = bytes.split_first().ok_or(WireError::BadNumber)?;
        let start = i128::from(first & 0x7f);
        let magnitude = rest.iter().fold(start, |sum, &byte| sum << 8 | i128::from(byte));
        Ok(if first & 0x80 == 0 { magnitude } else { -magnitude })
    }

    fn ids(&mut self) -> Result<Vec<u64>, WireError> {
        let mut ids = Vec::new();
        for _ in 0..self.byte()? {
            let head = in_range(self.int()?)?;
            let (common, lows) = match head & 0xff {
                0 => (head, self.full_block()?),
                count => (head - count, self.take(usize::try_from(count).unwrap_or(0))?),
            };
            ids.extend(lows.iter().map(|&low| common | u64::from(low)));
        }
        Ok(ids)
    }

    /// Browsers write a whole block of 256 ids with a count that overflows: the head reads as that
    /// block with no ids. No encoder writes empty groups, so it can be told: 256 low bytes follow,
    /// each once.
    fn full_block(&mut self) -> Result<&[u8], WireError> {
        let lows = self.take(256).map_err(|_| WireError::EmptyGroup)?;
        let mut seen = [false; 256];
        lows.iter().for_each(|&low| seen[usize::from(low)] = true);
        if seen.contains(&false) { Err(WireError::EmptyGroup) } else { Ok(lows) }
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        let (&byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<&[u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

//! The names behind which browsers hide their addresses, and the messages that ask for them.
//!
//! PURE. Multicast DNS (RFC 6762) as far as a one-shot query for one address goes: it writes
//! questions and reads the addresses out of answers that anybody on the network may have written.
//! It announces nothing and answers nothing. Driven by `lookup`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

/// Where questions go: every responder of the local network listens here.
pub const MDNS_GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Longest message that is read; what responders send fits into one Ethernet frame.
pub const MDNS_MESSAGE_BYTES_MAX: usize = 1500;

/// Records looked at in one message; the rest is not read.
pub const MDNS_RECORDS_MAX: usize = 32;

/// Longest name of RFC 1035, with its dots.
const NAME_BYTES_MAX: usize = 255;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_INTERNET: u16 = 1;
/// In an answer: "forget what others said". Says nothing about the class.
const CACHE_FLUSH: u16 = 0x8000;
/// Set in answers, together with "authoritative", which is of no interest.
const IS_RESPONSE: u8 = 0x80;
/// Opcode of the third byte, and result code of the fourth: both zero in what is of use.
const OPCODE: u8 = 0x78;
const RESULT: u8 = 0x0f;

/// A name that a browser made up for one address: a UUID and ".local".
///
/// No other name is ever asked for: a stranger chooses it, and "printer.local" is none of its
/// business.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalName(String);

impl LocalName {
    /// The name, if the text is one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let label = text.strip_suffix(".local")?;
        let groups = label.split('-').map(str::len);
        let is_uuid = groups.eq([8, 4, 4, 4, 12])
            && label.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        is_uuid.then_some(Self(text))
    }
}

/// Which kind of address is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A message with one question.
///
/// The class does not ask for such an answer by its uppermost bit: what is sent from another port
/// than 5353 is answered that way in any case, and Chromium reads no class but the plain one. For
/// the same reason there is one question to a message.
pub fn question(name: &LocalName, family: Family) -> Vec<u8> {
    let mut message = Vec::with_capacity(64);
    // The id is 0: answers to everybody have none, and an answer is known by its name.
    message.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.0.split('.') {
        // At most 36 bytes: the parts of a name are a UUID and "local".
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    let kind = match family {
        Family::V4 => TYPE_A,
        Family::V6 => TYPE_AAAA,
    };
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend(CLASS_INTERNET.to_be_bytes());
    message
}

/// The addresses that a message states for names of browsers; none if it is no sound answer. What
/// stands before a defect counts.
pub fn addresses(message: &[u8]) -> Vec<(LocalName, IpAddr)> {
    let mut found = Vec::new();
    let mut reader = Reader { message, at: HEADER_BYTES };
    let is_answer = message.len() <= MDNS_MESSAGE_BYTES_MAX
        && message.get(2).is_some_and(|flags| flags & (IS_RESPONSE | OPCODE) == IS_RESPONSE)
        && message.get(3).is_some_and(|flags| flags & RESULT == 0);
    let counts = [4, 6, 8, 10].map(|at| Reader { message, at }.u16().map_or(0, usize::from));
    if !is_answer || counts[0] > MDNS_RECORDS_MAX {
        return found;
    }
    for _ in 0..counts[0] {
        if reader.question().is_none() {
            return found;
        }
    }
    for _ in 0..counts[1..].iter().sum::<usize>().min(MDNS_RECORDS_MAX) {
        match reader.record() {
            None => return found,
            Some(Some(address)) => found.push(address),
            Some(None) => {}
        }
    }
    found
}

/// Reads forward through a message; `None` wherever it ends too soon or is not well-formed.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn question(&mut self) -> Option<()> {
        self.name()?;
        self.bytes(4)?;
        Some(())
    }

    /// The next record: an address of a browser's name, or something else.
    fn record(&mut self) -> Option<Option<(LocalName, IpAddr)>> {
        let name = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        self.bytes(4)?;
        let length = self.u16()?;
        let data = self.bytes(length.into())?;
        if class & !CACHE_FLUSH != CLASS_INTERNET {
            return Some(None);
        }
        let address = match kind {
            TYPE_A => <[u8; 4]>::try_from(data).ok().map(|v4| Ipv4Addr::from(v4).into()),
            TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|v6| Ipv6Addr::from(v6).into()),
            _ => None,
        };
        Some(LocalName::parse(&name).zip(address))
    }

    /// A name, its compression undone. It ends: each jump leads to before the place where the part
    /// that held it began.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut began, mut after) = (self.at, None);
        loop {
            let length = self.u8()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    let label = self.bytes(length.into())?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // A dot within a label would make two names look alike; so would bytes that
                    // are no text.
                    name.extend(label.iter().map(|byte| match byte {
                        b'.' => '\0',
                        byte => char::from(*byte),
                    }));
                    if name.len() > NAME_BYTES_MAX {
                        return None;
                    }
                }
                3 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.u8()?);
                    after.get_or_insert(self.at);
                    if target < HEADER_BYTES || target >= began {
                        return None;
                    }
                    (began, self.at) = (target, target);
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(self.at);
        Some(name)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }
}

#[cfg(test)]
#[path = "mdns_tests.rs"]
mod tests;

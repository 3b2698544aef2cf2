//! What a stranger's session description may ask of us: a filter in front of the WebRTC crate.
//!
//! PURE. A candidate is an address somebody else chose and to which we send packets, so this file
//! decides which of them are probed. It checks only as much grammar as that takes; the crate
//! parses the rest. Driven by the connector for every remote SDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mdns::LocalName;

/// Longest session description that is looked at; browsers' are 1 to 3 KB.
pub const SDP_BYTES_MAX: usize = 16 * 1024;

/// Candidates kept of one description; further ones are dropped.
pub const CANDIDATES_MAX: usize = 20;

/// Lowest port a candidate may name. Address translators keep ports above it there (RFC 4787
/// REQ-3), so nothing is lost by not probing well-known services for strangers.
pub const CANDIDATE_PORT_MIN: u16 = 1024;

/// Candidates with a name for an address that are looked at in one description. Browsers make up
/// one for each of their addresses.
pub const NAMED_CANDIDATES_MAX: usize = 4;

/// Where the address stands in a candidate's line.
const ADDRESS_FIELD: usize = 4;

/// Which kinds of address a stranger may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Loopback addresses of this machine.
    pub loopback: bool,
    /// Private addresses: only sensible where we have one, else they lead nowhere near the peer.
    pub private: bool,
}

/// Why a session description was refused. Never quotes it: it holds addresses and credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`SDP_BYTES_MAX`].
    #[error("it is longer than {SDP_BYTES_MAX} bytes")]
    TooLong,
    /// Not a session description at all.
    #[error("it is not a session description")]
    NotSdp,
    /// Describes something else than one data-channel section.
    #[error("it does not describe exactly one data channel section")]
    NotDataChannel,
    /// Lacks credentials or the certificate's fingerprint.
    #[error("it lacks credentials or a fingerprint")]
    Incomplete,
    /// Passed the filter, but cannot be applied to the connection.
    #[error("it cannot be applied to the connection")]
    Rejected,
}

/// Returns `sdp` without the candidates outside `reach` and those past [`CANDIDATES_MAX`].
///
/// None may be left: a peer that hides its addresses can still reach us. Names in place of
/// addresses never pass; what becomes of them is [`named_candidates`]' matter.
pub fn filter(sdp: &str, reach: Reach) -> Result<String, SdpError> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(SdpError::TooLong);
    }
    if !sdp.starts_with("v=0") || sdp.bytes().any(|b| b.is_ascii_control() && !is_line_end(b)) {
        return Err(SdpError::NotSdp);
    }
    let mut kept = String::with_capacity(sdp.len() + 64);
    let (mut candidates, mut sections) = (0, 0);
    let (mut ufrag, mut password, mut fingerprint) = (false, false, false);
    for line in sdp.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            if !line.starts_with("m=application ") || !line.contains("DTLS/SCTP") {
                return Err(SdpError::NotDataChannel);
            }
            sections += 1;
        }
        ufrag |= line.starts_with("a=ice-ufrag:");
        password |= line.starts_with("a=ice-pwd:");
        fingerprint |= line.starts_with("a=fingerprint:");
        if is_candidate_line(line) {
            if candidates == CANDIDATES_MAX || !is_allowed_candidate(line, reach) {
                continue;
            }
            candidates += 1;
        }
        kept.push_str(line);
        kept.push_str("\r\n");
    }
    match (sections, ufrag && password && fingerprint) {
        (1, true) => Ok(kept),
        (1, false) => Err(SdpError::Incomplete),
        _ => Err(SdpError::NotDataChannel),
    }
}

/// A candidate that names its address as browsers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCandidate {
    /// The name to look up.
    pub name: LocalName,
    line: String,
}

impl NamedCandidate {
    /// The candidate with an address in the name's place, as `candidate:…`.
    pub fn at(&self, ip: IpAddr) -> String {
        let mut fields: Vec<&str> = self.line.split_ascii_whitespace().collect();
        let ip = ip.to_string();
        fields[ADDRESS_FIELD] = &ip;
        fields.join(" ").replacen("a=", "", 1)
    }
}

/// The candidates of `sdp` whose addresses can be asked of the local network: the first
/// [`NAMED_CANDIDATES_MAX`].
pub fn named_candidates(sdp: &str) -> Vec<NamedCandidate> {
    let named = sdp.split(['\r', '\n']).filter_map(|line| {
        let name = LocalName::parse(candidate_address(line)?)?;
        Some(NamedCandidate { name, line: line.to_owned() })
    });
    named.take(NAMED_CANDIDATES_MAX).collect()
}

/// Whether an address is one of a local network, as opposed to the internet's.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || is_shared_v4(ip),
        IpAddr::V6(ip) => is_unique_local(ip),
    }
}

/// Whether an address is on this machine or a local network.
pub fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback() || is_private(ip)
}

/// Whether we may send packets to an address only because a stranger named it.
pub fn is_allowed_address(ip: IpAddr, reach: Reach) -> bool {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return reach.loopback;
    }
    if is_private(ip) {
        return reach.private;
    }
    match ip {
        // Link-local is refused too: it does not survive into a usable candidate, and cloud
        // machines keep their metadata service there. 0/8 and 240/4 are nobody's.
        IpAddr::V4(v4) => {
            !(v4.is_multicast()
                || v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.octets()[0] >= 240)
        }
        // Of IPv6 only global unicast, 2000::/3, less the 6to4 block, which names an IPv4
        // address that would not be looked at.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000 && v6.segments()[0] != 0x2002,
    }
}

/// Whether a description names at least one candidate.
pub fn has_candidate(sdp: &str) -> bool {
    sdp.lines().any(is_candidate_line)
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}

fn is_candidate_line(line: &str) -> bool {
    // Without regard to case or spaces, so that no parser sees a candidate that this one did not.
    let Some((key, rest)) = line.split_once('=') else { return false };
    let name = rest.split(':').next().unwrap_or_default().trim();
    key.trim().eq_ignore_ascii_case("a")
        && (name.eq_ignore_ascii_case("candidate")
            || name.eq_ignore_ascii_case("remote-candidates"))
}

fn is_allowed_candidate(line: &str, reach: Reach) -> bool {
    let address = candidate_address(line).and_then(|address| address.parse().ok());
    address.is_some_and(|ip| is_allowed_address(ip, reach))
}

/// The address, or what stands in its place, of a candidate that could be used.
fn candidate_address(line: &str) -> Option<&str> {
    let value = line.strip_prefix("a=candidate:")?;
    let mut fields = value.split_ascii_whitespace().skip(1);
    let (component, protocol, _) = (fields.next()?, fields.next()?, fields.next()?);
    let (address, port) = (fields.next()?, fields.next()?);
    let is_usable = fields.next() == Some("typ")
        && component == "1"
        && protocol.eq_ignore_ascii_case("udp")
        && port.parse().is_ok_and(|port: u16| port >= CANDIDATE_PORT_MIN);
    is_usable.then_some(address)
}

/// 100.64.0.0/10, between a provider and its customers.
fn is_shared_v4(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

/// fc00::/7.
fn is_unique_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xfe00 == 0xfc00
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Reach = Reach { loopback: true, private: true };
    const PUBLIC: Reach = Reach { loopback: false, private: false };

    fn sdp(candidates: &[&str]) -> String {
        let mut text = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
            a=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
            c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
            a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\n\
            a=setup:actpass\r\na=sctp-port:5000\r\n"
            .to_owned();
        for line in candidates {
            text.push_str(&format!("a=candidate:{line}\r\n"));
        }
        text
    }

    fn keeps(candidate: &str, reach: Reach) -> bool {
        has_candidate(&filter(&sdp(&[candidate]), reach).unwrap())
    }

    fn keeps_address(address: &str, reach: Reach) -> bool {
        keeps(&format!("1 1 udp 2130706431 {address} 40000 typ host"), reach)
    }

    #[test]
    fn a_stranger_names_only_addresses_within_reach() {
        // (address, kept when anything local is allowed, kept when nothing local is)
        let table = [
            ("203.0.113.7", true, true),
            ("2001:db8::1", true, true),
            ("192.168.1.2", true, false),
            ("10.0.0.1", true, false),
            ("172.16.9.9", true, false),
            ("100.64.0.1", true, false),
            ("fd00::1", true, false),
            ("::ffff:192.168.1.2", true, false),
            ("127.0.0.1", true, false),
            ("127.8.9.1", true, false),
            ("::1", true, false),
            ("::ffff:127.0.0.1", true, false),
            ("5d3c1b1e-7d0c-4b4c-9b7d-1f0a2b3c4d5e.local", false, false),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("::", false, false),
            ("224.0.0.251", false, false),
            ("239.255.255.250", false, false),
            ("255.255.255.255", false, false),
            ("240.0.0.1", false, false),
            ("169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("ff02::fb", false, false),
            ("::ffff:224.0.0.1", false, false),
            ("64:ff9b::c0a8:1", false, false),
            ("2002:c0a8:0101::1", false, false),
            ("example.com", false, false),
            ("a.b.local", false, false),
            (".local", false, false),
            ("127.1", false, false),
        ];
        for (address, with_local, without) in table {
            assert_eq!(keeps_address(address, ALL), with_local, "{address}, anything local");
            assert_eq!(keeps_address(address, PUBLIC), without, "{address}, nothing local");
        }
    }

    #[test]
    fn drops_candidates_that_are_malformed_or_aim_at_services() {
        let table = [
            ("1 1 udp 1 203.0.113.7 40000 typ srflx raddr 0.0.0.0 rport 0", true),
            ("1 1 UDP 1 203.0.113.7 1024 typ host generation 0", true),
            ("1 1 udp 1 203.0.113.7 0 typ host", false),
            ("1 1 udp 1 203.0.113.7 53 typ host", false),
            ("1 1 udp 1 203.0.113.7 65536 typ host", false),
            ("1 1 udp 1 203.0.113.7 -1 typ host", false),
            ("1 2 udp 1 203.0.113.7 40000 typ host", false),
            ("1 1 tcp 1 203.0.113.7 40000 typ host tcptype passive", false),
            ("1 1 udp 1 203.0.113.7", false),
            ("", false),
        ];
        for (candidate, kept) in table {
            assert_eq!(keeps(candidate, ALL), kept, "{candidate}");
        }
        for line in ["A=candidate:1 1 udp 1 127.0.0.1 40000 typ host", "a=remote-candidates:1 x 5"]
        {
            let text = sdp(&[]) + line + "\r\n";
            assert!(!filter(&text, PUBLIC).unwrap().contains(line), "{line}");
        }
    }

    #[test]
    fn keeps_no_more_candidates_than_the_limit() {
        let many: Vec<String> =
            (0..200).map(|i| format!("1 1 udp 1 203.0.113.7 {} typ host", 2000 + i)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = filter(&sdp(&many), PUBLIC).unwrap();
        assert_eq!(kept.lines().filter(|line| is_candidate_line(line)).count(), CANDIDATES_MAX);
    }

    #[test]
    fn a_browsers_offer_passes_without_its_name_which_is_looked_up_beside_it() {
        let hidden = "842163049 1 udp 2113937151 0B1c2d3e-0000-4000-8000-123456789abc.local 50123 \
            typ host generation 0 network-cost 999";
        let reflexive = "842163049 1 udp 1677729535 203.0.113.9 50123 typ srflx raddr 0.0.0.0 \
            rport 0 generation 0 network-cost 999";
        let text = sdp(&[hidden, reflexive]) + "a=end-of-candidates\r\n";
        let text = text.replace("t=0 0", "t=0 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS");
        let kept = filter(&text, ALL).unwrap();
        assert_eq!(kept, text.replace(&format!("a=candidate:{hidden}\r\n"), ""));
        let named = named_candidates(&text);
        assert_eq!(named.len(), 1);
        let lower = LocalName::parse("0b1c2d3e-0000-4000-8000-123456789abc.local");
        assert_eq!(Some(&named[0].name), lower.as_ref());
        let at = named[0].at("192.168.1.5".parse().unwrap());
        let expected = "candidate:842163049 1 udp 2113937151 192.168.1.5 50123 typ host \
            generation 0 network-cost 999";
        assert_eq!(at, expected);
        assert_eq!(
            filter(&sdp(&[&at[10..]]), ALL),
            Ok(sdp(&[&at[10..]])),
            "as if it had stood there"
        );
    }

    #[test]
    fn only_a_few_names_are_looked_up_and_none_that_aim_at_services() {
        let name = "0b1c2d3e-0000-4000-8000-123456789abc.local";
        let table = [
            (format!("1 1 udp 1 {name} 40000 typ host"), 1),
            (format!("1 1 udp 1 {name} 53 typ host"), 0),
            (format!("1 1 tcp 9 {name} 40000 typ host"), 0),
            (format!("1 1 udp 1 {name}"), 0),
            (format!("1 1 udp 1 203.0.113.9 40000 typ srflx raddr {name} rport 5"), 0),
            ("1 1 udp 1 printer.local 40000 typ host".to_owned(), 0),
            ("1 1 udp 1 example.com 40000 typ host".to_owned(), 0),
        ];
        for (line, count) in table {
            assert_eq!(named_candidates(&sdp(&[&line])).len(), count, "{line}");
        }
        let many: Vec<String> = (0..200)
            .map(|i| format!("1 1 udp 1 {i:08}-0000-4000-8000-123456789abc.local 40000 typ host"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(named_candidates(&sdp(&many)).len(), NAMED_CANDIDATES_MAX);
        let twice = sdp(&[format!("1 1 udp 1 {name} 40000 typ host").as_str(); 2]);
        assert_eq!(named_candidates(&twice).len(), 2);
    }

    #[test]
    fn refuses_what_is_not_one_data_channel_section() {
        let good = sdp(&[]);
        let video = good.clone() + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
        let twice = good.clone() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        let table = [
            (String::new(), SdpError::NotSdp),
            ("garbage".to_owned(), SdpError::NotSdp),
            ("v=0\r\n\0".to_owned(), SdpError::NotSdp),
            ("v=0\r\n".to_owned(), SdpError::NotDataChannel),
            (video, SdpError::NotDataChannel),
            (twice, SdpError::NotDataChannel),
            (good.replace("a=ice-pwd", "a=x"), SdpError::Incomplete),
            (good.replace("a=fingerprint", "a=x"), SdpError::Incomplete),
            (format!("v=0\r\n{}", "a".repeat(SDP_BYTES_MAX)), SdpError::TooLong),
        ];
        for (text, error) in table {
            assert_eq!(filter(&text, ALL), Err(error));
        }
        assert_eq!(filter(&good, ALL), Ok(good.clone()));
        assert_eq!(filter(&good.replace("\r\n", "\n"), ALL), Ok(good));
    }
}

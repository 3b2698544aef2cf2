//! What members say a segment's SHA-256 is, and when that is believed.
//!
//! A hash is agreed when members in two different networks claim it, each with the segment from
//! the origin itself, and nobody with such a claim says otherwise. Whoever has members in two
//! networks can lie nevertheless; whoever has but one can only prevent agreement. It knows neither
//! bytes nor connections. Driven by the stream's actor; PROTOCOL.md describes the rule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Sha256;
use crate::ids::SegmentId;

/// Claims remembered of one network; the oldest goes first.
pub const CLAIMS_PER_NETWORK_MAX: usize = 128;
/// Networks whose claims are remembered; the one that said something longest ago goes first.
pub const NETWORKS_MAX: usize = 64;
/// Hashes of our own that are remembered, and segments that were contradicted.
pub const SEGMENTS_MAX: usize = 1024;
/// Networks that must say the same.
const VOICES_MIN: usize = 2;

/// What one party is likely to own, and can therefore speak for only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address: an IPv4 /24 or an IPv6 /48; among local addresses, which are
    /// handed out within one house, each is a network of its own.
    pub fn of(ip: IpAddr, is_local: bool) -> Self {
        Self(match ip.to_canonical() {
            ip if is_local => ip,
            IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & !0xff)),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 80))),
        })
    }
}

/// The claims about one stream's segments.
#[derive(Debug, Default)]
pub struct Agreement {
    /// What the origin sent us.
    own: BTreeMap<SegmentId, Sha256>,
    /// The keys of `own`, oldest first.
    own_order: VecDeque<SegmentId>,
    /// What each network had from the origin, as it says.
    claims: BTreeMap<SegmentId, BTreeMap<Network, Sha256>>,
    /// Whose claims those are, oldest first; the network that spoke last is last.
    networks: VecDeque<(Network, VecDeque<SegmentId>)>,
    /// Segments of which different things were claimed.
    disputed: BTreeSet<SegmentId>,
    /// The same, oldest first.
    disputed_order: VecDeque<SegmentId>,
}

impl Agreement {
    /// Nobody has said anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The origin sent us this segment. Whatever else is said of it, this counts.
    pub fn learn(&mut self, segment: SegmentId, sha256: Sha256) {
        if self.own.insert(segment, sha256).is_none() {
            self.own_order.push_back(segment);
        }
        if self.own_order.len() > SEGMENTS_MAX
            && let Some(oldest) = self.own_order.pop_front()
        {
            self.own.remove(&oldest);
        }
    }

    /// A member in that network says what it had from the origin.
    pub fn claim(&mut self, network: Network, segment: SegmentId, sha256: Sha256) {
        if self.disputed.contains(&segment) {
            return;
        }
        let claims = self.claims.entry(segment).or_default();
        if claims.values().any(|other| *other != sha256) {
            self.dispute(segment);
            return;
        }
        if claims.insert(network, sha256).is_none() {
            self.remember(network, segment);
        }
    }

    /// What the segment is, if that is beyond doubt.
    pub fn agreed(&self, segment: SegmentId) -> Option<Sha256> {
        if let Some(own) = self.own.get(&segment) {
            return Some(*own);
        }
        // Claims that differ are not kept.
        let claims = self.claims.get(&segment)?;
        claims.values().next().filter(|_| claims.len() >= VOICES_MIN).copied()
    }

    fn dispute(&mut self, segment: SegmentId) {
        let claims = self.claims.remove(&segment).unwrap_or_default();
        for (network, said) in &mut self.networks {
            if claims.contains_key(network) {
                said.retain(|said| *said != segment);
            }
        }
        self.disputed.insert(segment);
        self.disputed_order.push_back(segment);
        if self.disputed_order.len() > SEGMENTS_MAX
            && let Some(oldest) = self.disputed_order.pop_front()
        {
            self.disputed.remove(&oldest);
        }
    }

    /// Notes whose claim it was, and forgets what is too much.
    fn remember(&mut self, network: Network, segment: SegmentId) {
        let at = self.networks.iter().position(|(known, _)| *known == network);
        let known = at.and_then(|at| self.networks.remove(at));
        let (_, mut said) = known.unwrap_or((network, VecDeque::new()));
        said.push_back(segment);
        if said.len() > CLAIMS_PER_NETWORK_MAX
            && let Some(oldest) = said.pop_front()
        {
            self.forget(network, oldest);
        }
        self.networks.push_back((network, said));
        if self.networks.len() > NETWORKS_MAX
            && let Some((silent, said)) = self.networks.pop_front()
        {
            said.into_iter().for_each(|segment| self.forget(silent, segment));
        }
    }

    fn forget(&mut self, network: Network, segment: SegmentId) {
        if let Some(claims) = self.claims.get_mut(&segment) {
            claims.remove(&network);
            if claims.is_empty() {
                self.claims.remove(&segment);
            }
        }
    }
}

#[cfg(test)]
#[path = "agreement_tests.rs"]
mod tests;

//! When a hash is believed, and that no number of claims makes it otherwise.

use super::*;
use proptest::prelude::*;

const SEGMENT: SegmentId = SegmentId(5);
const TRUE: Sha256 = [1; 32];
const FALSE: Sha256 = [2; 32];

fn at(address: &str) -> Network {
    Network::of(address.parse().unwrap(), false)
}

fn after(claims: &[(&str, Sha256)]) -> Agreement {
    let mut agreement = Agreement::new();
    claims.iter().for_each(|(from, sha256)| agreement.claim(at(from), SEGMENT, *sha256));
    agreement
}

#[test]
fn members_in_two_networks_that_had_the_same_from_the_origin_are_believed() {
    let one = ("203.0.113.7", TRUE);
    for (second, is_agreed) in [
        ("203.0.113.7", false),
        ("203.0.113.8", false),
        ("::ffff:203.0.113.9", false),
        ("203.0.114.7", true),
        ("2001:db8:1::1", true),
    ] {
        let agreed = after(&[one, (second, TRUE)]).agreed(SEGMENT);
        assert_eq!(agreed, is_agreed.then_some(TRUE), "{second}");
    }
    let six = ("2001:db8:1:2::3", TRUE);
    assert_eq!(after(&[six, ("2001:db8:1:ffff::1", TRUE)]).agreed(SEGMENT), None);
    assert_eq!(after(&[six, ("2001:db8:2::1", TRUE)]).agreed(SEGMENT), Some(TRUE));
    assert_eq!(after(&[]).agreed(SEGMENT), None);
}

#[test]
fn hosts_of_one_house_are_networks_of_their_own() {
    let house = |address: &str| Network::of(address.parse().unwrap(), true);
    let mut agreement = Agreement::new();
    agreement.claim(house("192.168.1.2"), SEGMENT, TRUE);
    agreement.claim(house("::ffff:192.168.1.2"), SEGMENT, TRUE);
    assert_eq!(agreement.agreed(SEGMENT), None);
    agreement.claim(house("192.168.1.3"), SEGMENT, TRUE);
    assert_eq!(agreement.agreed(SEGMENT), Some(TRUE));
}

#[test]
fn once_contradicted_nothing_is_believed_any_more() {
    let (a, b, c) = ("203.0.113.7", "198.51.100.7", "192.0.2.7");
    let mut agreement = after(&[(a, TRUE), (b, TRUE), (c, FALSE)]);
    assert_eq!(agreement.agreed(SEGMENT), None);
    for claimant in [a, b, c, "100.0.0.1", "101.0.0.1"] {
        agreement.claim(at(claimant), SEGMENT, TRUE);
    }
    assert_eq!(agreement.agreed(SEGMENT), None);
    let changed_its_mind = after(&[(a, FALSE), (a, TRUE), (b, TRUE)]);
    assert_eq!(changed_its_mind.agreed(SEGMENT), None);
}

#[test]
fn what_the_origin_sent_us_outweighs_what_others_say() {
    for claims in [&[][..], &[("203.0.113.7", FALSE), ("198.51.100.7", FALSE)]] {
        let mut agreement = after(claims);
        agreement.learn(SEGMENT, TRUE);
        assert_eq!(agreement.agreed(SEGMENT), Some(TRUE));
        agreement.claim(at("192.0.2.7"), SEGMENT, FALSE);
        assert_eq!(agreement.agreed(SEGMENT), Some(TRUE));
    }
}

#[test]
fn a_flood_of_claims_takes_bounded_memory_and_drives_out_only_its_own() {
    let mut agreement = after(&[("203.0.113.7", TRUE), ("198.51.100.7", TRUE)]);
    for n in 0..10_000 {
        agreement.claim(at("192.0.2.7"), SegmentId(100 + n), FALSE);
        agreement.claim(at("192.0.3.7"), SegmentId(100 + n), [n as u8; 32]);
        agreement.learn(SegmentId(1_000_000 + n), TRUE);
    }
    assert_eq!(agreement.agreed(SEGMENT), Some(TRUE), "others are not forgotten for it");
    assert_eq!(agreement.disputed.len(), SEGMENTS_MAX);
    assert_eq!((agreement.own.len(), agreement.own_order.len()), (SEGMENTS_MAX, SEGMENTS_MAX));
    for n in 0..1_000_u32 {
        let network = Network::of(IpAddr::V4(Ipv4Addr::from_bits(n << 8)), false);
        (0..200).for_each(|segment| agreement.claim(network, SegmentId(segment), FALSE));
    }
    let remembered: usize = agreement.claims.values().map(BTreeMap::len).sum();
    assert!(remembered <= NETWORKS_MAX * CLAIMS_PER_NETWORK_MAX, "{remembered}");
    let noted: usize = agreement.networks.iter().map(|(_, said)| said.len()).sum();
    assert_eq!((agreement.networks.len(), noted), (NETWORKS_MAX, remembered));
}

/// Claims of `(network, segment, hash)`, few enough for all to be remembered.
fn any_claims() -> impl Strategy<Value = Vec<(u32, u64, u8)>> {
    prop::collection::vec((0..6u32, 0..4u64, 0..2u8), 0..24)
}

fn replay(claims: &[(u32, u64, u8)]) -> Vec<Option<Sha256>> {
    let mut agreement = Agreement::new();
    for (network, segment, hash) in claims {
        let network = Network::of(IpAddr::V4(Ipv4Addr::from_bits(network << 8)), false);
        agreement.claim(network, SegmentId(*segment), [*hash; 32]);
    }
    (0..4).map(|segment| agreement.agreed(SegmentId(segment))).collect()
}

proptest! {
    #[test]
    fn liars_in_one_network_never_agree_however_many_they_are(
        claims in prop::collection::vec((any::<u8>(), 0..200u64, any::<u8>()), 0..500)
    ) {
        let mut agreement = Agreement::new();
        for (host, segment, hash) in &claims {
            let host = IpAddr::V4(Ipv4Addr::new(203, 0, 113, *host));
            agreement.claim(Network::of(host, false), SegmentId(*segment), [*hash; 32]);
        }
        prop_assert!((0..200).all(|segment| agreement.agreed(SegmentId(segment)).is_none()));
    }

    #[test]
    fn the_order_of_claims_does_not_matter(
        (claims, shuffled) in any_claims().prop_flat_map(|claims| {
            (Just(claims.clone()), Just(claims).prop_shuffle())
        })
    ) {
        prop_assert_eq!(replay(&claims), replay(&shuffled));
    }

    #[test]
    fn what_is_agreed_is_what_everybody_said(claims in any_claims()) {
        for (segment, agreed) in replay(&claims).into_iter().enumerate() {
            let said: BTreeSet<_> =
                claims.iter().filter(|c| c.1 == segment as u64).map(|c| c.2).collect();
            let networks: BTreeSet<_> =
                claims.iter().filter(|c| c.1 == segment as u64).map(|c| c.0).collect();
            let is_certain = said.len() == 1 && networks.len() >= 2;
            prop_assert_eq!(agreed.is_some(), is_certain, "segment {}", segment);
            prop_assert!(agreed.is_none_or(|hash| said.contains(&hash[0])));
        }
    }
}

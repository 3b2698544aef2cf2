//! What is compared of segments, by counts: data in, data out.

use super::*;

const A: PeerKey = PeerKey(1);
const B: PeerKey = PeerKey(2);
const SIZE: u64 = 2_500_000;

/// The same numbers for the same seed (SplitMix64).
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

fn share(peer: PeerKey, bytes: Range<u64>) -> Share {
    Share { peer, bytes }
}

fn trusting(peers: &[(PeerKey, u32)]) -> Trust {
    Trust { agreed: peers.iter().copied().collect(), ..Trust::default() }
}

/// The slices planned, leaving out the times when all is compared.
fn slices(trust: &Trust, size: u64, shares: &[Share]) -> Vec<Vec<Range<u64>>> {
    let mut random = numbers(7);
    let plans = (0..2_000).map(|_| trust.plan(size, shares, &mut random));
    let plans = plans.filter_map(|check| match check {
        Check::Slices(slices) => Some(slices),
        Check::Whole => None,
    });
    plans.collect()
}

fn bytes(slices: &[Range<u64>]) -> u64 {
    slices.iter().map(|slice| slice.end - slice.start).sum()
}

#[test]
fn a_strangers_slices_are_long_and_those_of_the_proven_short() {
    let shares = [share(A, 0..SIZE)];
    for (agreed, size, compared) in [
        (0, 10_000_000, 2 * SLICE_BYTES_MAX),
        (1, 10_000_000, SLICE_BYTES_MAX),
        (2, 10_000_000, SLICE_BYTES_MAX / 2),
        (3, 10_000_000, SLICE_BYTES_MAX / 4),
        (4, 10_000_000, SLICE_BYTES),
        (u32::MAX, 10_000_000, SLICE_BYTES),
        (0, SIZE, SIZE * 3 / 100),
        (9, SIZE, SLICE_BYTES),
        (0, 188_000, 188_000 * 3 / 100),
        (9, 188_000, 188_000 * 3 / 100),
        (0, 40_000, 5_000),
        (9, 40_000, 5_000),
        (0, 100, 100),
        (9, 1, 1),
    ] {
        let shares = if size > SIZE { [share(A, 0..size)] } else { shares.clone() };
        for slices in slices(&trusting(&[(A, agreed)]), size, &shares) {
            assert_eq!(bytes(&slices), compared, "{agreed} {size} {slices:?}");
            assert!(slices.windows(2).all(|pair| pair[0].end <= pair[1].start), "{slices:?}");
            assert!(slices.iter().all(|slice| slice.end <= size), "{slices:?}");
        }
    }
}

#[test]
fn every_contributor_has_a_slice_however_well_known() {
    let peers = (0..8).map(PeerKey);
    let shares: Vec<_> = peers
        .map(|peer| share(peer, SIZE / 8 * u64::from(peer.0)..SIZE / 8 * (u64::from(peer.0) + 1)))
        .collect();
    let known: Vec<_> = shares.iter().map(|share| (share.peer, share.peer.0)).collect();
    for slices in slices(&trusting(&known), SIZE, &shares) {
        for Share { peer, bytes } in &shares {
            let is_in = |slice: &Range<u64>| slice.start >= bytes.start && slice.end <= bytes.end;
            assert!(slices.iter().any(is_in), "{peer:?} {slices:?}");
        }
        assert!(bytes(&slices) <= SIZE * 3 / 100 + 8, "{slices:?}");
    }
}

#[test]
fn bytes_of_the_origin_are_not_compared() {
    let shares = [share(A, 100_000..600_000), share(A, 900_000..1_400_000)];
    for slices in slices(&Trust::default(), SIZE, &shares) {
        for slice in slices {
            assert!(
                shares.iter().any(|s| s.bytes.start <= slice.start && slice.end <= s.bytes.end)
            );
        }
    }
    assert!(slices(&Trust::default(), SIZE, &[]).iter().all(Vec::is_empty));
}

#[test]
fn no_place_of_a_segment_is_better_to_lie_in() {
    let (size, places) = (100_000, 20);
    let mut met = vec![0u32; places];
    let plans = slices(&trusting(&[(A, 9)]), size, &[share(A, 0..size)]);
    for slice in plans.iter().flatten() {
        for (place, met) in met.iter_mut().enumerate() {
            let at = place as u64 * (size - 1) / (places as u64 - 1);
            *met += u32::from(slice.contains(&at));
        }
    }
    let expected = plans.len() as f64 * 0.03;
    let is_near = |met: &u32| (f64::from(*met) - expected).abs() < expected / 2.0;
    assert!(met.iter().all(is_near), "{met:?} {expected}");
}

#[test]
fn whole_segments_are_compared_now_and_then() {
    let shares = [share(A, 0..SIZE)];
    for (agreed, once_in) in [(0, 64), (4, 1024)] {
        let (trust, mut random) = (trusting(&[(A, agreed)]), numbers(3));
        let plans = (0..1024 * 64).map(|_| trust.plan(SIZE, &shares, &mut random));
        let whole = plans.filter(|check| *check == Check::Whole).count();
        let expected = 1024 * 64 / once_in;
        assert!((expected * 4 / 5..expected * 6 / 5).contains(&whole), "{whole} {expected}");
    }
}

#[test]
fn of_an_agreed_segment_only_strangers_bytes_are_compared() {
    let shares = [share(A, 0..SIZE / 2), share(B, SIZE / 2..SIZE)];
    let mut random = numbers(1);
    let check = trusting(&[(A, PROVEN_AFTER)]).plan_agreed(SIZE, &shares, &mut random);
    let Check::Slices(slices) = check else { panic!("{check:?}") };
    assert_eq!(bytes(&slices), SLICE_BYTES / 2);
    assert!(slices.iter().all(|slice| slice.start >= SIZE / 2));
    let proven = trusting(&[(A, PROVEN_AFTER), (B, PROVEN_AFTER)]);
    assert_eq!(proven.plan_agreed(SIZE, &shares, &mut random), Check::Slices(Vec::new()));
}

#[test]
fn who_flips_a_byte_is_found_out_when_it_is_said() {
    for (honest, size) in [(0, SIZE), (4, SIZE), (0, 1_000_000), (4, 1_000_000), (0, 50_000)] {
        let (mut random, trials) = (numbers(11), 2_000);
        let mut segments = 0u64;
        for _ in 0..trials {
            let mut trust = trusting(&[(A, honest)]);
            loop {
                segments += 1;
                let flipped = random() % size;
                let is_caught = match trust.plan(size, &[share(A, 0..size)], &mut random) {
                    Check::Whole => true,
                    Check::Slices(slices) => slices.iter().any(|slice| slice.contains(&flipped)),
                };
                if is_caught {
                    break;
                }
                trust.agreed(A);
            }
        }
        let mean = segments as f64 / f64::from(trials);
        let expected = expected_until_caught(size, honest);
        assert!((mean / expected - 1.0).abs() < 0.1, "{size} {honest}: {mean} {expected}");
    }
}

#[test]
fn the_figures_of_the_module_are_so() {
    let expected = [(SIZE, 0), (SIZE, 4), (1_000_000, 0), (1_000_000, 4)]
        .map(|(size, honest)| expected_until_caught(size, honest).round());
    assert_eq!(expected, [215.0, 235.0, 99.0, 109.0]);
    let cost = SLICE_BYTES as f64 / SIZE as f64 + 1.0 / 1024.0;
    assert_eq!((cost * 10_000.0).round(), 43.0);
}

#[test]
fn a_culprit_is_named_only_when_it_is_certain() {
    let shares = [share(A, 0..100), share(B, 100..200), share(A, 200..300)];
    assert_eq!(culprit(&shares, &(10..20)), Some(A));
    assert_eq!(culprit(&shares, &(100..200)), Some(B));
    assert_eq!(culprit(&shares, &(90..110)), None);
    assert_eq!(culprit(&shares[..1], &(50..400)), Some(A));
    assert_eq!(culprit(&shares, &(300..400)), None);
}

#[test]
fn nonsense_about_shares_is_harmless() {
    let mut random = numbers(5);
    for shares in [
        vec![share(A, 10..u64::MAX)],
        vec![share(A, 5..5), share(B, 900..950)],
        vec![share(A, 0..100), share(B, 0..100)],
        (0..10_000).map(|n| share(PeerKey(n), u64::from(n)..u64::from(n) + 1)).collect(),
    ] {
        for size in [0, 1, 100, 1 << 20, 1 << 40] {
            Trust::default().plan(size, &shares, &mut random);
            Trust::default().plan_agreed(size, &shares, &mut random);
        }
    }
}

#[test]
fn of_a_listed_segment_one_slice_is_compared_however_many_brought_it() {
    let size = 80 * (8 << 10) + 1;
    let sayers = BTreeSet::from([A, B]);
    let mut trust = Trust::default();
    let slice = |trust: &Trust, number: u64| {
        let mut numbers = [1, number].into_iter();
        trust.plan_list(size, &sayers, &mut || numbers.next().unwrap())
    };
    assert!((0..99).all(|n| slice(&trust, n).end <= size && !slice(&trust, n).is_empty()));
    assert!((0..99).any(|n| slice(&trust, n).end == size));
    for _ in 0..PROVEN_AFTER {
        trust.agreed(A);
    }
    for number in 0..81 {
        let block = number * (8 << 10);
        assert_eq!(slice(&trust, number), block..(block + (8 << 10)).min(size));
    }
    let mut whole = || 0;
    assert_eq!(trust.plan_list(size, &sayers, &mut whole), 0..size);
    assert_eq!(trust.plan_list(1, &BTreeSet::new(), &mut || 1), 0..1);
    let small = trust.plan_list(100_000, &sayers, &mut || 1);
    assert!(small.end - small.start <= 3 << 10, "{small:?} of 100 kB");
}

#[test]
fn who_says_a_wrong_list_is_a_stranger_of_whose_lists_half_is_compared() {
    let mut trust = trusting(&[(A, 9), (B, 9)]);
    let compared = |trust: &Trust, sayers: &[PeerKey]| {
        let mut numbers = [1, 200].into_iter();
        let sayers = sayers.iter().copied().collect();
        let slice = trust.plan_list(SIZE, &sayers, &mut || numbers.next().unwrap());
        slice.end - slice.start
    };
    assert_eq!(compared(&trust, &[A]), SLICE_BYTES);
    assert!(!trust.doubt(A));
    assert!(!trust.is_proven(A));
    assert!(compared(&trust, &[A]) >= SIZE / 2);
    assert_eq!(compared(&trust, &[A, B]), SLICE_BYTES, "somebody else says it, too");
    (0..PROVEN_AFTER).for_each(|_| trust.agreed(A));
    assert_eq!(compared(&trust, &[A]), SLICE_BYTES);
}

#[test]
fn who_says_wrong_lists_is_banned_when_too_few_of_its_segments_were_right() {
    // (right before, then right after each wrong list; which wrong list is the last)
    for (before, after, banned) in
        [(0, 0, 2), (4, 0, 2), (5, 0, 3), (9, 0, 5), (0, 1, 2), (2, 2, 2)]
    {
        let mut trust = trusting(&[(A, before)]);
        let last = (1..99).find(|_| {
            let is_banned = trust.doubt(A);
            (0..after).for_each(|_| trust.agreed(A));
            is_banned
        });
        assert_eq!(last, Some(banned), "{before} right, then {after} each");
    }
    let mut trust = Trust::default();
    assert!((0..99).all(|_| {
        (0..3).for_each(|_| trust.agreed(A));
        !trust.doubt(A)
    }));
    trust.forget(A);
    assert!(!trust.doubt(A), "somebody else");
}

//! What lists of block hashes are worth: data in, data out.

use proptest::prelude::*;

use super::*;

const S: SegmentId = SegmentId(7);
const SIZE: usize = 70 * BLOCK_BYTES as usize + 100;

fn bytes(lie_at: Option<usize>) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..SIZE).map(|at| (at / 1000 + at % 251) as u8).collect();
    if let Some(at) = lie_at {
        bytes[at] ^= 1;
    }
    bytes
}

fn list(lie_at: Option<usize>) -> List {
    List::of(&bytes(lie_at)).unwrap()
}

fn say(lists: &mut BlockLists, peer: u32, list: &List) -> bool {
    let mut is_complete = false;
    for (number, part) in list.hashes.chunks(8).enumerate() {
        is_complete = lists.claim(PeerKey(peer), S, list.total, number * 8, part);
    }
    is_complete
}

/// The first block.
fn draw(_: u64, _: &BTreeSet<PeerKey>) -> Range<u64> {
    0..1
}

fn see(lists: &mut BlockLists, glimpse: &Glimpse) -> Vec<PeerKey> {
    let origin = bytes(None);
    lists.seen(glimpse, SIZE as u64, &hashes(cut(&origin, glimpse.slice.clone()), SIZE as u64))
}

#[test]
fn a_list_counts_once_a_random_slice_of_it_is_the_origins() {
    let mut lists = BlockLists::default();
    assert!(say(&mut lists, 1, &list(None)));
    assert_eq!(lists.confirmed(S), None);
    let glimpse = lists.look(S, |_, _| 9000..9001).unwrap();
    assert_eq!((glimpse.slice.clone(), glimpse.is_random), (8192..16384, true));
    assert_eq!(lists.look(S, draw), None, "one is enough");
    assert!(lists.is_looking(S));
    assert_eq!(see(&mut lists, &glimpse), []);
    let confirmed = lists.confirmed(S).unwrap();
    assert_eq!(*confirmed, list(None));
    assert_eq!(lists.look(S, draw), None);
    assert!(confirmed.fits(70, &bytes(None)[70 * 8192..]));
    assert!(!confirmed.fits(70, &bytes(Some(SIZE - 1))[70 * 8192..]));
    assert!(!confirmed.fits(71, &[]));
}

#[test]
fn who_says_what_is_not_the_origins_is_named() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(Some(100)));
    say(&mut lists, 2, &list(Some(100)));
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1), PeerKey(2)]);
    assert_eq!((lists.confirmed(S), lists.look(S, draw)), (None, None));
}

#[test]
fn who_misled_is_remembered_until_it_leaves() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(Some(100)));
    say(&mut lists, 2, &list(None));
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
    assert!(lists.has_misled(S, PeerKey(1)) && !lists.has_misled(S, PeerKey(2)));
    assert!(!lists.has_misled(SegmentId(99), PeerKey(1)));
    assert!(!lists.has_forged(S, PeerKey(1)), "one block is wrong");
    lists.forget(PeerKey(1));
    assert!(!lists.has_misled(S, PeerKey(1)));
}

#[test]
fn who_lists_another_segment_is_told_from_who_lists_one_wrong_block() {
    let other = List::of(&vec![7; SIZE]).unwrap();
    let longer = List::of(&vec![7; SIZE + 1]).unwrap();
    for (forged, beside) in [(&other, None), (&other, Some(list(None))), (&longer, None)] {
        let mut lists = BlockLists::default();
        say(&mut lists, 1, forged);
        beside.iter().for_each(|list| assert!(say(&mut lists, 2, list)));
        let glimpse = lists.look(S, draw).unwrap();
        assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
        assert!(lists.has_forged(S, PeerKey(1)) && !lists.has_forged(S, PeerKey(2)));
    }
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(Some(100)));
    let glimpse = lists.look(S, |size, _| 0..size).unwrap();
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
    assert!(!lists.has_forged(S, PeerKey(1)), "of all that was compared one block was wrong");
}

#[test]
fn where_lists_differ_the_origin_decides_and_then_a_random_slice() {
    for (first, second) in [(None, Some(50_000)), (Some(50_000), None)] {
        let mut lists = BlockLists::default();
        say(&mut lists, 1, &list(first));
        say(&mut lists, 2, &list(second));
        let glimpse = lists.look(S, draw).unwrap();
        assert_eq!((glimpse.slice.clone(), glimpse.is_random), (49_152..57_344, false));
        assert_eq!(see(&mut lists, &glimpse), [PeerKey(if first.is_none() { 2 } else { 1 })]);
        assert_eq!(lists.confirmed(S), None, "what a liar chose to differ in shows nothing else");
        let glimpse = lists.look(S, draw).unwrap();
        assert!(glimpse.is_random);
        assert_eq!(see(&mut lists, &glimpse), []);
        assert_eq!(*lists.confirmed(S).unwrap(), list(None));
    }
}

#[test]
fn a_list_that_counts_goes_on_counting_until_it_is_shown_to_be_wrong() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(Some(50_000)));
    let glimpse = lists.look(S, draw).unwrap();
    see(&mut lists, &glimpse);
    say(&mut lists, 2, &list(None));
    assert!(lists.confirmed(S).is_some());
    let glimpse = lists.look(S, draw).unwrap();
    assert!(lists.confirmed(S).is_some());
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
    assert_eq!(lists.confirmed(S), None);
}

#[test]
fn a_block_that_is_not_as_listed_is_looked_at() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(None));
    let glimpse = lists.look(S, draw).unwrap();
    see(&mut lists, &glimpse);
    lists.question(S, 70);
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!((glimpse.slice.clone(), glimpse.is_random), (573_440..SIZE as u64, false));
    assert_eq!(see(&mut lists, &glimpse), [], "the list is right");
    assert_eq!(lists.look(S, draw), None);
}

#[test]
fn lists_of_another_size_are_wrong_wherever_they_agree() {
    let mut lists = BlockLists::default();
    let short = List { total: SIZE as u64 - 1, ..list(None) };
    say(&mut lists, 1, &short);
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
    say(&mut lists, 1, &short);
    say(&mut lists, 2, &list(None));
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!(see(&mut lists, &glimpse), [PeerKey(1)]);
}

#[test]
fn a_segment_of_few_bytes_has_small_blocks() {
    let few = &bytes(None)[..10_000];
    let list = List::of(few).unwrap();
    assert_eq!((list.hashes.len(), list.range(9)), (10, 9_216..10_000));
    assert_eq!(list.hashes, hashes(few, 10_000));
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list);
    let glimpse = lists.look(S, draw).unwrap();
    assert_eq!(glimpse.slice, 0..1_024);
    assert_eq!(lists.seen(&glimpse, 10_000, &hashes(&few[..1_024], 10_000)), []);
    assert!(lists.confirmed(S).is_some());
    // Another list, of a size whose blocks are larger: the right one is not measured by it.
    let large = self::list(None);
    say(&mut lists, 2, &large);
    let glimpse = lists.look(S, draw).unwrap();
    let seen = hashes(cut(few, glimpse.slice.clone()), glimpse.total);
    assert_eq!(lists.seen(&glimpse, 10_000, &seen), [PeerKey(2)]);
}

#[test]
fn nothing_follows_where_the_origin_cannot_be_asked() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(None));
    lists.look(S, draw).unwrap();
    lists.give_up(S);
    say(&mut lists, 1, &list(None));
    assert_eq!((lists.look(S, draw), lists.confirmed(S)), (None, None));
    assert!(!lists.is_looking(S));
}

#[test]
fn who_leaves_is_not_named() {
    let mut lists = BlockLists::default();
    say(&mut lists, 1, &list(Some(100)));
    let glimpse = lists.look(S, draw).unwrap();
    lists.forget(PeerKey(1));
    assert_eq!(see(&mut lists, &glimpse), []);
    assert_eq!(lists.confirmed(S), None);
}

#[test]
fn memory_is_bounded() {
    let mut lists = BlockLists::default();
    let claim = |lists: &mut BlockLists, id, total, first, count| {
        lists.claim(PeerKey(1), SegmentId(id), total, first, &vec![[0; 16]; count])
    };
    assert!(!claim(&mut lists, 1, 0, 0, 0), "of nothing");
    assert!(!claim(&mut lists, 1, (BLOCKS_MAX as u64 + 1) * BLOCK_BYTES, 0, 255), "too large");
    assert!(!claim(&mut lists, 1, u64::MAX, usize::MAX, 255));
    assert!(!claim(&mut lists, 1, 1024, 0, 2), "more than there are");
    assert!(!claim(&mut lists, 1, 2048, 1, 1), "not from the beginning");
    assert!(!claim(&mut lists, 1, 4000, 0, 1));
    assert!(!claim(&mut lists, 2, 4000, 1, 3), "of another segment");
    assert!(lists.unfinished.is_empty() && lists.segments.is_empty());
    (0..1000).for_each(|id| assert!(claim(&mut lists, id, 1024, 0, 1)));
    assert_eq!(lists.segments.len(), SEGMENTS_MAX);
    for lie_at in 0..10 {
        say(&mut lists, 1, &list(Some(lie_at)));
    }
    assert!(lists.segments.values().all(|heard| heard.claims.len() <= LISTS_MAX));
}

proptest! {
    #[test]
    fn every_lie_in_a_slice_is_seen(lie_at in 0..SIZE, at in 0..SIZE as u64, len in 1..70_000u64) {
        let mut lists = BlockLists::default();
        say(&mut lists, 1, &list(Some(lie_at)));
        let glimpse = lists.look(S, |_, _| at..at + len).unwrap();
        prop_assert!(glimpse.slice.start <= at && glimpse.slice.end >= (at + len).min(SIZE as u64));
        let is_seen = glimpse.slice.contains(&(lie_at as u64));
        prop_assert_eq!(see(&mut lists, &glimpse).is_empty(), !is_seen);
        prop_assert_eq!(lists.confirmed(S).is_none(), is_seen);
    }
}

//! What readers and the writer of a segment that is arriving can rely on.

use super::*;

fn buffer(bytes_max: u64, segment_bytes_max: u64) -> (Arc<SegmentBuffer>, Arc<Budget>) {
    let budget = Arc::new(Budget::new(bytes_max, segment_bytes_max));
    (SegmentBuffer::new(budget.clone(), Arc::default()), budget)
}

fn head(total: Option<u64>) -> Head {
    Head {
        content_type: "video/mp2t".to_owned(),
        total,
        source: Source::Origin,
        headers: Arc::default(),
    }
}

const PLAYER: PlayerId = PlayerId(1);

#[tokio::test]
async fn a_reader_gets_bytes_before_the_segment_is_complete() {
    let (buffer, _) = buffer(1000, 1000);
    let mut reader = buffer.reader(PLAYER).unwrap();
    buffer.set_head(head(Some(6)));
    buffer.append(0, Bytes::from_static(b"abc"), true);
    assert_eq!(reader.head().await.unwrap().total, Some(6));
    assert_eq!(reader.next().await.unwrap().unwrap(), "abc");
    buffer.append(3, Bytes::from_static(b"def"), true);
    assert_eq!(buffer.complete().unwrap(), "abcdef");
    assert_eq!(reader.next().await.unwrap().unwrap(), "def");
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn bytes_of_a_peer_are_held_back_until_they_are_released() {
    let (buffer, _) = buffer(1000, 1000);
    let mut reader = buffer.reader(PLAYER).unwrap();
    buffer.append(0, Bytes::from_static(b"abc"), false);
    assert!(reader.take_ready().is_none());
    assert!(buffer.reset());
    buffer.append(0, Bytes::from_static(b"xy"), false);
    buffer.release();
    assert_eq!(reader.next().await.unwrap().unwrap(), "xy");
    buffer.append(2, Bytes::from_static(b"zzz"), false);
    assert!(buffer.put(7, Bytes::from_static(b"zzz")));
    assert!(buffer.reset());
    assert_eq!(buffer.len(), 2, "a reader has had bytes");
    buffer.append(2, Bytes::from_static(b"abcdef"), true);
    assert_eq!(reader.next().await.unwrap().unwrap(), "abcdef");
    assert_eq!(buffer.complete().unwrap(), "xyabcdef");
    assert!(!buffer.reset(), "it has ended");
}

#[tokio::test]
async fn a_failure_comes_after_what_was_released() {
    let (buffer, _) = buffer(1000, 1000);
    let mut reader = buffer.reader(PLAYER).unwrap();
    buffer.append(0, Bytes::from_static(b"abc"), true);
    buffer.fail(Failure::Abandoned);
    assert_eq!(reader.next().await.unwrap().unwrap(), "abc");
    assert_eq!(reader.next().await.unwrap_err(), Failure::Abandoned);
}

#[tokio::test]
async fn a_late_reader_starts_at_the_first_byte_even_after_the_end() {
    let (buffer, _) = buffer(1000, 1000);
    buffer.append(0, Bytes::from_static(b"abc"), true);
    buffer.append(3, Bytes::from_static(b"def"), true);
    buffer.complete();
    let mut reader = buffer.reader(PLAYER).unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), "abcdef");
}

#[tokio::test]
async fn a_segment_over_the_limit_is_relayed_in_bounded_memory() {
    let (buffer, budget) = buffer(1 << 30, 100_000);
    let mut reader = buffer.reader(PLAYER).unwrap();
    let chunk = Bytes::from(vec![7; 65_536]);
    let writer = tokio::spawn({
        let buffer = buffer.clone();
        async move {
            let mut most = 0;
            for _ in 0..1000 {
                buffer.room().await;
                buffer.append(buffer.len(), chunk.clone(), true);
                most = most.max(budget.used());
            }
            assert_eq!(buffer.complete(), None, "a relayed segment is not kept");
            most
        }
    });
    let mut read = 0;
    while let Some(bytes) = reader.next().await.unwrap() {
        read += bytes.len();
        tokio::task::yield_now().await;
    }
    assert_eq!(read, 65_536_000);
    let most = writer.await.unwrap();
    assert!(most <= RELAY_WINDOW_BYTES_MAX + 65_536, "{most}");
    assert!(buffer.reader(PLAYER).is_none(), "its first bytes are gone");
}

#[tokio::test]
async fn memory_is_given_back_and_its_limit_turns_keeping_into_relaying() {
    let (first, budget) = buffer(100, 1000);
    first.append(0, Bytes::from(vec![0; 80]), true);
    let second = SegmentBuffer::new(budget.clone(), Arc::default());
    let _reader = second.reader(PLAYER).unwrap();
    second.append(0, Bytes::from(vec![0; 30]), true);
    assert_eq!(second.complete(), None, "over the common limit");
    assert_eq!(budget.used(), 110);
    drop(first);
    assert_eq!(budget.used(), 30);
}

#[tokio::test]
async fn the_owner_hears_who_left_and_whether_they_had_it_all() {
    let (buffer, _) = buffer(1000, 1000);
    let quitter = buffer.reader(PLAYER).unwrap();
    let mut finisher = buffer.reader(PlayerId(2)).unwrap();
    buffer.append(0, Bytes::from_static(b"abc"), true);
    buffer.complete();
    drop(quitter);
    finisher.next().await.unwrap();
    drop(finisher);
    buffer.attention.notified().await;
    assert_eq!(
        buffer.departed(),
        [
            Departure { player: PLAYER, is_complete: false },
            Departure { player: PlayerId(2), is_complete: true },
        ]
    );
}

#[tokio::test]
async fn bytes_land_where_they_belong_or_nowhere() {
    let (buffer, _) = buffer(1000, 1000);
    buffer.append(0, Bytes::from_static(b"abc"), true);
    buffer.append(5, Bytes::from_static(b"gap"), true);
    buffer.append(1, Bytes::from_static(b"b"), true);
    buffer.append(1, Bytes::from_static(b"bcd"), true);
    assert_eq!(buffer.contents().unwrap(), "abcd");
    buffer.complete();
    buffer.append(4, Bytes::from_static(b"late"), true);
    assert_eq!(buffer.len(), 4);
}

#[tokio::test]
async fn a_reader_may_leave_the_rest_to_others() {
    for (bytes_max, end, expected) in
        [(10, "complete", Some(true)), (10, "fail", Some(false)), (10, "relay", Some(false))]
    {
        let (buffer, _) = buffer(1000, 8);
        let mut reader = buffer.reader(PLAYER).unwrap();
        buffer.set_head(head(Some(6)));
        buffer.append(0, Bytes::from_static(b"abc"), true);
        assert_eq!(reader.next().await.unwrap().unwrap(), "abc");
        reader.leave_to_others(bytes_max);
        assert!(buffer.departed().is_empty(), "it is still wanted");
        match end {
            "complete" => drop(buffer.complete()),
            "fail" => buffer.fail(Failure::Abandoned),
            _ => buffer.append(3, Bytes::from_static(b"more than it said"), true),
        }
        let departed: Vec<_> = buffer.departed().iter().map(|d| d.is_complete).collect();
        assert_eq!(departed, expected.into_iter().collect::<Vec<_>>(), "{end}");
    }
}

#[tokio::test]
async fn what_is_large_or_of_unknown_size_is_not_left_to_others() {
    for (total, bytes_max) in [(Some(6), 5), (None, 100), (Some(2000), 5000)] {
        let (buffer, _) = buffer(1000, 1000);
        let reader = buffer.reader(PLAYER).unwrap();
        buffer.set_head(head(total));
        reader.leave_to_others(bytes_max);
        let departure = Departure { player: PLAYER, is_complete: false };
        assert_eq!(buffer.departed(), [departure], "{total:?}");
    }
}

#[test]
fn what_lies_behind_a_gap_is_taken_in_when_the_gap_is_filled() {
    let (buffer, budget) = buffer(1000, 1000);
    assert!(buffer.put(6, Bytes::from_static(b"gh")));
    assert!(buffer.put(3, Bytes::from_static(b"de")));
    assert_eq!((buffer.len(), buffer.is_empty()), (0, false));
    assert_eq!(buffer.slice(3..5).unwrap(), "de");
    assert_eq!(buffer.slice(3..6), None);
    buffer.append(0, Bytes::from_static(b"abcd"), true);
    assert_eq!(buffer.len(), 5);
    assert!(buffer.put(5, Bytes::from_static(b"f")));
    assert_eq!(buffer.slice(1..8).unwrap(), "bcdefgh");
    assert_eq!(buffer.complete().unwrap(), "abcdefgh");
    drop(buffer);
    assert!(budget.take(1000), "everything was given back");
}

#[test]
fn islands_are_bounded_by_the_segment_and_by_memory() {
    let (buffer, _) = buffer(10, 100);
    assert!(!buffer.put(99, Bytes::from_static(b"xy")), "beyond the largest segment");
    assert!(buffer.put(50, Bytes::from_static(b"0123456789")));
    assert!(buffer.put(55, Bytes::from_static(b"x")), "here already");
    assert!(!buffer.put(70, Bytes::from_static(b"0123456789")), "no memory left");
}

#[tokio::test]
async fn what_is_sealed_is_nothing_before_it_is_complete() {
    let budget = Arc::new(Budget::new(1000, 1000));
    for is_right in [true, false] {
        let buffer = SegmentBuffer::new(budget.clone(), Arc::default());
        buffer.seal();
        let mut reader = buffer.reader(PlayerId(1)).unwrap();
        let head = Head {
            content_type: "video/mp4".to_owned(),
            total: Some(3),
            source: Source::Origin,
            headers: Arc::default(),
        };
        buffer.set_head(head.clone());
        buffer.append(0, Bytes::from_static(b"abc"), true);
        buffer.release();
        assert!(!buffer.has_released() && reader.take_ready().is_none());
        assert!(futures_util::FutureExt::now_or_never(reader.head()).is_none());
        if is_right {
            assert_eq!(buffer.complete().as_deref(), Some(&b"abc"[..]));
            assert_eq!(reader.head().await, Ok(head));
            assert_eq!(reader.next().await.unwrap().as_deref(), Some(&b"abc"[..]));
        } else {
            assert!(buffer.reset());
            buffer.fail(Failure::Unproved("wrong"));
            assert_eq!(reader.head().await, Err(Failure::Unproved("wrong")));
        }
    }
}

//! What the actor may hear of segments on their way.

use super::*;
use crate::ids::PlayerId;
use crate::metrics::Counters;
use crate::origin::OriginConfig;
use bytes::Bytes;

const SEGMENT: SegmentId = SegmentId(7);

fn arriving() -> Arriving {
    Arriving::new(Context {
        budget: Arc::new(Budget::new(1 << 20, 1 << 20)),
        attention: Arc::default(),
        origin: Origin::new(&OriginConfig::default()).unwrap(),
        meter: Meter::of_daemon(Arc::<Counters>::default()),
        events: mpsc::channel(1).0,
        tasks: TaskTracker::new(),
        cancel: CancellationToken::new(),
        is_sealed: false,
    })
}

#[tokio::test]
async fn who_leaves_early_is_heard_of_only_while_the_segment_is_on_its_way() {
    let mut arriving = arriving();
    let buffer = arriving.buffer(SEGMENT);
    let [early, late] = [1, 2].map(|n| buffer.reader(PlayerId(n)).unwrap());
    let mut thorough = buffer.reader(PlayerId(3)).unwrap();
    drop(early);
    let left = |player, is_complete| (SEGMENT, Departure { player, is_complete });
    assert_eq!(arriving.departed(), [left(PlayerId(1), false)]);

    buffer.append(0, Bytes::from_static(b"abc"), true);
    buffer.complete();
    arriving.finish(SEGMENT);
    drop(late);
    assert_eq!(arriving.departed(), [], "nobody waits for what has ended");
    assert!(arriving.has_readers());
    thorough.next().await.unwrap();
    drop(thorough);
    assert_eq!(arriving.departed(), [left(PlayerId(3), true)]);
    assert!(!arriving.has_readers() && arriving.ended.is_empty());
}

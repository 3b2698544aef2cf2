//! What players of low-latency streams ask for.

use super::live::live;
use super::{daemon, uris};
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource};

#[tokio::test]
async fn directives_reach_the_origin_sorted_and_name_no_other_stream() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)));
    origin.put("/6.ts", Resource::ts(1000, 6));
    let target = ask::path(&origin.url("/l.m3u8?sig=z&a=1"));
    get(addr, &target).await;
    origin.put("/l.m3u8", Resource::playlist(&live(2, 6)));
    let answer = get(addr, &format!("{target}&_HLS_part=0&_HLS_msn=6&b=2")).await;
    assert_eq!(origin.requests_for("/l.m3u8").len(), 2);
    let query = origin.requests_for("/l.m3u8")[1].query.clone().unwrap();
    assert_eq!(query, "sig=z&a=1&b=2&_HLS_msn=6&_HLS_part=0");
    for expected in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
        let segment = get(addr, uris(answer.text()).last().unwrap()).await;
        assert_eq!(segment.header("cache-status"), expected);
    }
}

#[tokio::test]
async fn a_blocking_request_is_held_upstream_once_for_all() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)));
    let target = ask::path(&origin.url("/l.m3u8"));
    get(addr, &target).await;
    let listed = get(addr, &format!("{target}?_HLS_msn=5")).await;
    assert_eq!(listed.header("cache-status"), "hlswarm; hit", "what is there is not waited for");
    let gate = Gate::closed();
    origin.put("/l.m3u8", Resource::playlist(&live(2, 6)).hold_head(&gate));
    let players: Vec<_> = (0..3)
        .map(|_| {
            let target = format!("{target}?_HLS_msn=6");
            tokio::spawn(async move { get(addr, &target).await })
        })
        .collect();
    origin.wait_for_requests("/l.m3u8", 2).await;
    let plain = get(addr, &target).await;
    assert_eq!(uris(plain.text()).len(), 5, "others need not wait");
    gate.open();
    for player in players {
        assert!(player.await.unwrap().text().ends_with("/6.ts\n"));
    }
    assert!(get(addr, &target).await.text().ends_with("/6.ts\n"), "what came is for all");
    assert_eq!(origin.requests_for("/l.m3u8").len(), 2);
}

#[tokio::test]
async fn after_a_delta_update_all_segments_are_still_known() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)));
    for n in [3, 6] {
        origin.put(&format!("/{n}.ts"), Resource::ts(1000, n));
    }
    let target = ask::path(&origin.url("/l.m3u8"));
    get(addr, &target).await;
    let delta = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:2\n\
        #EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:600,\n5.ts\n#EXTINF:600,\n6.ts\n";
    origin.put("/l.m3u8", Resource::playlist(delta));
    let answer = get(addr, &format!("{target}?_HLS_msn=6&_HLS_skip=YES")).await;
    assert!(answer.text().contains("#EXT-X-SKIP"));
    let query = origin.requests_for("/l.m3u8")[1].query.clone();
    assert_eq!(query.as_deref(), Some("_HLS_msn=6&_HLS_skip=YES"));
    for n in [3, 6] {
        for expected in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
            let segment = get(addr, &ask::path(&origin.url(&format!("/{n}.ts")))).await;
            assert_eq!(segment.header("cache-status"), expected, "{n}");
        }
    }
    origin.put("/l.m3u8", Resource::playlist(&live(2, 6)));
    let whole = get(addr, &target).await;
    assert_eq!(uris(whole.text()).len(), 5, "an older copy is not given out any more");
}

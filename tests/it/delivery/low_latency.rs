//! What players of low-latency streams ask for.

use super::live::live;
use super::{daemon, uris};
use crate::ask::{self, get};
use crate::ll_origin::{Addressing, LlOrigin, Media, Plan};
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

#[tokio::test]
async fn players_with_and_without_delta_updates_see_one_stream_that_is_known_whole() {
    let origin = LlOrigin::start(Plan::new(Media::invented(40, 4, 0.5), Addressing::Names));
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let target = ask::path(&origin.url("/a/live.m3u8").parse().unwrap());
    origin.publish_many(14 * 4);
    get(addr, &target).await;
    for msn in 14..24 {
        let next = |skip| format!("{target}?_HLS_msn={msn}{skip}");
        let [skipping, whole] = ["&_HLS_skip=YES", ""].map(|skip| {
            let next = next(skip);
            tokio::spawn(async move { get(addr, &next).await })
        });
        origin.wait_for(&format!("/a/live.m3u8?_HLS_msn={msn}"), 2).await;
        origin.publish_many(4);
        let (skipping, whole) = (skipping.await.unwrap(), whole.await.unwrap());
        let newest = format!("/s{msn}.mp4");
        let listed = [skipping.text(), whole.text()].map(|text| {
            assert!(uris(text).last().unwrap().ends_with(&newest), "{text}");
            uris(text).len()
        });
        assert_eq!(listed, [6, 12]);
        assert!(skipping.text().contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=6"));
    }
    // For a long time all that comes is updates.
    for msn in 24..39 {
        origin.publish_many(4);
        let answer = get(addr, &format!("{target}?_HLS_msn={msn}&_HLS_skip=YES")).await;
        assert!(answer.text().contains("#EXT-X-SKIP"));
    }
    for msn in 27..39 {
        for expected in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
            let path = ask::path(&origin.url(&format!("/a/s{msn}.mp4")).parse().unwrap());
            assert_eq!(get(addr, &path).await.header("cache-status"), expected, "{msn}");
        }
    }
}

#[tokio::test]
async fn an_update_of_what_is_not_known_is_asked_for_in_full() {
    let origin = LlOrigin::start(Plan::new(Media::invented(40, 4, 0.5), Addressing::Names));
    let daemon = daemon().await;
    origin.publish_many(14 * 4);
    let target = ask::path(&origin.url("/a/live.m3u8").parse().unwrap());
    let answer = get(daemon.local_addr(), &format!("{target}?_HLS_msn=13&_HLS_skip=YES")).await;
    assert_eq!(uris(answer.text()).len(), 12);
    let asked = origin.requests();
    assert_eq!(
        asked,
        ["_HLS_msn=13&_HLS_skip=YES", "_HLS_msn=13"]
            .map(|query| { format!("/a/live.m3u8?{query}") })
    );
}

#[tokio::test]
async fn a_rendition_report_names_what_the_multivariant_playlist_names() {
    let origin = LlOrigin::start(Plan::new(Media::invented(40, 4, 0.5), Addressing::Names));
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    origin.publish_many(4 * 4 + 2);
    let path = |path: &str| ask::path(&origin.url(path).parse().unwrap());
    let multivariant = get(addr, &path("/master.m3u8")).await;
    let answer = get(addr, &path("/a/live.m3u8")).await;
    let report = answer.text().lines().find(|line| line.contains("RENDITION-REPORT")).unwrap();
    let other = uris(multivariant.text())[1];
    assert_eq!(report, format!("#EXT-X-RENDITION-REPORT:URI=\"{other}\",LAST-MSN=4,LAST-PART=1"));
    assert!(get(addr, other).await.text().contains("LAST-PART=1"));
}

#[tokio::test]
async fn what_directives_must_not_ask_is_refused_by_the_origin_and_said_so() {
    let origin = LlOrigin::start(Plan::new(Media::invented(5, 4, 0.5), Addressing::Names));
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    origin.publish_many(4 * 4);
    let target = ask::path(&origin.url("/a/live.m3u8").parse().unwrap());
    for (query, status) in [
        ("_HLS_part=1", 400),
        ("_HLS_msn=7", 400),
        ("_HLS_msn=4&_HLS_part=99", 400),
        ("_HLS_msn=3&_HLS_part=0", 200),
    ] {
        assert_eq!(get(addr, &format!("{target}?{query}")).await.status, status, "{query}");
    }
    origin.publish_many(4);
    let ended = get(addr, &format!("{target}?_HLS_msn=99")).await;
    assert!(ended.text().ends_with("#EXT-X-ENDLIST\n"));
}

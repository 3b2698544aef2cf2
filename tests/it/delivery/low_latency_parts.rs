//! Parts of low-latency segments: brought once for all players, as they come, and then kept.

use std::net::SocketAddr;
use std::time::Duration;

use super::{daemon, uris};
use crate::ask::{self, Answer, get};
use crate::ll_origin::{Addressing, LlOrigin, Media, Plan};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch};

const EVERY_WAY: [Addressing; 3] = [Addressing::Names, Addressing::Ring(17), Addressing::Ranges];
const MISS: &str = "hlswarm; fwd=miss; detail=origin";
const PARTS: usize = 4;

/// A part as a playlist names it.
#[derive(Clone, Debug)]
struct Named {
    uri: String,
    range: Option<String>,
}

impl Named {
    async fn get(&self, addr: SocketAddr) -> Answer {
        let headers: Vec<_> = self.range.iter().map(|range| ("Range", range.as_str())).collect();
        ask::request(addr, "GET", &self.uri, &headers).await
    }
}

fn attribute(line: &str, name: &str) -> Option<String> {
    let value = line.split_once(&format!("{name}="))?.1;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(',').next(),
    };
    value.map(str::to_owned)
}

fn listed(text: &str) -> Vec<Named> {
    let lines = text.lines().filter(|line| line.starts_with("#EXT-X-PART:"));
    let named = lines.map(|line| {
        let range = attribute(line, "BYTERANGE").map(|range| {
            let (len, offset) = range.split_once('@').unwrap();
            let (len, offset): (u64, u64) = (len.parse().unwrap(), offset.parse().unwrap());
            format!("bytes={offset}-{}", offset + len - 1)
        });
        Named { uri: attribute(line, "URI").unwrap(), range }
    });
    named.collect()
}

fn hinted(text: &str) -> Named {
    let line = text.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT:")).unwrap();
    let range = attribute(line, "BYTERANGE-START").map(|start| format!("bytes={start}-"));
    Named { uri: attribute(line, "URI").unwrap(), range }
}

fn start(addressing: Addressing, parts: usize) -> LlOrigin {
    let origin = LlOrigin::start(Plan::new(Media::invented(40, PARTS, 0.5), addressing));
    origin.publish_many(parts);
    origin
}

/// Waits until so many requests found nothing held: each is the beginning of a fetch, or joins one.
async fn until_asked(addr: SocketAddr, times: u64) {
    while get(addr, "/api/v1/stats").await.json()["cache"]["misses"] != times {}
}

fn path(origin: &LlOrigin, path: &str) -> String {
    ask::path(&origin.url(path).parse().unwrap())
}

#[tokio::test]
async fn a_part_is_fetched_once_for_all_players_and_then_kept() {
    for addressing in EVERY_WAY {
        let (origin, daemon) = (start(addressing, 4 * PARTS + 2), daemon().await);
        let addr = daemon.local_addr();
        let answer = get(addr, &path(&origin, "/a/live.m3u8")).await;
        let parts = listed(answer.text());
        assert_eq!(parts.len(), 3 * PARTS + 2, "{addressing:?}");
        let before = origin.requests().len();
        let part = parts[3 * PARTS + 1].clone();
        let asking: Vec<_> = (0..5)
            .map(|_| {
                let part = part.clone();
                tokio::spawn(async move { part.get(addr).await })
            })
            .collect();
        for player in asking {
            let answer = player.await.unwrap();
            assert_eq!(answer.status, if part.range.is_some() { 206 } else { 200 });
            assert_eq!(answer.body, origin.plan().part(4, 1), "{addressing:?}");
        }
        let again = part.get(addr).await;
        assert_eq!(again.header("cache-status"), "hlswarm; hit");
        assert_eq!(again.body, origin.plan().part(4, 1));
        assert_eq!(origin.requests().len(), before + 1, "{:?}", origin.requests());
    }
}

#[tokio::test]
async fn an_announced_part_is_held_open_upstream_once_for_all() {
    for addressing in EVERY_WAY {
        let (origin, daemon) = (start(addressing, 4 * PARTS + 2), daemon().await);
        let addr = daemon.local_addr();
        let target = path(&origin, "/a/live.m3u8");
        let hint = hinted(get(addr, &target).await.text());
        let before = origin.requests().len();
        let asking: Vec<_> = (0..3)
            .map(|_| {
                let hint = hint.clone();
                tokio::spawn(async move { hint.get(addr).await })
            })
            .collect();
        until_asked(addr, 3).await;
        origin.wait_for("/a/", before + 1).await;
        origin.publish_many(2);
        for player in asking {
            let answer = player.await.unwrap();
            // A range without an end goes on to the end of the segment.
            let end = if addressing == Addressing::Ranges { PARTS } else { 3 };
            let expected: Vec<u8> =
                (2..end).flat_map(|i| origin.plan().part(4, i)).copied().collect();
            assert_eq!(answer.body, expected, "{addressing:?}");
            assert_eq!(answer.header("cache-status"), MISS);
        }
        assert_eq!(origin.requests().len(), before + 1, "{:?}", origin.requests());
        let again = hint.get(addr).await;
        assert_eq!(origin.requests().len(), before + 1);
        assert_eq!(again.header("cache-status"), "hlswarm; hit");
        if addressing == Addressing::Names {
            let answer = get(addr, &format!("{target}?_HLS_msn=4")).await;
            let part = listed(answer.text()).into_iter().rev().find(|p| p.uri == hint.uri);
            let answer = part.unwrap().get(addr).await;
            assert_eq!(answer.header("cache-status"), "hlswarm; hit", "listed since");
        }
    }
}

/// No clock is looked at: the next part is made only once everybody has had the last.
#[tokio::test]
async fn a_part_reaches_waiting_players_before_the_next_is_made() {
    for addressing in EVERY_WAY {
        let (origin, daemon) = (start(addressing, 4 * PARTS), daemon().await);
        let addr = daemon.local_addr();
        let target = path(&origin, "/a/live.m3u8");
        let mut text = get(addr, &target).await.text().to_owned();
        for number in 4 * PARTS..8 * PARTS {
            let (msn, index) = (number / PARTS, number % PARTS);
            let waiting = format!("{target}?_HLS_msn={msn}&_HLS_part={index}");
            let playlist = tokio::spawn(async move { get(addr, &waiting).await });
            origin.wait_for(&format!("/a/live.m3u8?_HLS_msn={msn}&_HLS_part={index}"), 1).await;
            let hint = hinted(&text);
            let part = (addressing != Addressing::Ranges).then(|| {
                let before = origin.requests().len();
                (before, tokio::spawn(async move { hint.get(addr).await }))
            });
            if let Some((before, _)) = &part {
                origin.wait_for("/a/", before + 1).await;
            }
            origin.publish();
            text = playlist.await.unwrap().text().to_owned();
            let newest = listed(&text).last().unwrap().clone();
            if let Some((_, part)) = part {
                assert_eq!(part.await.unwrap().body, origin.plan().part(msn, index));
            }
            let answer = newest.get(addr).await;
            assert_eq!(answer.body, origin.plan().part(msn, index), "{addressing:?} {number}");
        }
    }
}

#[tokio::test]
async fn a_range_without_an_end_is_passed_on_part_by_part() {
    let (origin, daemon) = (start(Addressing::Ranges, 4 * PARTS + 1), daemon().await);
    let addr = daemon.local_addr();
    let hint = hinted(get(addr, &path(&origin, "/a/live.m3u8")).await.text());
    let range = hint.range.unwrap();
    let mut player = ask::Watched::open(addr, &hint.uri, &[("Range", &range)]).await;
    for index in 1..PARTS {
        origin.publish();
        let part = origin.plan().part(4, index);
        player.until(|seen| seen.windows(part.len()).any(|at| at == part)).await;
    }
    let head = player.head();
    let (start, _) = origin.plan().range_of(4, 1);
    assert!(head.starts_with("HTTP/1.1 206"), "{head}");
    assert!(head.contains(&format!("content-range: bytes {start}-9007199254740991/*")), "{head}");
}

#[tokio::test]
async fn a_name_used_again_never_brings_old_bytes() {
    let origin = TestOrigin::start().await;
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let playlist = |first: u32, tags: &str| {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-PART-INF:PART-TARGET=1\n\
             #EXT-X-MEDIA-SEQUENCE:{first}\n#EXTINF:600,\ns{first}.ts\n{tags}"
        );
        Resource::playlist(&text).header("cache-control", "max-age=0")
    };
    let target = ask::path(&origin.url("/l.m3u8"));
    let part = ask::path(&origin.url("/p.ts"));
    origin.put("/p.ts", Resource::ts(1000, 1));
    origin.put("/l.m3u8", playlist(1, "#EXT-X-PART:DURATION=1,URI=\"p.ts\"\n"));
    get(addr, &target).await;
    let first = get(addr, &part).await;
    // This origin does not hold requests for what it announces back: it sends the old file.
    origin.put("/l.m3u8", playlist(2, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p.ts\"\n"));
    get(addr, &target).await;
    assert_eq!(get(addr, &part).await.body, first.body);
    origin.put("/p.ts", Resource::ts(1000, 2));
    assert_eq!(get(addr, &part).await.body, crate::resource::pattern(1000, 2));
    origin.put("/l.m3u8", playlist(2, "#EXT-X-PART:DURATION=1,URI=\"p.ts\"\n"));
    get(addr, &target).await;
    for expected in [MISS, "hlswarm; hit"] {
        let answer = get(addr, &part).await;
        assert_eq!(answer.body, crate::resource::pattern(1000, 2));
        assert_eq!(answer.header("cache-status"), expected);
    }
}

#[tokio::test]
async fn a_part_that_fails_is_told_to_all_and_asked_for_again() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXTINF:600,\n1.ts\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p.ts\"\n";
    origin.put("/l.m3u8", Resource::playlist(text));
    let (gate, failing) = (Gate::closed(), Switch::on());
    let part = Resource::ts(1000, 1).fail_while(&failing, 404).hold_head(&gate);
    origin.put("/p.ts", part);
    get(addr, &ask::path(&origin.url("/l.m3u8"))).await;
    let target = ask::path(&origin.url("/p.ts"));
    let players: Vec<_> = (0..3)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { get(addr, &target).await })
        })
        .collect();
    origin.wait_for_requests("/p.ts", 1).await;
    until_asked(addr, 3).await;
    gate.open();
    for player in players {
        assert_eq!(player.await.unwrap().status, 404);
    }
    failing.turn_off();
    assert_eq!(get(addr, &target).await.status, 200);
    assert_eq!(origin.requests_for("/p.ts").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn silence_before_an_announced_part_is_no_reason_to_ask_twice() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXTINF:600,\n1.ts\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p.ts\"\n";
    origin.put("/l.m3u8", Resource::playlist(text));
    let gate = Gate::closed();
    origin.put("/p.ts", Resource::ts(1000, 1).hold_head(&gate));
    get(addr, &ask::path(&origin.url("/l.m3u8"))).await;
    let target = ask::path(&origin.url("/p.ts"));
    let mut player = ask::Watched::open(addr, &target, &[]).await;
    origin.wait_for_requests("/p.ts", 1).await;
    let answer = player.until(|seen| !seen.is_empty());
    let silence = tokio::time::timeout(Duration::from_secs(90), answer).await;
    assert!(silence.is_err(), "nothing can have come");
    assert_eq!(origin.requests_for("/p.ts").len(), 1);
    gate.open();
    player.until(|seen| seen.len() > 1000).await;
    assert!(player.head().starts_with("HTTP/1.1 200"), "{}", player.head());
}

#[tokio::test]
async fn a_part_of_a_segment_that_is_held_is_not_fetched() {
    let (origin, daemon) = (start(Addressing::Ranges, 4 * PARTS), daemon().await);
    let addr = daemon.local_addr();
    let answer = get(addr, &path(&origin, "/a/live.m3u8")).await;
    get(addr, uris(answer.text()).last().unwrap()).await;
    ask::until_held(addr, 1).await;
    let before = origin.requests().len();
    let part = listed(answer.text()).last().unwrap().get(addr).await;
    assert_eq!((part.status, part.header("cache-status")), (206, "hlswarm; hit"));
    assert_eq!(part.body, origin.plan().part(3, PARTS - 1));
    assert_eq!(origin.requests().len(), before);
}

#[tokio::test]
async fn an_endless_part_that_nobody_reads_any_more_is_let_go() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXTINF:600,\n1.ts\n\
        #EXT-X-PART:DURATION=1,URI=\"p.ts\"\n";
    origin.put("/l.m3u8", Resource::playlist(text));
    origin.put("/p.ts", Resource::generated(1 << 50).without_length());
    get(addr, &ask::path(&origin.url("/l.m3u8"))).await;
    let target = ask::path(&origin.url("/p.ts"));
    let mut player = ask::Watched::open(addr, &target, &[]).await;
    player.until(|seen| seen.len() > 1 << 20).await;
    drop(player);
    origin.wait_for_end("/p.ts").await;
}

#[tokio::test]
async fn a_flood_of_parts_and_a_hint_into_the_network_do_no_harm() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let flood: String =
        (0..100_000).map(|n| format!("#EXT-X-PART:DURATION=1e9,URI=\"{n}.ts\"\n")).collect();
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXTINF:600,\n1.ts\n{flood}\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"http://169.254.169.254/latest.ts\"\n"
    );
    origin.put("/l.m3u8", Resource::playlist(&text));
    origin.put("/0.ts", Resource::ts(1000, 1));
    origin.put("/99999.ts", Resource::ts(1000, 2));
    let answer = get(addr, &ask::path(&origin.url("/l.m3u8"))).await;
    assert_eq!(listed(answer.text()).len(), 100_000);
    let hint = hinted(answer.text());
    assert_eq!(hint.uri, "/http/169.254.169.254/latest.ts");
    hint.get(addr).await.problem(403);
    for (name, expected) in [("/0.ts", "hlswarm; fwd=bypass"), ("/99999.ts", MISS)] {
        let answer = get(addr, &ask::path(&origin.url(name))).await;
        assert_eq!((answer.status, answer.header("cache-status")), (200, expected));
    }
}

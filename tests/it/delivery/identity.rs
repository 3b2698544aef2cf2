//! Which segment a URL is: neither tokens nor names that are used again mislead cache and swarm.

use super::{daemon, uris};
use crate::ask::{self, get, get_kept};
use crate::origin::{Seen, TestOrigin};
use crate::resource::{Resource, pattern};
use crate::sharing::channel::{Channel, expect};
use crate::sharing::world::{Player, Tracker, config};
use futures_util::future::join_all;
use hlswarm::daemon::Daemon;
use hlswarm::http::delay::LiveDelay;
use hlswarm::stream::STREAMS_MAX;
use std::collections::BTreeSet;
use std::time::Duration;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HIT: &str = "hlswarm; hit";
const LEN: usize = 1_000;

/// Gets a segment and compares it; where it came from.
async fn segment(daemon: &Daemon, target: &str, seed: u8) -> String {
    let answer = get_kept(daemon.local_addr(), target, &[]).await;
    assert_eq!(answer.status, 200, "{target}");
    assert!(answer.body == pattern(LEN, seed), "wrong bytes of {target}");
    answer.header("cache-status").to_owned()
}

#[tokio::test]
async fn a_ring_of_ten_names_under_ever_new_tokens_brings_the_origins_bytes_once() {
    let (channel, tracker) = (Channel::start(8, 10, true).await, Tracker::start().await);
    let mut config = config(&[&tracker.url()]);
    // Nothing is held back: that is another matter.
    config.p2p.live_delay_s = LiveDelay::Fixed(Duration::ZERO);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let players = [Player::of(&first), Player::of(&second)];
    let (mut edition, mut seen) = (0, [BTreeSet::new(), BTreeSet::new()]);
    for newest in (8..38).step_by(4) {
        for (player, seen) in players.iter().zip(&mut seen) {
            edition += 1;
            channel.go_to(newest, edition);
            let segments = player.timeline(&channel.url()).await.segments;
            let sources = join_all(segments.iter().map(|segment| expect(player, segment))).await;
            for (segment, source) in segments.iter().zip(sources) {
                assert_eq!(segment.url.query(), Some(format!("token={edition}").as_str()));
                assert!(seen.insert(segment.id) || source == HIT, "{} {source}", segment.id);
            }
        }
        if newest == 8 {
            for player in &players {
                player.peer_met().await;
            }
        }
    }
    let is_fetch = |seen: &&Seen| seen.path.ends_with(".ts") && !seen.is_slice();
    let asked = channel.origin.requests().iter().filter(is_fetch).count();
    let of_peers = first.totals().peer_segments + second.totals().peer_segments;
    let all = (seen[0].len() + seen[1].len()) as u64;
    assert_eq!(asked as u64 + of_peers, all, "each came to each of them once");
    assert!(of_peers >= all / 4, "{of_peers} of {all}");
}

#[tokio::test]
async fn the_exact_query_wins_where_one_path_is_several_segments() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_owned();
    for n in 0..3 {
        origin.put(&format!("/get?n={n}"), Resource::ts(LEN, n));
        text.push_str(&format!("#EXTINF:4,\n/get?n={n}\n"));
    }
    origin.put("/l.m3u8", Resource::playlist(&(text + "#EXT-X-ENDLIST\n")));
    let list = get(daemon.local_addr(), &ask::path(&origin.url("/l.m3u8"))).await;
    for source in [FROM_ORIGIN, HIT] {
        for (uri, seed) in uris(list.text()).into_iter().zip(0..) {
            assert_eq!(segment(&daemon, uri, seed).await, source, "{uri}");
        }
    }
    // Whose segment another query is nobody can tell: that is for the origin to say.
    origin.put("/get?n=3", Resource::ts(LEN, 3));
    let other = segment(&daemon, &ask::path(&origin.url("/get?n=3")), 3).await;
    assert_eq!(other, "hlswarm; fwd=bypass");
}

#[tokio::test]
async fn a_stream_that_begins_anew_under_the_same_names_brings_new_bytes() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let list = ask::path(&origin.url("/l.m3u8"));
    for (segments, seed) in [(9_u8, 0), (2, 100)] {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_owned();
        for n in 0..segments {
            origin.put(&format!("/{n}.ts"), Resource::ts(LEN, seed + n));
            text.push_str(&format!("#EXTINF:4,\n{n}.ts\n"));
        }
        origin.put("/l.m3u8", Resource::playlist(&text).header("cache-control", "no-cache"));
        let answer = get(daemon.local_addr(), &list).await;
        for source in [FROM_ORIGIN, HIT] {
            for (uri, n) in uris(answer.text()).into_iter().zip(0..) {
                assert_eq!(segment(&daemon, uri, seed + n).await, source, "{uri}");
            }
        }
    }
}

#[tokio::test]
async fn of_too_many_streams_the_one_used_least_recently_is_retired() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let film = |n: usize| {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{n}.ts\n");
        origin.put(&format!("/{n}.m3u8"), Resource::playlist(&(text + "#EXT-X-ENDLIST\n")));
        origin.put(&format!("/{n}.ts"), Resource::ts(LEN, n as u8));
        ask::path(&origin.url(&format!("/{n}.m3u8")))
    };
    for n in 0..STREAMS_MAX {
        get(addr, &film(n)).await;
    }
    segment(&daemon, &ask::path(&origin.url("/0.ts")), 0).await;
    get(addr, &film(STREAMS_MAX)).await;
    let url = |n: usize| origin.url(&format!("/{n}.m3u8")).to_string();
    // The one that is retired takes a moment to end, and is named until then.
    let streams = loop {
        let stats = get(addr, "/api/v1/stats").await.json();
        let streams = stats["streams"].as_array().unwrap().clone();
        if streams.len() == STREAMS_MAX {
            break streams;
        }
    };
    let is_there = |n| streams.iter().any(|stream| stream["url"] == url(n));
    assert!(is_there(0) && !is_there(1) && is_there(2) && is_there(STREAMS_MAX));
    // What is forgotten is not lost: it is passed through.
    let forgotten = segment(&daemon, &ask::path(&origin.url("/1.ts")), 1).await;
    assert_eq!(forgotten, "hlswarm; fwd=bypass");
}

//! Live streams that change under way: they end, begin anew, are interrupted, or hiccup.

use super::{daemon, uris};
use crate::ask::{self, get, get_kept, request};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch, pattern};
use crate::sharing::world::{Player, Tracker, config, transport_stream};
use hlswarm::daemon::Daemon;
use hlswarm::http::delay::LiveDelay;
use std::net::SocketAddr;
use std::time::Duration;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HIT: &str = "hlswarm; hit";

/// Segments `first..=last`, and what else is in the playlist.
fn text(first: u64, last: u64, tags: &str) -> String {
    let segments: String = (first..=last).map(|n| format!("#EXTINF:600,\n{n}.ts\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:{first}\n{tags}{segments}")
}

/// A playlist that the origin wants to be asked for each time.
fn strict(text: &str) -> Resource {
    Resource::playlist(text).header("cache-control", "no-cache")
}

/// What the newest segment of a playlist is called.
fn newest(answer: &ask::Answer) -> &str {
    uris(answer.text()).last().unwrap().rsplit('/').next().unwrap()
}

/// Gets a segment that was listed, and compares it; where it came from.
async fn segment(addr: SocketAddr, origin: &TestOrigin, n: u8) -> String {
    let target = ask::path(&origin.url(&format!("/{n}.ts")));
    let answer = get_kept(addr, &target, &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == pattern(1_000, n), "wrong bytes of {n}");
    answer.header("cache-status").to_owned()
}

#[tokio::test]
async fn an_event_that_ends_is_a_film_from_then_on() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    (0..6).for_each(|n| origin.put(&format!("/{n}.ts"), Resource::ts(1_000, n)));
    let event = "#EXT-X-PLAYLIST-TYPE:EVENT\n";
    let kind = async || get(addr, "/api/v1/stats").await.json()["streams"][0]["kind"].clone();
    for last in [3, 4] {
        origin.put("/l.m3u8", strict(&text(0, last, event)));
        assert_eq!(newest(&get(addr, &target).await), format!("{last}.ts"));
        assert_eq!(segment(addr, &origin, last as u8).await, FROM_ORIGIN);
        assert_eq!(kind().await, "live");
    }
    let ended = text(0, 5, event) + "#EXT-X-ENDLIST\n";
    origin.put("/l.m3u8", Resource::playlist(&ended).header("cache-control", "max-age=600"));
    assert!(get(addr, &target).await.text().ends_with("/5.ts\n#EXT-X-ENDLIST\n"));
    assert_eq!(kind().await, "vod");
    for (n, source) in [(3, HIT), (4, HIT), (5, FROM_ORIGIN), (0, FROM_ORIGIN), (0, HIT)] {
        assert_eq!(segment(addr, &origin, n).await, source, "{n}");
    }
    assert_eq!(get(addr, &target).await.header("cache-status"), HIT);
    let stats = get(addr, "/api/v1/stats").await.json();
    assert_eq!(stats["streams"].as_array().unwrap().len(), 1, "all of it is one stream");
}

#[tokio::test]
async fn after_its_end_a_stream_does_not_go_on_at_a_server_that_lags() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let ended = text(0, 5, "") + "#EXT-X-ENDLIST\n";
    for (text, is_ended) in
        [(text(0, 4, ""), false), (ended, true), (text(0, 5, ""), true), (text(0, 4, ""), true)]
    {
        origin.put("/l.m3u8", strict(&text));
        let answer = get(addr, &target).await;
        assert_eq!(answer.text().ends_with("#EXT-X-ENDLIST\n"), is_ended, "{text}");
    }
    origin.put("/l.m3u8", strict(&text(0, 1, "")));
    assert_eq!(newest(&get(addr, &target).await), "1.ts", "the next show");
}

#[tokio::test]
async fn a_show_after_the_end_of_another_brings_its_own_bytes_under_the_same_names() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let put = |seed: u8, count: u8| {
        (0..count).for_each(|n| origin.put(&format!("/{n}.ts"), Resource::ts(1_000, seed + n)));
    };
    for (seed, last, end) in
        [(0, 7, ""), (0, 7, "#EXT-X-ENDLIST\n"), (50, 1, ""), (50, 2, "#EXT-X-ENDLIST\n")]
    {
        put(seed, 8);
        origin.put("/l.m3u8", strict(&(text(0, last, "") + end)));
        get(addr, &target).await;
        for n in 0..=last as u8 {
            let answer = get(addr, &ask::path(&origin.url(&format!("/{n}.ts")))).await;
            assert!(answer.body == pattern(1_000, seed + n), "{n} of {seed}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_film_that_is_replaced_under_the_same_names_brings_new_bytes() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    for (seed, duration) in [(0, "4.0"), (50, "4.1")] {
        let mut film = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n".to_owned();
        for n in 0..3 {
            origin.put(&format!("/{n}.ts"), Resource::ts(1_000, seed + n));
            film.push_str(&format!("#EXTINF:{duration},\n{n}.ts\n"));
        }
        origin.put("/l.m3u8", strict(&(film + "#EXT-X-ENDLIST\n")));
        get(addr, &target).await;
        for source in [FROM_ORIGIN, HIT] {
            for n in 0..3 {
                let target = ask::path(&origin.url(&format!("/{n}.ts")));
                let answer = get_kept(addr, &target, &[]).await;
                assert!(answer.body == pattern(1_000, seed + n), "{n} of {seed}");
                assert_eq!(answer.header("cache-status"), source);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_begun_anew_takes_no_old_bytes_from_those_who_have_not_heard() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let mut config = config(&[&tracker.url()]);
    config.p2p.live_delay_s = LiveDelay::Fixed(Duration::ZERO);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let url = origin.url("/l.m3u8");
    for (seed, last) in [(0, 6), (50, 2)] {
        for n in 0..=last {
            let bytes = transport_stream(20, seed + n);
            origin.put(&format!("/{n}.ts"), Resource::new("video/mp2t", bytes));
        }
        origin.put("/l.m3u8", strict(&text(0, last, "")));
        // Only the first hears that it has begun anew.
        let viewers = [&first, &second];
        for daemon in viewers.iter().take(if seed == 0 { 2 } else { 1 }) {
            let player = Player::of(daemon);
            let segments = player.timeline(&url).await.segments;
            assert_eq!(segments.len(), last as usize + 1);
            for (segment, n) in segments.iter().zip(0..) {
                let answer = player.segment(segment).await;
                assert!(answer.body == transport_stream(20, seed + n), "{n} {}", answer.source());
            }
            if seed == 0 {
                player.stats_until("a swarm", |s| s["trackers"][0]["state"] == "connected").await;
            }
        }
        if seed == 0 {
            Player::of(&first).peer_met().await;
        }
    }
}

#[tokio::test]
async fn interruptions_stay_where_they_are() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    (7..13).for_each(|n| origin.put(&format!("/{n}.ts"), Resource::ts(1_000, n)));
    for (first, last, sequence) in [(7, 10, 3), (8, 11, 3), (9, 12, 4)] {
        let tags = format!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n");
        // The interruption is before segment 9; once that is gone it is counted instead.
        let cut = "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n";
        let mut list = text(first, last, &tags);
        if first < 9 {
            list = list.replace("#EXTINF:600,\n9.ts", &format!("{cut}#EXTINF:600,\n9.ts"));
        }
        origin.put("/l.m3u8", strict(&list));
        let answer = get(addr, &target).await;
        let led = format!("/http/{}/", origin.addr());
        assert_eq!(answer.text().replace(&led, ""), list);
        for n in first..=last {
            let is_new = first == 7 || n == last;
            let source = segment(addr, &origin, n as u8).await;
            assert_eq!(source, if is_new { FROM_ORIGIN } else { HIT }, "{n}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_the_next_playlist_is_a_hiccup() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    (1..7).for_each(|n| origin.put(&format!("/{n}.ts"), Resource::ts(1_000, n)));
    origin.put("/l.m3u8", strict(&text(1, 5, "")));
    get(addr, &target).await;
    assert_eq!(segment(addr, &origin, 5).await, FROM_ORIGIN);
    let next = text(2, 6, "");
    let cut_name = &next[..next.len() - "ts\n".len()];
    let cut_tag = &next[..next.rfind(":600,").unwrap()];
    let hiccups = [
        ("empty", strict("")),
        ("without segments", strict("#EXTM3U\n")),
        ("without segments or end", strict("#EXTM3U\n#EXT-X-TARGETDURATION:600\n")),
        ("a page", Resource::new("text/html", "<html>busy</html>")),
        ("half sent", strict(&next).truncate_first(usize::MAX, 60)),
        ("half written, in a name", strict(cut_name)),
        ("half written, in a tag", strict(cut_tag)),
    ];
    for (what, hiccup) in hiccups {
        origin.put("/l.m3u8", hiccup);
        let answer = get(addr, &target).await;
        assert_eq!(answer.status, 200, "{what}");
        assert_eq!(newest(&answer), "5.ts", "{what}");
        assert_eq!(segment(addr, &origin, 5).await, HIT, "nothing is forgotten: {what}");
    }
    origin.put("/l.m3u8", strict(&next));
    assert_eq!(newest(&get(addr, &target).await), "6.ts");
    assert_eq!(segment(addr, &origin, 5).await, HIT);
}

#[tokio::test]
async fn who_comes_first_gets_what_there_is_however_hollow() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let hollow = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n";
    origin.put("/hollow.m3u8", strict(hollow));
    origin.put("/empty.m3u8", strict(""));
    let answer = get(addr, &ask::path(&origin.url("/hollow.m3u8"))).await;
    assert_eq!((answer.status, answer.text()), (200, hollow));
    get(addr, &ask::path(&origin.url("/empty.m3u8"))).await.problem(502);
}

#[tokio::test]
async fn a_playlist_that_does_not_come_is_not_waited_for_by_who_has_an_older_one() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let gate = Gate::closed();
    let quick = |last| text(1, last, "").replace("600", "1");
    origin.put("/l.m3u8", strict(&quick(5)));
    get(addr, &target).await;
    origin.put("/l.m3u8", strict(&quick(6)).hold_head(&gate));
    assert_eq!(newest(&get(addr, &target).await), "5.ts", "after a target duration");
    gate.open();
    assert_eq!(newest(&get(addr, &target).await), "6.ts");
}

#[tokio::test]
async fn nobody_is_given_an_older_playlist_than_another_player() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    for (agent, last, given) in [("a", 9, "9.ts"), ("b", 8, "9.ts"), ("c", 7, "9.ts")] {
        origin.put("/l.m3u8", strict(&text(last - 4, last, "")));
        let answer = request(addr, "GET", &target, &[("User-Agent", agent)]).await;
        assert_eq!(newest(&answer), given, "{agent}");
    }
}

#[tokio::test]
async fn a_segment_that_is_not_there_yet_is_missing_at_once_and_only_for_now() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, list) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    origin.put("/l.m3u8", strict(&text(1, 5, "")));
    get(addr, &list).await;
    let target = ask::path(&origin.url("/5.ts"));
    for _ in 0..2 {
        assert_eq!(get(addr, &target).await.status, 404);
    }
    assert_eq!(origin.requests_for("/5.ts").len(), 2, "a 404 is meant: nobody asks again");
    let missing = Switch::on();
    origin.put("/5.ts", Resource::ts(1_000, 5).fail_while(&missing, 404));
    assert_eq!(get(addr, &target).await.status, 404);
    missing.turn_off();
    assert_eq!(segment(addr, &origin, 5).await, FROM_ORIGIN);
    assert_eq!(segment(addr, &origin, 5).await, HIT);
}

#[tokio::test]
async fn an_answer_that_was_long_on_its_way_is_no_new_beginning() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    (1..=14).for_each(|n| origin.put(&format!("/{n}.ts"), Resource::ts(1_000, n)));
    let gate = Gate::closed();
    origin.put("/l.m3u8", strict(&text(1, 5, "")).hold_head(&gate));
    let patient = {
        let target = target.clone();
        tokio::spawn(async move { get(addr, &target).await })
    };
    origin.wait_for_requests("/l.m3u8", 1).await;
    // Somebody waits for the next one, and there is much more by the time it comes.
    origin.put("/l.m3u8", strict(&text(1, 14, "")));
    assert_eq!(newest(&get(addr, &format!("{target}?_HLS_msn=6")).await), "14.ts");
    assert_eq!(segment(addr, &origin, 9).await, FROM_ORIGIN);
    gate.open();
    assert_eq!(newest(&patient.await.unwrap()), "14.ts");
    assert_eq!(segment(addr, &origin, 9).await, HIT);
    assert_eq!(newest(&get(addr, &target).await), "14.ts");
}

//! Live playlists: held for a moment, fetched once for all, never going back.

use super::{daemon, uris};
use crate::ask::{self, get, request};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch};

/// Segments `first..=last` of a live stream whose playlist is not due again during a test.
pub fn live(first: u64, last: u64) -> String {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n";
    let segments: String = (first..=last).map(|n| format!("#EXTINF:600,\n{n}.ts\n")).collect();
    format!("{head}#EXT-X-MEDIA-SEQUENCE:{first}\n{segments}")
}

/// A live playlist that the origin wants to be asked for each time.
fn strict(first: u64, last: u64) -> Resource {
    Resource::playlist(&live(first, last)).header("cache-control", "no-cache")
}

fn last_uri(answer: &ask::Answer) -> String {
    uris(answer.text()).last().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_household_costs_one_request() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let gate = Gate::closed();
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)).hold_head(&gate));
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8?t=1")));
    let players: Vec<_> = (0..5)
        .map(|n| {
            let target = target.clone();
            tokio::spawn(async move {
                let agent = format!("player {n}");
                request(addr, "GET", &target, &[("User-Agent", &agent)]).await
            })
        })
        .collect();
    origin.wait_for_requests("/l.m3u8", 1).await;
    gate.open();
    for player in players {
        assert_eq!(last_uri(&player.await.unwrap()), "5.ts");
    }
    let held = get(addr, &target).await;
    assert_eq!((held.header("cache-status"), held.header("age")), ("hlswarm; hit", "0"));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_player_who_goes_away_takes_nothing_from_the_others() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let gate = Gate::closed();
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)).hold_head(&gate));
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let ask = |target: String| tokio::spawn(async move { get(addr, &target).await });
    let first = ask(target.clone());
    origin.wait_for_requests("/l.m3u8", 1).await;
    let second = ask(target);
    first.abort();
    gate.open();
    assert_eq!(last_uri(&second.await.unwrap()), "5.ts");
}

#[tokio::test]
async fn credentials_and_cookies_set_keep_players_apart() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/l.m3u8", Resource::playlist(&live(1, 5)));
    origin.put("/c.m3u8", Resource::playlist(&live(1, 5)).header("set-cookie", "id=1"));
    let target = ask::path(&origin.url("/l.m3u8"));
    for cookie in ["a=1", "a=2", "a=1"] {
        request(daemon.local_addr(), "GET", &target, &[("Cookie", cookie)]).await;
    }
    assert_eq!(origin.requests_for("/l.m3u8").len(), 2);
    for n in 1..3 {
        let answer = get(daemon.local_addr(), &ask::path(&origin.url("/c.m3u8"))).await;
        assert!(answer.header("set-cookie").starts_with("id=1"));
        assert_eq!(origin.requests_for("/c.m3u8").len(), n, "a cookie is for one player");
    }
}

#[tokio::test]
async fn an_unchanged_playlist_is_not_sent_again() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/l.m3u8", strict(1, 5).header("etag", "\"v1\""));
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let first = get(addr, &target).await;
    assert_eq!(get(addr, &target).await.text(), first.text());
    assert_eq!(origin.requests()[1].header("if-none-match"), "\"v1\"");
    let known = request(addr, "GET", &target, &[("If-None-Match", "\"v1\"")]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(known.header("etag"), "\"v1\"");
    origin.put("/l.m3u8", strict(2, 6).header("etag", "\"v2\""));
    let news = request(addr, "GET", &target, &[("If-None-Match", "\"v1\"")]).await;
    assert_eq!((news.status, last_uri(&news).as_str()), (200, "6.ts"));
}

#[tokio::test]
async fn a_playlist_never_goes_back_unless_the_stream_begins_anew() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    for (first, last, expected) in
        [(10, 15, "15.ts"), (9, 14, "15.ts"), (11, 16, "16.ts"), (0, 5, "5.ts")]
    {
        origin.put("/l.m3u8", strict(first, last));
        assert_eq!(last_uri(&get(addr, &target).await), expected, "{first}-{last}");
    }
    assert_eq!(origin.requests().len(), 4);
}

#[tokio::test]
async fn players_go_on_while_the_origin_hiccups() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), ask::path(&origin.url("/l.m3u8")));
    let hiccup = Switch::on();
    origin.put("/l.m3u8", strict(1, 5));
    get(addr, &target).await;
    for status in [503, 500, 404] {
        origin.put("/l.m3u8", strict(2, 6).fail_while(&hiccup, status));
        let answer = get(addr, &target).await;
        if status == 404 {
            assert_eq!(answer.status, 404, "that is meant");
        } else {
            assert_eq!((answer.status, last_uri(&answer).as_str()), (200, "5.ts"));
        }
    }
    hiccup.turn_off();
    assert_eq!(last_uri(&get(addr, &target).await), "6.ts");
}

#[tokio::test]
async fn a_film_is_held_for_as_long_as_its_origin_says() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let film = live(0, 5) + "#EXT-X-ENDLIST\n";
    origin.put("/a.m3u8", Resource::playlist(&film));
    origin.put("/b.m3u8", Resource::playlist(&film).header("cache-control", "max-age=600"));
    for (path, requests) in [("/a.m3u8", 2), ("/b.m3u8", 1)] {
        for _ in 0..2 {
            let answer = get(daemon.local_addr(), &ask::path(&origin.url(path))).await;
            assert_eq!(uris(answer.text()).len(), 6);
        }
        assert_eq!(origin.requests_for(path).len(), requests, "{path}");
    }
}

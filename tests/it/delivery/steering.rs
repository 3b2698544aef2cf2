//! Streams on several pathways, for players that know nothing of them.

use super::{daemon, uris};
use crate::ask::{self, get};
use crate::origin::{Seen, TestOrigin};
use crate::resource::{Gate, Resource, Switch, pattern};
use hlswarm::daemon::Daemon;

const LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:7\n";
const SEGMENT_BYTES: usize = 20_000;

/// An origin that has the stream: segments 7 to 9, and a playlist that is asked for each time.
async fn pathway() -> TestOrigin {
    let origin = TestOrigin::start().await;
    put(&origin, "");
    origin
}

fn put(origin: &TestOrigin, end: &str) {
    let mut text = LIVE.to_owned();
    for n in 7..10_u8 {
        text += &format!("#EXTINF:600,\n{n}.ts\n");
        origin.put(&format!("/{n}.ts"), Resource::ts(SEGMENT_BYTES, n));
    }
    let playlist = Resource::playlist(&(text + end)).header("cache-control", "no-cache");
    origin.put("/v.m3u8", playlist);
}

/// A multivariant playlist with a variant on each pathway, beginning with `A`.
fn master(server: &str, pathways: &[(&str, &TestOrigin)]) -> Resource {
    let mut text =
        format!("#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"{server}\",PATHWAY-ID=\"A\"\n");
    for (name, origin) in pathways {
        let url = origin.url("/v.m3u8");
        text += &format!("#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"{name}\"\n{url}\n");
    }
    Resource::playlist(&text)
}

fn manifest(more: &str) -> String {
    format!(r#"{{"VERSION":1,{more}}}"#)
}

/// A manifest inside the playlist, which cannot have quotes.
fn data(more: &str) -> String {
    format!("data:application/json,{}", manifest(more).replace('"', "%22"))
}

/// The variants that a player is given of the playlist at `/m.m3u8`, as local paths.
async fn variants(daemon: &Daemon, home: &TestOrigin) -> Vec<String> {
    let answer = get(daemon.local_addr(), &ask::path(&home.url("/m.m3u8"))).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("STEERING"), "{}", answer.text());
    uris(answer.text()).into_iter().map(str::to_owned).collect()
}

/// The segments that a player is given by the media playlist at a local path.
async fn segments(daemon: &Daemon, playlist: &str) -> Vec<String> {
    let answer = get(daemon.local_addr(), playlist).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    uris(answer.text()).into_iter().map(str::to_owned).collect()
}

async fn expect_segment(daemon: &Daemon, path: &str, n: u8) {
    let answer = get(daemon.local_addr(), path).await;
    assert_eq!((answer.status, answer.body == pattern(SEGMENT_BYTES, n)), (200, true), "{path}");
}

fn is_at(path: &str, origin: &TestOrigin) -> bool {
    path.starts_with(&ask::path(&origin.url("/")))
}

/// Reloads a playlist until it is another origin's.
async fn until_at(daemon: &Daemon, playlist: &str, origin: &TestOrigin) {
    while !is_at(&segments(daemon, playlist).await[0], origin) {}
}

#[tokio::test]
async fn a_player_gets_the_variants_of_one_pathway() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let given = variants(&daemon, &home).await;
    assert_eq!(given, [ask::path(&a.url("/v.m3u8"))]);
    let paths = segments(&daemon, &given[0]).await;
    for (path, n) in paths.iter().zip(7..) {
        assert!(is_at(path, &a));
        expect_segment(&daemon, path, n).await;
    }
    assert!(b.requests().is_empty());
}

#[tokio::test]
async fn without_the_tag_nothing_is_taken_out() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    let text =
        "#EXTM3U\n#EXT-X-STREAM-INF:PATHWAY-ID=\"A\"\n/a\n#EXT-X-STREAM-INF:PATHWAY-ID=\"B\"\n";
    home.put("/m.m3u8", Resource::playlist(&format!("{text}{}\n", b.url("/v.m3u8"))));
    assert_eq!(variants(&daemon, &home).await.len(), 2);
    assert!(a.requests().is_empty());
}

#[tokio::test]
async fn a_manifest_in_the_playlist_is_followed_at_once() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    let server = data(r#""PATHWAY-PRIORITY":["B","A"]"#);
    home.put("/m.m3u8", master(&server, &[("A", &a), ("B", &b)]));
    assert_eq!(variants(&daemon, &home).await, [ask::path(&b.url("/v.m3u8"))]);
}

#[tokio::test]
async fn a_playlist_comes_from_where_the_server_says_and_never_goes_back() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    let steer = |more: &str| Resource::new("application/json", manifest(more));
    home.put("/steer", steer(r#""TTL":1,"RELOAD-URI":"next?x=1","PATHWAY-PRIORITY":["A"]"#));
    let gate = Gate::closed();
    home.put("/next", steer(r#""TTL":300,"PATHWAY-PRIORITY":["B","A"]"#).hold_head(&gate));
    home.put("/m.m3u8", master("/steer?s=1", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let old = segments(&daemon, &playlist).await;
    home.wait_for_requests("/next", 1).await;
    assert!(is_at(&old[0], &a) && is_at(&segments(&daemon, &playlist).await[0], &a));
    expect_segment(&daemon, &old[1], 8).await;
    gate.open();
    until_at(&daemon, &playlist, &b).await;
    let new = segments(&daemon, &playlist).await;
    assert_eq!(new.len(), old.len());
    expect_segment(&daemon, &new[1], 8).await;
    assert!(b.requests_for("/8.ts").is_empty(), "it is the same segment, and held");
    expect_segment(&daemon, &new[2], 9).await;
    expect_segment(&daemon, &old[2], 9).await;
    assert_eq!((a.requests_for("/9.ts").len(), b.requests_for("/9.ts").len()), (0, 1));
    let query = |path: &str| home.requests_for(path)[0].query.clone().unwrap();
    assert_eq!(query("/steer"), "s=1&_HLS_pathway=A");
    assert_eq!(query("/next"), "x=1&_HLS_pathway=A");
    let is_clean = |seen: Seen| seen.query.is_none_or(|query| !query.contains("_HLS_pathway"));
    assert!([a, b].iter().all(|origin| origin.requests().into_iter().all(is_clean)));
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is() {
    let (home, a) = (TestOrigin::start().await, pathway().await);
    let daemon = daemon().await;
    let steer = Resource::new("application/json", manifest(r#""TTL":1,"PATHWAY-PRIORITY":["A"]"#));
    home.put("/steer", steer);
    let refusing = |status| {
        let mut refusal = Resource::new("text/plain", "").header("retry-after", "3600");
        refusal.status = status;
        refusal
    };
    home.put("/gone", refusing(410));
    home.put("/busy", refusing(429));
    for (path, server) in [("/1.m3u8", "/gone"), ("/2.m3u8", "/busy"), ("/3.m3u8", "/steer")] {
        home.put(path, master(server, &[("A", &a)]));
        get(daemon.local_addr(), &ask::path(&home.url(path))).await;
    }
    home.wait_for_requests("/steer", 3).await;
    assert_eq!((home.requests_for("/gone").len(), home.requests_for("/busy").len()), (1, 1));
}

#[tokio::test]
async fn a_clone_is_a_pathway_at_another_host() {
    let (home, a, c) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    let clone = format!(
        r#""PATHWAY-PRIORITY":["C","A"],"PATHWAY-CLONES":[{{"BASE-ID":"A","ID":"C",
        "URI-REPLACEMENT":{{"HOST":"{}","PARAMS":{{"t":"1"}}}}}}]"#,
        c.addr()
    );
    home.put("/steer", Resource::new("application/json", manifest(&clone)));
    home.put("/m.m3u8", master("/steer", &[("A", &a)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    assert!(is_at(&playlist, &a), "players are given what the playlist has");
    until_at(&daemon, &playlist, &c).await;
    assert_eq!(c.requests_for("/v.m3u8")[0].query.as_deref(), Some("t=1"));
}

#[tokio::test]
async fn playing_goes_on_when_a_pathway_dies() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let old = segments(&daemon, &playlist).await;
    expect_segment(&daemon, &old[0], 7).await;
    drop(a);
    expect_segment(&daemon, &old[1], 8).await;
    let new = segments(&daemon, &playlist).await;
    assert!(is_at(&new[0], &b));
    expect_segment(&daemon, &new[0], 7).await;
    expect_segment(&daemon, &new[2], 9).await;
    expect_segment(&daemon, &old[2], 9).await;
    assert!(b.requests_for("/7.ts").is_empty(), "what the first pathway brought is held");
    assert_eq!((b.requests_for("/8.ts").len(), b.requests_for("/9.ts").len()), (1, 1));
}

#[tokio::test]
async fn a_playlist_is_had_from_another_pathway_whatever_the_first_answers() {
    for status in [404, 500, 503] {
        let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
        let daemon = daemon().await;
        home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
        let playlist = variants(&daemon, &home).await.remove(0);
        a.put("/v.m3u8", Resource::playlist(LIVE).fail_while(&Switch::on(), status));
        for _ in 0..2 {
            assert!(is_at(&segments(&daemon, &playlist).await[0], &b));
        }
        assert_eq!(a.requests_for("/v.m3u8").len(), 1, "and is then avoided");
    }
}

#[tokio::test]
async fn a_film_is_played_on_from_another_pathway() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    for origin in [&a, &b] {
        put(origin, "#EXT-X-ENDLIST\n");
    }
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let paths = segments(&daemon, &playlist).await;
    let failing = Switch::on();
    for n in 7..10 {
        a.put(&format!("/{n}.ts"), Resource::ts(1, 0).fail_while(&failing, 503));
    }
    for (path, n) in paths.iter().zip(7..) {
        expect_segment(&daemon, path, n).await;
    }
    assert_eq!(a.requests_for("/7.ts").len(), 1);
    assert!(a.requests_for("/8.ts").is_empty(), "a pathway that failed is not asked again");
    assert_eq!(b.requests_for("/v.m3u8").len(), 1);
}

#[tokio::test]
async fn a_pathway_that_hangs_is_left_for_another() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let paths = segments(&daemon, &playlist).await;
    let never = Gate::closed();
    a.put("/7.ts", Resource::ts(SEGMENT_BYTES, 7).hold_head(&never));
    expect_segment(&daemon, &paths[0], 7).await;
    assert_eq!(b.requests_for("/7.ts").len(), 1);
    let other = TestOrigin::start().await;
    other.put("/v.m3u8", Resource::playlist(LIVE).hold_head(&never));
    home.put("/m.m3u8", master("/steer", &[("A", &other), ("B", &b)]));
    variants(&daemon, &home).await;
    assert!(is_at(&segments(&daemon, &ask::path(&other.url("/v.m3u8"))).await[0], &b));
}

#[tokio::test]
async fn a_segment_that_breaks_off_is_continued_on_another_pathway() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let paths = segments(&daemon, &playlist).await;
    a.put("/7.ts", Resource::ts(SEGMENT_BYTES, 7).truncate_first(9, 5_000));
    expect_segment(&daemon, &paths[0], 7).await;
    assert_eq!(b.requests_for("/7.ts")[0].header("range"), "bytes=5000-");
}

#[tokio::test]
async fn bytes_of_two_versions_of_a_segment_are_never_joined() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master("/steer", &[("A", &a), ("B", &b)]));
    let playlist = variants(&daemon, &home).await.remove(0);
    let paths = segments(&daemon, &playlist).await;
    a.put("/8.ts", Resource::ts(SEGMENT_BYTES, 8).truncate_first(1, 5_000));
    b.put("/8.ts", Resource::ts(SEGMENT_BYTES + 188, 88));
    expect_segment(&daemon, &paths[1], 8).await;
    let asked = |origin: &TestOrigin| origin.requests_for("/8.ts").len();
    assert_eq!((asked(&a), asked(&b)), (2, 1), "what another pathway has was of no use");
}

#[tokio::test]
async fn a_hostile_manifest_changes_nothing() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    let evil = |clones: &str| {
        manifest(&format!(r#""PATHWAY-PRIORITY":["X","A"],"PATHWAY-CLONES":[{clones}]"#))
    };
    let clone = |base: &str, id: &str, host: &str| {
        format!(r#"{{"BASE-ID":"{base}","ID":"{id}","URI-REPLACEMENT":{{"HOST":"{host}"}}}}"#)
    };
    let own = daemon.local_addr().to_string();
    let hosts = ["169.254.169.254", "[fe80::1]", "2852039166", own.as_str(), "a/b", ""];
    let mut manifests: Vec<String> =
        hosts.iter().map(|host| evil(&clone("A", "X", host))).collect();
    manifests.extend([
        evil(&[clone("Y", "X", "h.test"), clone("X", "Y", "h.test")].join(",")),
        " ".repeat(10 << 20),
        "[".repeat(100_000),
        manifest(r#""PATHWAY-PRIORITY":{}"#),
        manifest(r#""PATHWAY-PRIORITY":["B"],"TTL":"soon""#),
        String::new(),
    ]);
    for (n, text) in manifests.into_iter().enumerate() {
        let (path, server) = (format!("/{n}.m3u8"), format!("/steer{n}"));
        home.put(&server, Resource::new("application/json", text));
        let variant = format!("/v.m3u8?n={n}");
        let text = format!(
            "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"{server}\",PATHWAY-ID=\"A\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"A\"\n{}\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\"\n{}\n",
            a.url(&variant),
            b.url(&variant)
        );
        home.put(&path, Resource::playlist(&text));
        let target = ask::path(&home.url(&path));
        let given = get(daemon.local_addr(), &target).await;
        home.wait_for_end(&server).await;
        for _ in 0..3 {
            let paths = segments(&daemon, uris(given.text())[0]).await;
            assert!(is_at(&paths[0], &a), "{n}");
            expect_segment(&daemon, &paths[0], 7).await;
        }
    }
    assert!(b.requests().is_empty());
}

#[tokio::test]
async fn what_a_player_sends_for_one_host_goes_to_no_other() {
    let (home, a, b) = (TestOrigin::start().await, pathway().await, pathway().await);
    let daemon = daemon().await;
    home.put("/m.m3u8", master(b.url("/steer").as_ref(), &[("A", &a), ("B", &b)]));
    let headers = [("Cookie", "id=hush"), ("Authorization", "Bearer hush")];
    let ask = async |path: &str| ask::request(daemon.local_addr(), "GET", path, &headers).await;
    let master = ask(&ask::path(&home.url("/m.m3u8"))).await;
    let playlist = uris(master.text())[0].to_owned();
    let old = ask(&playlist).await;
    b.wait_for_requests("/steer", 1).await;
    drop(a);
    assert_eq!(ask(uris(old.text())[1]).await.body, pattern(SEGMENT_BYTES, 8));
    assert!(is_at(uris(ask(&playlist).await.text())[0], &b));
    for seen in b.requests() {
        assert_eq!(
            (seen.header("cookie"), seen.header("authorization")),
            ("", ""),
            "{}",
            seen.path
        );
    }
    assert!(b.requests().len() >= 3);
}

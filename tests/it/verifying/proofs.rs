//! Hash lists and digests: where they are found, what they prove, and what goes without them.

use super::stage::{BESIDE, Stage, hash_list, serve_honestly};
use crate::resource::Resource;
use crate::sharing::channel::Channel;
use crate::sharing::test_peer::Waiting;
use crate::sharing::world::{DEADLINE, Film, Player, Tracker, config, has_any};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::swarm::wire::Message;
use hlswarm::verify::digest::sha256;
use hlswarm::verify::ladder::Mode;
use http::Method;
use md5::Digest as _;
use std::path::Path;

#[tokio::test]
async fn a_list_beside_the_playlist_proves_every_segment_also_in_strict_mode() {
    for mode in [Mode::Ladder, Mode::Strict] {
        let (stage, peer) = Stage::set(4, |origin, film, config| {
            config.p2p.verify = mode;
            origin.put(BESIDE, hash_list(film).needs("user-agent", "player"));
        })
        .await;
        stage.begin(&peer).await;
        let serving = serve_honestly(peer, &stage.film);
        stage.proved("list", 3).await;
        for number in 1..4 {
            assert_eq!(stage.play(number).await, "hlswarm; hit; detail=peers");
        }
        assert_eq!(stage.asked(), (0, 0), "{mode}");
        assert_eq!(stage.origin.requests_for(BESIDE).len(), 1);
        let list = stage.origin.sent(BESIDE);
        let first = stage.film.segments[0].len() as u64;
        let totals = stage.daemon.totals();
        assert!(totals.origin_bytes >= first + list, "what it costs is counted: {totals:?}");
        serving.abort();
    }
}

#[tokio::test]
async fn a_list_is_where_the_settings_say() {
    let (stage, peer) = Stage::set(3, |origin, film, config| {
        config.p2p.verify = Mode::Strict;
        let (film_url, list) = (origin.url("/film/"), origin.url("/lists/a.json?t=1"));
        config.p2p.hash_lists = vec![format!("{film_url}={list}").parse().unwrap()];
        origin.put("/lists/a.json", hash_list(film));
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    stage.proved("list", 2).await;
    assert!(stage.origin.requests_for(BESIDE).is_empty());
    assert_eq!(stage.origin.requests_for("/lists/a.json")[0].query.as_deref(), Some("t=1"));
    serving.abort();
}

#[tokio::test]
async fn a_list_is_where_the_rule_of_its_streams_says() {
    let (stage, peer) = Stage::set(3, |origin, film, config| {
        config.p2p.verify = Mode::Strict;
        let list = origin.url("/lists/b.json?t=2");
        let toml = format!("[[p2p.stream]]\nmatch = \"127.0.0.1\"\nhash_list = \"{list}\"\n");
        config.p2p.stream = Config::from_toml(&toml, Path::new("c.toml")).unwrap().p2p.stream;
        origin.put("/lists/b.json", hash_list(film));
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    stage.proved("list", 2).await;
    assert!(stage.origin.requests_for(BESIDE).is_empty());
    assert_eq!(stage.origin.requests_for("/lists/b.json")[0].query.as_deref(), Some("t=2"));
    serving.abort();
}

#[tokio::test]
async fn a_list_that_is_out_of_date_bans_nobody() {
    let (stage, peer) = Stage::set(4, |origin, _, _| {
        let other = Film { segments: Film::new(5, 10).segments.split_off(1), duration_s: 2 };
        origin.put(BESIDE, hash_list(&other));
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    for number in 1..4 {
        stage.play(number).await;
    }
    stage.proved("slices", 3).await;
    assert!(has_any(&stage.player.stats().await["peers"]));
    assert_eq!(stage.daemon.totals().rejected_segments, 0);
    serving.abort();
}

#[tokio::test]
async fn a_growing_list_is_read_again_but_not_for_every_segment() {
    let (channel, tracker) = (Channel::start(4, 0, false).await, Tracker::start().await);
    let list = |last: u64| {
        let names = (0..=last).map(|n| {
            let hash =
                sha256(&Channel::bytes(n)).iter().map(|b| format!("{b:02x}")).collect::<String>();
            format!("\"seg-{n}.ts\":\"{hash}\"")
        });
        Resource::new("application/json", format!("{{{}}}", names.collect::<Vec<_>>().join(",")))
    };
    const PLACE: &str = "/live/segments-sha256.json";
    channel.go_to(10, 0);
    channel.origin.put(PLACE, list(10));
    let waiting = Waiting::join(&tracker.url(), &channel.url()).await;
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    player.timeline(&channel.url()).await;
    let mut peer = waiting.meet().await;
    player.peer_met().await;
    let serving = async {
        peer.announce(&(0..2_000).collect::<Vec<_>>()).await;
        while let Some(asked) = peer.requested().await {
            peer.answer(&asked, &Channel::bytes(asked.segment)).await;
        }
    };
    let began = tokio::time::Instant::now();
    let watching = async {
        for number in 11.. {
            channel.origin.put(PLACE, list(number));
            channel.go_to(number, 0);
            channel.watch_newest(&player).await;
            let stats = player.stats().await;
            let by_list = stats["streams"][0]["checked_by"]["list"].as_u64().unwrap();
            if by_list > 0 && channel.origin.requests_for(PLACE).len() > 2 {
                break;
            }
        }
    };
    tokio::select! {
        () = serving => panic!("the peer was left"),
        watched = tokio::time::timeout(DEADLINE, watching) => watched.expect("a list read again"),
    }
    let reads = channel.origin.requests_for(PLACE).len() as u64;
    assert!(reads <= began.elapsed().as_secs() / 2 + 2, "{reads} in {:?}", began.elapsed());
}

/// Every header field in which an origin can state a digest.
fn forms(bytes: &[u8]) -> [(&'static str, String); 5] {
    let (sha256, md5) = (STANDARD.encode(sha256(bytes)), md5::Md5::digest(bytes));
    let tag: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        ("repr-digest", format!("sha-256=:{sha256}:")),
        ("content-digest", format!("sha-256=:{sha256}:")),
        ("digest", format!("SHA-256={sha256}")),
        ("content-md5", STANDARD.encode(md5)),
        ("etag", format!("\"{tag}\"")),
    ]
}

#[tokio::test]
async fn every_form_of_digest_proves_where_the_origin_may_be_asked() {
    for form in 0..5 {
        for mode in [Mode::Head, Mode::Strict] {
            let (stage, peer) = Stage::set(3, |origin, film, config| {
                config.p2p.verify = mode;
                for number in 0..3 {
                    let (name, value) = &forms(&film.segments[number])[form];
                    origin.put(&Film::path(number), film.resource(number).header(name, value));
                }
            })
            .await;
            stage.begin(&peer).await;
            let serving = serve_honestly(peer, &stage.film);
            stage.proved("digest", 2).await;
            assert_eq!(stage.asked(), (0, 0), "{form} {mode}");
            let seen = stage.origin.requests_for(&Film::path(1));
            assert!(seen.iter().all(|seen| seen.method == Method::HEAD), "{seen:?}");
            serving.abort();
        }
    }
}

#[tokio::test]
async fn a_tag_that_only_looks_like_a_digest_bans_nobody() {
    let (stage, peer) = Stage::set(3, |origin, film, config| {
        config.p2p.verify = Mode::Head;
        for number in 0..3 {
            let tag = format!("\"{}\"", "ab".repeat(16));
            origin.put(&Film::path(number), film.resource(number).header("etag", &tag));
        }
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    for number in 1..3 {
        stage.play(number).await;
    }
    let stats = stage.proved("slices", 2).await;
    assert!(has_any(&stats["peers"]));
    assert_eq!(stats["totals"]["rejected_segments"], 0);
    serving.abort();
}

#[tokio::test]
async fn by_default_the_origin_is_asked_for_no_digest() {
    let (stage, peer) = Stage::set(2, |_, _, _| {}).await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    stage.proved("slices", 1).await;
    assert!(stage.origin.requests().iter().all(|seen| seen.method == Method::GET));
    serving.abort();
}

#[tokio::test]
async fn strict_asks_peers_for_nothing_that_cannot_be_proved_and_serves_them_all_the_same() {
    let (stage, mut peer) = Stage::set(3, |_, _, config| config.p2p.verify = Mode::Strict).await;
    stage.begin(&peer).await;
    stage.origin.wait_for_requests(BESIDE, 1).await;
    for number in 1..3 {
        let source = stage.play(number).await;
        assert!(source.ends_with("detail=origin"), "{source}");
    }
    peer.say(&Message::Request { segment: 0, request: 7, from: 0 }).await;
    loop {
        use crate::sharing::test_peer::Said;
        match peer.hear().await.expect("a word") {
            Said::Message(Message::Completed { segment: 0, request: 7 }) => break,
            Said::Message(Message::Request { .. }) => panic!("it asks for what it cannot prove"),
            _ => {}
        }
    }
    assert_eq!(stage.daemon.totals().peer_bytes, 0);
    assert_eq!(stage.origin.requests_for(BESIDE).len(), 1, "that there is none is remembered");
    assert!(stage.daemon.totals().upload_bytes > 0);
}

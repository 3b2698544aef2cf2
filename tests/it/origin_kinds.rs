//! Origins that send segments in unusual ways, as a player behind the daemon gets them.

use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use crate::sharing::world::{Player, lone_daemon};
use hlswarm::origin::Wanted;

const LEN: usize = 40_000;
const LIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-ENDLIST\n";

/// An origin with one segment, and the playlist that names it.
async fn origin(segment: Resource) -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.put("/index.m3u8", Resource::playlist(LIST));
    origin.put("/0.ts", segment);
    origin
}

#[tokio::test]
async fn a_segment_that_is_compressed_unasked_passes_with_its_encoding_and_is_not_kept() {
    let origin = origin(Resource::ts(LEN, 1).header("content-encoding", "gzip")).await;
    let daemon = lone_daemon().await;
    let player = Player::of(&daemon);
    let timeline = player.timeline(&origin.url("/index.m3u8")).await;
    for _ in 0..2 {
        let answer = player.segment(&timeline.segments[0]).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, "gzip"));
        assert_eq!(answer.source(), "hlswarm; fwd=bypass");
        assert_eq!(answer.body, pattern(LEN, 1));
    }
    assert_eq!(player.stats().await["cache"]["entries"], 0);
    daemon.stop().await;
}

#[tokio::test]
async fn an_encoding_called_identity_is_none() {
    let origin = origin(Resource::ts(LEN, 1).header("content-encoding", "Identity")).await;
    let daemon = lone_daemon().await;
    let player = Player::of(&daemon);
    let timeline = player.timeline(&origin.url("/index.m3u8")).await;
    for source in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
        let answer = player.fetch(&timeline.segments[0].url, Wanted::Whole).await;
        assert_eq!((answer.source(), &answer.body), (source, &pattern(LEN, 1)));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn user_name_and_password_of_a_url_reach_its_origin_and_nobody_else() {
    let (origin, other) = (TestOrigin::start().await, TestOrigin::start().await);
    let elsewhere = other.url("/1.ts");
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts";
    let text = format!("{head}\n#EXTINF:4,\n{elsewhere}\n#EXT-X-ENDLIST\n");
    let cookie = "sid=1; Path=/";
    origin.put("/index.m3u8", Resource::playlist(&text).header("set-cookie", cookie));
    origin.put("/0.ts", Resource::ts(LEN, 1));
    other.put("/1.ts", Resource::ts(LEN, 2));
    let daemon = lone_daemon().await;
    let player = Player::of(&daemon);
    let mut url = origin.url("/index.m3u8");
    url.set_username("me").unwrap();
    url.set_password(Some("s3cret")).unwrap();

    let list = player.get(&url).await;
    let host = origin.addr();
    let cookie = list.header("set-cookie");
    let (session, _) = cookie.strip_prefix("sid=1; Path=").unwrap().split_once("/http/").unwrap();
    assert_eq!(cookie, format!("sid=1; Path={session}/http/me:s3cret@{host}/"));
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    let own = format!("{session}/http/me:s3cret@{host}/0.ts");
    assert!(text.lines().any(|line| line == own), "{text}");
    let away = format!("{session}/http/{}/1.ts", other.addr());
    assert!(text.lines().any(|line| line == away), "{text}");

    let local = player.local(&origin.url("/")).join(&own).unwrap();
    for source in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
        let answer = player.fetch(&local, Wanted::Whole).await;
        assert_eq!((answer.source(), &answer.body), (source, &pattern(LEN, 1)));
    }
    assert_eq!(player.get(&elsewhere).await.body, pattern(LEN, 2));
    // "me:s3cret"
    assert_eq!(origin.requests().len(), 2);
    for seen in origin.requests() {
        assert_eq!(seen.header("authorization"), "Basic bWU6czNjcmV0");
    }
    let seen = &other.requests()[0];
    assert_eq!((seen.header("authorization"), seen.header("cookie")), ("", ""));
    let bare = player.get(&origin.url("/0.ts")).await;
    assert_eq!(bare.source(), "hlswarm; fwd=bypass", "not from what the password has brought");
    let stats = player.stats().await.to_string();
    assert!(stats.contains("/index.m3u8") && !stats.contains("s3cret"), "{stats}");
    daemon.stop().await;
}

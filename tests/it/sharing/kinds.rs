//! Every kind of stream, played through a daemon that is alone.

use super::world::{Player, lone_daemon};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use bytes::Bytes;
use hlswarm::origin::Wanted;
use hlswarm::playlist::{Playlist, Timeline};
use std::path::Path;
use url::Url;

const BYPASS: &str = "hlswarm; fwd=bypass";
const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";

/// The bytes of a file among the streams, by its path at the origin.
fn file(path: &str) -> Bytes {
    let streams = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/streams");
    std::fs::read(streams.join(path.trim_start_matches('/'))).unwrap().into()
}

/// An origin with all streams of `tests/data`.
async fn origin() -> TestOrigin {
    let origin = TestOrigin::start().await;
    for path in ["ts/index", "fmp4/index", "aes/index", "byterange/index", "multi/master"] {
        let path = format!("/{path}.m3u8");
        origin.put(&path, Resource::new("application/vnd.apple.mpegurl", file(&path)));
    }
    for number in 0..4 {
        for (kind, extension, content_type) in
            [("ts", "ts", "video/mp2t"), ("aes", "ts", "video/mp2t"), ("fmp4", "m4s", "video/mp4")]
        {
            let path = format!("/{kind}/seg-{number}.{extension}");
            origin.put(&path, Resource::new(content_type, file(&path)));
        }
    }
    origin.put("/byterange/all.ts", Resource::new("video/mp2t", file("byterange/all.ts")));
    origin.put("/fmp4/init.mp4", Resource::new("video/mp4", file("fmp4/init.mp4")));
    origin.put("/aes/key.bin", Resource::new("application/octet-stream", file("aes/key.bin")));
    origin
}

/// The origin's path that a local URL (`/http/HOST/PATH`) leads to.
fn path_at_origin(local: &Url) -> &str {
    let path = local.path();
    path.match_indices('/').nth(2).map(|(at, _)| &path[at..]).unwrap()
}

/// Gets every segment and compares it with the file.
async fn play(player: &Player, timeline: &Timeline, expected: &str) {
    assert_eq!(timeline.segments.len(), 4);
    for segment in &timeline.segments {
        let path = path_at_origin(&segment.url);
        let whole = file(path);
        let answer = player.segment(segment).await;
        assert_eq!(answer.source(), expected, "{path}");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        match segment.range {
            None => {
                assert_eq!(answer.status, 200, "{path}");
                assert!(answer.body == whole, "wrong bytes of {path}");
                assert_eq!(answer.header("content-length"), whole.len().to_string());
            }
            Some(range) => {
                let (offset, end) = (range.offset as usize, range.end() as usize);
                assert_eq!(answer.status, 206, "{path}");
                assert!(answer.body == whole.slice(offset..end), "wrong bytes of {path}");
                let content_range = format!("bytes {offset}-{}/{}", end - 1, whole.len());
                assert_eq!(answer.header("content-range"), content_range);
            }
        }
    }
}

#[tokio::test]
async fn plays_every_kind_of_stream_in_both_forms_of_its_url() {
    for kind in ["ts", "fmp4", "aes", "byterange"] {
        let (origin, daemon) = (origin().await, lone_daemon().await);
        let player = Player::of(&daemon);
        let url = origin.url(&format!("/{kind}/index.m3u8"));
        play(&player, &player.timeline(&url).await, FROM_ORIGIN).await;
        let pasted = format!("http://{}/{url}", daemon.local_addr()).parse().unwrap();
        let Playlist::Media(again) = player.playlist(&pasted).await else { panic!("not media") };
        play(&player, &again, "hlswarm; hit").await;
        for (url, path) in [(&url, "/fmp4/init.mp4"), (&url, "/aes/key.bin")] {
            let answer = player.get(&url.join(path).unwrap()).await;
            assert_eq!((answer.status, answer.source()), (200, BYPASS));
            assert!(answer.body == file(path));
        }
    }
}

#[tokio::test]
async fn plays_each_variant_of_a_multivariant_playlist() {
    let (origin, daemon) = (origin().await, lone_daemon().await);
    let player = Player::of(&daemon);
    let master = player.local(&origin.url("/multi/master.m3u8"));
    let Playlist::Multivariant(multivariant) = player.playlist(&master).await else {
        panic!("not multivariant")
    };
    assert_eq!(multivariant.variants.len(), 2);
    for (variant, rendition) in multivariant.variants.iter().zip(["main-0", "main-1"]) {
        let Playlist::Media(timeline) = player.playlist(&variant.url).await else {
            panic!("not media")
        };
        play(&player, &timeline, FROM_ORIGIN).await;
        let stats = player.stats().await;
        let streams = stats["streams"].as_array().unwrap();
        assert!(streams.iter().any(|s| s["rendition"] == rendition), "{stats:#}");
    }
}

#[tokio::test]
async fn leads_every_form_of_uri_through_the_daemon() {
    let (origin, elsewhere, daemon) = (origin().await, origin().await, lone_daemon().await);
    let uris = [
        "../ts/seg-0.ts".to_owned(),
        "/ts/seg-1.ts".to_owned(),
        origin.url("/ts/seg-2.ts").to_string(),
        elsewhere.url("/ts/seg-3.ts").to_string(),
    ];
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
    uris.iter().for_each(|uri| text.push_str(&format!("#EXTINF:2,\n{uri}\n")));
    text.push_str("#EXT-X-ENDLIST\n");
    origin.put("/forms/index.m3u8", Resource::playlist(&text));
    let player = Player::of(&daemon);
    let timeline = player.timeline(&origin.url("/forms/index.m3u8")).await;
    play(&player, &timeline, FROM_ORIGIN).await;
    assert_eq!(elsewhere.requests().len(), 1, "only the segment that is there");
}

#[tokio::test]
async fn asks_the_origin_for_a_key_each_time_and_never_keeps_it() {
    let (origin, daemon) = (origin().await, lone_daemon().await);
    let player = Player::of(&daemon);
    let answer = player.get(&origin.url("/aes/index.m3u8")).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let uri = text.split("URI=\"").nth(1).unwrap().split('"').next().unwrap();
    let key = player.local(&origin.url("/aes/index.m3u8")).join(uri).unwrap();
    for times in 1..=3 {
        let answer = player.fetch(&key, Wanted::Whole).await;
        assert_eq!((answer.status, answer.source()), (200, BYPASS));
        assert!(answer.body == file("aes/key.bin"));
        assert_eq!(origin.requests_for("/aes/key.bin").len(), times);
    }
    let stats = player.stats().await;
    assert_eq!((&stats["cache"]["entries"], &stats["cache"]["bytes"]), (&0.into(), &0.into()));
}

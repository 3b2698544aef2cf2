//! Renditions beside the video, pictures for trick play, and keys of every kind.

use super::{daemon, uris};
use crate::ask::{self, Answer, get, get_kept};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use std::net::SocketAddr;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HIT: &str = "hlswarm; hit";
const BYPASS: &str = "hlswarm; fwd=bypass";
const LEN: usize = 10_000;

/// What the attributes `URI` of a playlist lead to.
fn attributes(text: &str) -> Vec<&str> {
    text.split("URI=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Gets what an origin has under `path`, some of it where a range is given.
async fn fetch(addr: SocketAddr, origin: &TestOrigin, path: &str, range: &str) -> Answer {
    let target = ask::path(&origin.url(path));
    let headers: &[_] = if range.is_empty() { &[] } else { &[("Range", range)] };
    get_kept(addr, &target, headers).await
}

#[tokio::test]
async fn keys_that_rotate_pass_by_and_their_segments_are_shared_as_they_are() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    // An IV that is not stated is the media sequence number, so that must not move.
    let ivs = ["", ",IV=0x0000000000000000000000000000002a", ""];
    for newest in [12_u8, 13] {
        let mut text =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:{}\n", newest - 2);
        for n in newest - 2..=newest {
            let iv = ivs[usize::from(n) % 3];
            text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k{n}\"{iv}\n#EXTINF:600,\n{n}.ts\n");
            // Encrypted bytes have no form.
            origin.put(&format!("/{n}.ts"), Resource::ts(LEN, n));
            origin.put(&format!("/k{n}"), Resource::new("application/octet-stream", vec![n; 16]));
        }
        let list = Resource::playlist(&text).header("cache-control", "no-cache");
        origin.put("/l.m3u8", list);
        let answer = fetch(addr, &origin, "/l.m3u8", "").await;
        // Keys have whole URLs, segments paths.
        let paths = answer.text().replace(&format!("\"http://{addr}/"), "\"/");
        assert_ne!(paths, answer.text());
        assert_eq!(paths.replace(&format!("/http/{}/", origin.addr()), ""), text);
        let (keys, segments) = (attributes(&paths), uris(&paths));
        for ((key, segment), n) in keys.into_iter().zip(segments).zip(newest - 2..) {
            for times in 1..=2 {
                let key = get(addr, key).await;
                assert_eq!((key.header("cache-status"), &key.body), (BYPASS, &vec![n; 16]));
                let segment = get_kept(addr, segment, &[]).await;
                assert!(segment.body == pattern(LEN, n));
                let is_new = times == 1 && (newest == 12 || n == newest);
                let source = segment.header("cache-status");
                assert_eq!(source, if is_new { FROM_ORIGIN } else { HIT }, "{n}");
            }
        }
    }
    assert_eq!(origin.requests_for("/k12").len(), 4, "a key is never held");
}

#[tokio::test]
async fn keys_of_several_systems_stay_untouched_or_lead_through_the_daemon() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-VERSION:5\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://asset-1\",\
        KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAA\",\
        KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"HOSTHERE/key?id=1&rot=0\",\
        IV=0x9c7db8778570d05c3177c349fd9236aa,KEYFORMAT=\"identity\"\n\
        #EXT-X-MAP:URI=\"HERE/init.mp4\"\n#EXTINF:6,\nHERE/0.m4s\n#EXT-X-ENDLIST\n";
    origin.put("/l.m3u8", Resource::playlist(&text.replace("HOST", "").replace("HERE", "")));
    origin.put("/key", Resource::new("application/octet-stream", vec![7; 16]));
    origin.put("/init.mp4", Resource::new("video/mp4", pattern(100, 9)));
    origin.put("/0.m4s", Resource::new("video/mp4", pattern(LEN, 1)));
    let addr = daemon.local_addr();
    let answer = fetch(addr, &origin, "/l.m3u8", "").await;
    let led = format!("/http/{}", origin.addr());
    let wanted = text.replace("HOST", &format!("http://{addr}")).replace("HERE", &led);
    assert_eq!(answer.text(), wanted);
    for (path, body, sources) in [
        ("/key?id=1&rot=0", vec![7; 16], [BYPASS; 2]),
        ("/init.mp4", pattern(100, 9).to_vec(), [BYPASS; 2]),
        ("/0.m4s", pattern(LEN, 1).to_vec(), [FROM_ORIGIN, HIT]),
    ] {
        for source in sources {
            let answer = fetch(addr, &origin, path, "").await;
            assert_eq!(answer.header("cache-status"), source, "{path}");
            assert!(answer.body == body, "{path}");
        }
    }
}

#[tokio::test]
async fn pictures_for_trick_play_are_parts_of_segments_and_neither_hides_the_other() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let (mut video, mut pictures) = (String::new(), String::new());
    for n in 0..3 {
        origin.put(&format!("/{n}.ts"), Resource::ts(LEN, n));
        video += &format!("#EXTINF:4,\n{n}.ts\n");
        for offset in [376, 5_000] {
            pictures += &format!("#EXTINF:2,\n#EXT-X-BYTERANGE:188@{offset}\n{n}.ts\n");
        }
    }
    let list = |tag, segments| {
        let head = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:4\n";
        Resource::playlist(&format!("{head}{tag}{segments}#EXT-X-ENDLIST\n"))
    };
    origin.put("/video.m3u8", list("", video));
    origin.put("/pictures.m3u8", list("#EXT-X-I-FRAMES-ONLY\n", pictures));
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"pictures.m3u8\"\n";
    origin.put("/master.m3u8", Resource::playlist(master));
    let answer = fetch(addr, &origin, "/master.m3u8", "").await;
    let lists = [uris(answer.text())[0], attributes(answer.text())[0]];
    // Whichever of the two was read last, each request gets its own.
    for order in [[0, 1], [1, 0]] {
        for list in order {
            assert_eq!(get(addr, lists[list]).await.status, 200);
        }
        for n in 0..3 {
            let path = format!("/{n}.ts");
            let expected = if order == [0, 1] { FROM_ORIGIN } else { HIT };
            for (first, last) in [(376, 563), (5_000, 5_187), (5_010, 5_019)] {
                let part = fetch(addr, &origin, &path, &format!("bytes={first}-{last}")).await;
                assert_eq!(part.status, 206);
                assert!(part.body == pattern(LEN, n).slice(first..last + 1), "{path} {first}");
                let expected = if first == 5_010 { HIT } else { expected };
                assert_eq!(part.header("cache-status"), expected, "{path} {first}");
            }
            for (range, status) in [("", 200), ("bytes=0-", 206), ("bytes=200-8000", 206)] {
                let whole = fetch(addr, &origin, &path, range).await;
                let from = if range.starts_with("bytes=2") { 200..8_001 } else { 0..LEN };
                assert_eq!(whole.status, status);
                assert!(whole.body == pattern(LEN, n).slice(from), "{path} {range}");
                let expected = if range.is_empty() { expected } else { HIT };
                assert_eq!(whole.header("cache-status"), expected, "{path} {range}");
            }
        }
    }
    let ranges: Vec<_> = origin.requests_for("/1.ts");
    let ranges: Vec<_> = ranges.iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, ["bytes=376-563", "bytes=5000-5187", ""], "each once");
}

#[tokio::test]
async fn audio_and_subtitles_are_streams_of_their_own_and_captions_are_none() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let master = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",\
        URI=\"HERE/a.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",\
        URI=\"HERE/s.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"English\",INSTREAM-ID=\"CC1\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",SUBTITLES=\"s\",\
        CLOSED-CAPTIONS=\"c\"\nHERE/v.m3u8\n";
    origin.put("/m.m3u8", Resource::playlist(&master.replace("HERE", "")));
    let kinds = [("v", "ts", "video/mp2t"), ("a", "aac", "audio/aac"), ("s", "vtt", "text/vtt")];
    for ((name, extension, kind), seed) in kinds.into_iter().zip([0, 50, 100]) {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_owned();
        for n in 0..2 {
            origin.put(
                &format!("/{name}{n}.{extension}"),
                Resource::new(kind, pattern(LEN, seed + n)),
            );
            text += &format!("#EXTINF:4,\n{name}{n}.{extension}\n");
        }
        origin.put(&format!("/{name}.m3u8"), Resource::playlist(&(text + "#EXT-X-ENDLIST\n")));
    }
    let answer = fetch(addr, &origin, "/m.m3u8", "").await;
    assert_eq!(answer.text(), master.replace("HERE", &format!("/http/{}", origin.addr())));
    for ((name, extension, kind), seed) in kinds.into_iter().zip([0, 50, 100]) {
        fetch(addr, &origin, &format!("/{name}.m3u8"), "").await;
        for source in [FROM_ORIGIN, HIT] {
            for n in 0..2 {
                let path = format!("/{name}{n}.{extension}");
                let answer = fetch(addr, &origin, &path, "").await;
                assert!(answer.body == pattern(LEN, seed + n), "{path}");
                assert_eq!(answer.header("cache-status"), source, "{path}");
                assert_eq!(answer.header("content-type"), kind);
            }
        }
    }
    let stats = get(addr, "/api/v1/stats").await.json();
    let streams = stats["streams"].as_array().unwrap();
    let named = |rendition: &str| streams.iter().any(|s| s["rendition"] == rendition);
    assert!(streams.len() == 3 && named("main-0") && named("secondary-0"), "{stats:#}");
}

#[tokio::test]
async fn keys_and_init_sections_that_the_origin_brings_at_the_second_try_are_whole() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let binary = |len| Resource::new("application/octet-stream", pattern(len, 5));
    for (path, len, resource) in [
        ("/busy.key", 16, binary(16).fail_first(2, 503)),
        ("/cut.key", 16, binary(16).truncate_first(1, 8)),
        ("/cut.mp4", LEN, binary(LEN).truncate_first(2, 900)),
        ("/cut-and-whole.mp4", LEN, binary(LEN).truncate_first(1, 900).without_ranges()),
        ("/tagged.mp4", LEN, binary(LEN).truncate_first(1, 900).header("etag", "\"v1\"")),
    ] {
        origin.put(path, resource);
        let answer = fetch(daemon.local_addr(), &origin, path, "").await;
        assert_eq!((answer.status, answer.header("cache-status")), (200, BYPASS), "{path}");
        assert_eq!(answer.body.len(), len, "{path}");
        assert!(answer.body == pattern(len, 5), "{path}");
    }
    let asked = origin.requests_for("/cut.mp4");
    let ranges: Vec<_> = asked.iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, ["", "bytes=900-", "bytes=1800-"]);
    let part = binary(LEN).truncate_first(1, 100);
    origin.put("/part.mp4", part);
    let answer = fetch(daemon.local_addr(), &origin, "/part.mp4", "bytes=1000-1999").await;
    assert_eq!((answer.status, answer.header("content-length")), (206, "1000"));
    assert!(answer.body == pattern(LEN, 5).slice(1_000..2_000), "{}", answer.body.len());
}

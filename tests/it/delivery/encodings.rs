//! Playlists in forms that players do not expect.

use super::{daemon, encoded, uris};
use crate::ask::{self, get, request};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use flate2::Compression;
use hlswarm::origin::PLAYLIST_BYTES_MAX;
use std::io::Write;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_playlist_is_given_out_as_text() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let packed = gzip(MEDIA.as_bytes());
    let coded = |name| Resource::new(name, packed.clone()).header("content-encoding", "gzip");
    origin.put("/plain.m3u8", Resource::playlist(MEDIA));
    origin.put("/gzip.m3u8", coded("application/vnd.apple.mpegurl"));
    origin.put("/nameless", coded("text/html"));
    origin.put("/file.m3u8", Resource::new("application/octet-stream", packed.clone()));
    let plain = get(daemon.local_addr(), &ask::path(&origin.url("/plain.m3u8"))).await;
    for path in ["/gzip.m3u8", "/file.m3u8", "/nameless"] {
        let target = ask::path(&origin.url(path));
        let answer = get(daemon.local_addr(), &target).await;
        assert_eq!((answer.status, answer.text()), (200, plain.text()), "{path}");
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
        let head = request(daemon.local_addr(), "HEAD", &target, &[]).await;
        assert_eq!(head.header("content-length"), answer.body.len().to_string(), "{path}");
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_playlist_is_known_by_its_content() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    for (path, kind) in [("/x.php", "text/html"), ("/x.ts", "video/mp2t"), ("/x", "")] {
        origin.put(path, Resource::new(kind, format!("\u{feff}{MEDIA}")));
        let answer = get(daemon.local_addr(), &ask::path(&origin.url(path))).await;
        assert!(answer.text().starts_with("#EXTM3U"), "no byte order mark: {path}");
        assert!(uris(answer.text())[0].starts_with("/http/"), "{path}");
        assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl", "{path}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_stay_in_titles() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let text = b"\xef\xbb\xbf#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,caf\xe9\na.ts\n".to_vec();
    origin.put("/l.m3u8", Resource::new("audio/mpegurl", text));
    for _ in 0..2 {
        let answer = get(daemon.local_addr(), &ask::path(&origin.url("/l.m3u8"))).await;
        let expected = format!("/http/{}/a.ts\n", origin.addr());
        assert!(answer.body.ends_with(&[b"4,caf\xe9\n", expected.as_bytes()].concat()));
        assert!(answer.body.starts_with(b"#EXTM3U"));
    }
}

#[tokio::test]
async fn a_head_request_is_told_the_length_of_the_rewritten_playlist() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let target = ask::path(&origin.url("/x"));
    origin.put("/x", Resource::new("audio/MpegURL; charset=utf-8", MEDIA));
    let head = request(daemon.local_addr(), "HEAD", &target, &[]).await;
    let answer = get(daemon.local_addr(), &target).await;
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
}

#[tokio::test]
async fn a_compression_bomb_is_refused() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let mut text = MEDIA.as_bytes().to_vec();
    text.resize(PLAYLIST_BYTES_MAX * 4, b'#');
    let bomb = Resource::new("audio/mpegurl", gzip(&text));
    origin.put("/bomb.m3u8", bomb.header("content-encoding", "gzip"));
    let answer = get(daemon.local_addr(), &ask::path(&origin.url("/bomb.m3u8"))).await;
    assert!(answer.problem(502).contains("too large"));
}

#[tokio::test]
async fn a_large_list_of_channels_is_rewritten() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let mut list = String::from("#EXTM3U\n");
    while list.len() < 1 << 20 {
        list += "#EXTINF:-1 tvg-id=\"a\" tvg-logo=\"http://l.test/a.png\",A channel\n\
            http://tv.test/live/user/password/12345.m3u8\n";
    }
    let channels = list.matches("12345").count();
    origin.put("/list", Resource::new("audio/mpegurl", list));
    let url = encoded(origin.url("/list").as_str());
    let answer = get(daemon.local_addr(), &format!("/m3u?url={url}")).await;
    let led = format!("\nhttp://{}/http/tv.test/live", daemon.local_addr());
    assert_eq!(answer.text().matches(&led).count(), channels);
    assert_eq!(answer.text().matches("http://tv.test").count(), 0);
}

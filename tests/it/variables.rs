//! Playlists with variables, for players that know none, and those that are not UTF-8.

use crate::ask;
use crate::origin::TestOrigin;
use crate::resource::Resource;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

async fn daemon() -> Daemon {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.p2p.enabled = false;
    Daemon::start(&config).await.unwrap()
}

#[tokio::test]
async fn a_media_playlist_imports_what_its_multivariant_playlist_defines() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    let subtitles = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"n\",URI=\"sub.m3u8\"\n";
    let multivariant = format!(
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"dir\",VALUE=\"one\"\n{subtitles}\
         #EXT-X-STREAM-INF:BANDWIDTH=1\n{{$dir}}/v.m3u8?t=2\n"
    );
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:IMPORT=\"dir\"\n\
        #EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXTINF:4,\n/{$dir}/a.ts?t={$t}\n";
    origin.put("/m.m3u8", Resource::playlist(&multivariant));
    origin.put("/one/v.m3u8", Resource::playlist(media));
    origin.put("/sub.m3u8", Resource::playlist(media));
    let local = |path: &str| ask::path(&origin.url(path));

    let address = daemon.local_addr();
    let unknown = ask::get(address, &local("/sub.m3u8?t=3")).await;
    assert!(unknown.text().ends_with("\n/{$dir}/a.ts?t={$t}\n"), "{}", unknown.text());
    let answer = ask::get(address, &local("/m.m3u8")).await;
    assert!(answer.text().ends_with(&format!("\n{}\n", local("/one/v.m3u8?t=2"))));
    let answer = ask::get(address, &local("/one/v.m3u8?t=2")).await;
    let wanted = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:IMPORT=\"dir\"\n\
         #EXT-X-DEFINE:NAME=\"t\",VALUE=\"2\"\n#EXTINF:4,\n{}\n",
        local("/one/a.ts?t=2")
    );
    assert_eq!(answer.text(), wanted);
    let answer = ask::get(address, &local("/sub.m3u8")).await;
    assert!(answer.text().contains("\n#EXT-X-DEFINE:QUERYPARAM=\"t\"\n"), "{}", answer.text());
}

#[tokio::test]
async fn a_playlist_that_is_not_utf_8_plays() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    let text = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,Caf\xe9\na.ts\n";
    origin.put("/m.m3u8", Resource::new(PLAYLIST, text.to_vec()));
    let answer = ask::get(daemon.local_addr(), &ask::path(&origin.url("/m.m3u8"))).await;
    let head = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,Caf\xe9\n";
    let wanted = [head, ask::path(&origin.url("/a.ts")).as_bytes(), b"\n"].concat();
    assert_eq!((answer.status, answer.body), (200, wanted));
}

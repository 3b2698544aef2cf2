//! What players get to choose from, where that is set.

use super::uris;
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;

const MULTIVARIANT: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=640x360\nlow.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\nmiddle.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\nhigh.m3u8\n";

#[tokio::test]
async fn players_choose_from_what_the_setting_leaves() {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MULTIVARIANT));
    let all: &[_] = &["/low.m3u8", "/middle.m3u8", "/high.m3u8"];
    for (quality, left) in [
        ("auto", all),
        ("max", &["/high.m3u8"]),
        ("min", &["/low.m3u8"]),
        ("720", &["/middle.m3u8"]),
    ] {
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config.http.quality = quality.parse().unwrap();
        config.p2p.enabled = false;
        let daemon = Daemon::start(&config).await.unwrap();
        let answer = get(daemon.local_addr(), &ask::path(&origin.url("/m.m3u8"))).await;
        let wanted: Vec<_> = left.iter().map(|path| ask::path(&origin.url(path))).collect();
        assert_eq!(uris(answer.text()), wanted, "{quality}");
    }
}

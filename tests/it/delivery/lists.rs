//! Lists of television channels.

use super::{daemon, encoded};
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::Resource;

const LIST: &str = "#EXTM3U url-tvg=\"http://epg.test/x.gz\" refresh=3600\r\n\
    #EXTINF:-1 tvg-logo=\"http://l.test/a.png\" catchup=\"append\" \
    catchup-source=\"?utc={utc}&lutc={lutc}\",One, and more\r\n\
    #EXTVLCOPT:http-referrer=http://r.test/\r\n\
    #KODIPROP:inputstream=inputstream.adaptive\r\n\
    HERE/one.m3u8?t=1\r\n\
    #EXTINF:-1,Two\r\n\
    rtp://@239.0.0.1:5000\r\n\
    #EXTINF:-1,Three\r\n\
    http://o.test/three.m3u8|User-Agent=x\r\n\
    #EXTINF:-1,Four\r\n\
    http://o.test/four-{Y}.m3u8\r\n\
    #EXTINF:-1,Five\r\n\
    five.ts\r\n";

#[tokio::test]
async fn every_channel_leads_through_the_daemon_and_all_else_stays() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let here = format!("http://{}", origin.addr());
    let list = LIST.replace("HERE", &here);
    for path in ["/list.m3u", "/get.php"] {
        origin.put(path, Resource::new("text/plain", list.clone()));
    }
    let led = format!("http://{addr}/http/{}", origin.addr());
    let expected = list
        .replace(&format!("{here}/one"), &format!("{led}/one"))
        .replace("http://o.test/three", &format!("http://{addr}/http/o.test/three"))
        .replace("five.ts", &format!("{led}/five.ts"));
    for path in ["/list.m3u", "/get.php"] {
        let url = origin.url(&format!("{path}?user=u&type=m3u_plus"));
        let targets = [ask::path(&url), format!("/m3u?url={}", encoded(url.as_str()))];
        for target in targets {
            let answer = get(addr, &target).await;
            assert_eq!((answer.status, answer.text()), (200, expected.as_str()), "{target}");
            assert_eq!(answer.header("content-type"), "audio/x-mpegurl");
        }
    }
}

#[tokio::test]
async fn headers_behind_the_bar_of_a_list_are_sent_for_its_channels() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/list", Resource::new("text/plain", "#EXTM3U\n#EXTINF:-1,A\na.ts\n"));
    origin.put("/a.ts", Resource::ts(100, 1));
    let url = encoded(&format!("{}|Referer=http%3A%2F%2Fr.test%2F", origin.url("/list")));
    let list = get(daemon.local_addr(), &format!("/m3u?url={url}")).await;
    let channel = super::uris(list.text())[0].to_owned();
    let start = format!("http://{}", daemon.local_addr());
    let channel = channel.strip_prefix(&start).unwrap();
    assert!(channel.starts_with("/s/"), "{channel}");
    assert_eq!(get(daemon.local_addr(), channel).await.status, 200);
    assert!(origin.requests().iter().all(|seen| seen.header("referer") == "http://r.test/"));
}

#[tokio::test]
async fn headers_behind_the_bar_of_a_channel_are_sent_though_the_player_does_not() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n";
    origin.put("/one.m3u8", Resource::playlist(media));
    origin.put("/a.ts", Resource::ts(100, 1));
    let addr = daemon.local_addr();
    for bar in ["|", "%7C"] {
        let target = ask::path(&origin.url("/one.m3u8")) + bar + "User-Agent=TV%2F1";
        let playlist = get(addr, &target).await;
        let segment = super::uris(playlist.text())[0];
        assert_eq!(get(addr, segment).await.status, 200, "{segment}");
        assert!(!playlist.text().contains("TV"), "{}", playlist.text());
    }
    assert!(origin.requests().iter().all(|seen| seen.header("user-agent") == "TV/1"));
}

#[tokio::test]
async fn what_is_no_list_is_told() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/list", Resource::new("text/html", "<html>log in</html>"));
    let url = encoded(origin.url("/list").as_str());
    let answer = get(daemon.local_addr(), &format!("/m3u?url={url}")).await;
    assert!(answer.problem(502).contains("web page"));
}

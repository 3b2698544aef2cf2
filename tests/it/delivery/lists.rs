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
            // The first channel states a header, so its path begins with a session's.
            let session = super::uris(answer.text())[0].split("/http/").next().unwrap();
            let id = session.strip_prefix(&format!("http://{addr}/s/l")).unwrap();
            assert!(id.len() == 22 && !id.contains('/'), "{id}");
            let expected =
                expected.replace(&format!("{led}/one"), &format!("{session}/http/HERE/one"));
            let expected = expected.replace("HERE", &origin.addr().to_string());
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

#[tokio::test]
async fn headers_that_a_list_states_are_sent_for_players_that_do_not_read_them() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let list = "\u{feff}#EXTM3U\r\n#EXTINF:-1,Plain\r\nplain.ts\r\n\
        #EXTINF:-1,One\r\n#EXTVLCOPT:http-referrer=http://r.test/s3cret\r\n\
        #EXTVLCOPT:http-user-agent=TV 1\r\none.m3u8\r\n\
        #EXTINF:-1,Two\r\n#EXTHTTP:{\"Cookie\":\"t=s3cret\",\"Host\":\"evil\"}\r\ntwo.ts\r\n\
        #EXTINF:-1,Three\r\n\
        #KODIPROP:inputstream.adaptive.stream_headers=X-Token=s3cret&Referer=http%3A%2F%2Fk%2F\r\n\
        three.ts|User-Agent=Kodi\r\n\
        #EXTHTTP:{\"Cookie\":\"t=s3cret\"}\r\nudp://@239.0.0.1:1\r\n";
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
    origin.put("/list", Resource::new("audio/x-mpegurl", list));
    origin.put("/one.m3u8", Resource::new("application/vnd.apple.mpegurl", media));
    for path in ["/plain.ts", "/two.ts", "/three.ts", "/a.ts"] {
        origin.put(path, Resource::ts(376, 1));
    }
    let given = get(addr, &ask::path(&origin.url("/list"))).await;
    let start = format!("http://{addr}");
    let uris = super::uris(given.text());
    assert_eq!((uris.len(), uris[4]), (5, "udp://@239.0.0.1:1"));
    let paths: Vec<_> = uris[..4].iter().map(|uri| uri.strip_prefix(&start).unwrap()).collect();
    assert!(paths.iter().all(|path| !path.contains("s3cret")), "{paths:?}");
    for (line, ours) in list.trim_start_matches('\u{feff}').lines().zip(given.text().lines()) {
        assert!(line == ours || !line.starts_with('#'), "{line} became {ours}");
    }
    for path in &paths {
        let answer = get(addr, path).await;
        assert_eq!(answer.status, 200, "{path}");
        for uri in super::uris(std::str::from_utf8(&answer.body).unwrap_or_default()) {
            assert_eq!(get(addr, uri).await.status, 200);
        }
    }
    let seen = |path: &str, name: &str| origin.requests_for(path)[0].header(name).to_owned();
    for (path, name, value) in [
        ("/plain.ts", "referer", ""),
        ("/one.m3u8", "referer", "http://r.test/s3cret"),
        ("/a.ts", "referer", "http://r.test/s3cret"),
        ("/a.ts", "user-agent", "TV 1"),
        ("/two.ts", "cookie", "t=s3cret"),
        ("/two.ts", "host", &origin.addr().to_string()),
        ("/three.ts", "x-token", "s3cret"),
        ("/three.ts", "referer", "http://k/"),
        ("/three.ts", "user-agent", "Kodi"),
    ] {
        assert_eq!(seen(path, name), value, "{name} of {path}");
    }
}

#[tokio::test]
async fn a_list_of_very_many_headers_forgets_nobody_elses() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    origin.put("/a.ts", Resource::ts(376, 1));
    let link = format!("/play?url={}&h_Referer=x", encoded(origin.url("/a.ts").as_str()));
    let mine = get(addr, &link).await.header("location").to_owned();
    let channel = |n: usize| format!("#EXTVLCOPT:http-user-agent=TV {n}\nc{n}.ts\n");
    for round in 0..8 {
        let channels: String = (round * 1000..(round + 1) * 1000).map(channel).collect();
        origin.put("/list", Resource::new("text/plain", format!("#EXTM3U\n{channels}")));
        let list = get(addr, &format!("{}?{round}", ask::path(&origin.url("/list")))).await;
        let uris = super::uris(list.text());
        let kept = uris.iter().filter(|uri| uri.contains("/s/")).count();
        assert_eq!((uris.len(), kept), (1000, 128));
    }
    assert_eq!(get(addr, &mine).await.status, 200);
    assert_eq!(origin.requests_for("/a.ts")[0].header("referer"), "x");
}

#[tokio::test]
async fn a_list_kept_for_longer_than_its_sessions_still_plays() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/a.ts", Resource::ts(376, 1));
    let path = format!("/s/l{}{}", "A".repeat(22), ask::path(&origin.url("/a.ts")));
    let sent = [("Referer", "http://player.test/")];
    let answer = ask::request(daemon.local_addr(), "GET", &path, &sent).await;
    assert_eq!(answer.status, 200);
    assert_eq!(origin.requests_for("/a.ts")[0].header("referer"), "http://player.test/");
}

#[tokio::test]
async fn a_list_of_ten_megabytes_is_led_through_the_daemon() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let channel = |n: usize| {
        format!(
            "#EXTINF:-1 tvg-logo=\"http://l.test/{n}.png\" group-title=\"A, B\",Channel {n}, HD\n\
            #EXTVLCOPT:http-user-agent=TV {}\nhttp://tv.test:8080/live/user/{n}.ts\n",
            n % 3
        )
    };
    let list = (0..66_000).map(channel).fold("#EXTM3U\n".to_owned(), |all, one| all + &one);
    assert!((10_000_000..10 << 20).contains(&list.len()), "{}", list.len());
    origin.put("/list", Resource::new("audio/x-mpegurl", list));
    let given = get(daemon.local_addr(), &ask::path(&origin.url("/list"))).await;
    let uris = super::uris(given.text());
    let is_led = |uri: &&str| uri.contains("/s/l") && uri.contains("/http/tv.test:8080/live/user/");
    assert_eq!((uris.len(), uris.iter().filter(|uri| is_led(uri)).count()), (66_000, 66_000));
}

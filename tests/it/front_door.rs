//! Who may use the daemon: this machine's programs, its own page, and the pages that were allowed.

use crate::ask;
use crate::origin::TestOrigin;
use crate::resource::Resource;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;

const TV: &str = "https://tv.example.com";

async fn daemon() -> Daemon {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.http.hosts = vec!["box.lan".to_owned()];
    config.http.allowed_origins = vec![TV.to_owned()];
    Daemon::start(&config).await.unwrap()
}

#[tokio::test]
async fn a_name_rebound_to_our_address_is_refused() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    origin.put("/a.ts", Resource::ts(1_000, 1));
    let (addr, port) = (daemon.local_addr(), daemon.local_addr().port());
    let proxied = ask::path(&origin.url("/a.ts"));
    for target in ["/", "/api/v1/stats", "/metrics", "/play?url=http://a.test/", &proxied] {
        for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1.evil.example", ""]
        {
            let answer = ask::request(addr, "GET", target, &[("Host", host)]).await;
            let detail = answer.problem(403);
            assert!(detail.contains("Host"), "{detail}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    assert!(origin.requests().is_empty(), "what is refused has no effect");
    for host in ["localhost", "LOCALHOST.", "127.0.0.1", "[::1]", "box.lan"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let answer = ask::request(addr, "GET", &proxied, &[("Host", &host)]).await;
            assert_eq!(answer.status, 200, "{host}");
        }
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    origin.put("/a.ts", Resource::ts(1_000, 1));
    let addr = daemon.local_addr();
    let proxied = ask::path(&origin.url("/a.ts"));
    for headers in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "http://tv.example.com")],
        &[("Origin", "https://tv.example.com.evil.example")],
        &[("Origin", TV), ("Origin", "https://evil.example")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")],
        &[("Sec-Fetch-Site", "same-site"), ("Referer", "http://127.0.0.1:1/")],
    ] {
        for target in ["/", "/api/v1/stats", &proxied] {
            let answer = ask::request(addr, "GET", target, headers).await;
            assert!(answer.problem(403).contains("allowed_origins"));
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    assert!(origin.requests().is_empty(), "what is refused has no effect");
}

#[tokio::test]
async fn an_allowed_page_plays_and_reads_what_it_needs() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    origin.put("/a.ts", Resource::ts(1_000, 1));
    let (addr, proxied) = (daemon.local_addr(), ask::path(&origin.url("/a.ts")));
    let own = format!("http://{addr}");
    for page in [TV, &own] {
        for headers in
            [&[("Origin", page)][..], &[("Origin", page), ("Sec-Fetch-Site", "cross-site")]]
        {
            let answer = ask::request(addr, "GET", &proxied, headers).await;
            assert_eq!((answer.status, answer.body.len()), (200, 1_000));
            assert_eq!(answer.header("access-control-allow-origin"), page);
            assert!(answer.header("access-control-expose-headers").contains("Content-Range"));
            assert_eq!(answer.header("vary"), "Origin");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
    // An error has to be readable as well.
    let missing = ask::request(addr, "GET", "/nothing", &[("Origin", TV)]).await;
    assert_eq!(missing.header("access-control-allow-origin"), TV);
    let program = ask::get(addr, &proxied).await;
    assert_eq!(program.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_preflight_is_answered_for_allowed_pages_only() {
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let asked = |origin| {
        [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "range"),
            ("Access-Control-Request-Private-Network", "true"),
            ("Access-Control-Request-Local-Network", "true"),
        ]
    };
    let target = "/https/a.invalid/x.m3u8";
    let answer = ask::request(addr, "OPTIONS", target, &asked(TV)).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), TV);
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert!(answer.header("access-control-allow-headers").contains("Range"));
    assert_eq!(answer.header("access-control-allow-private-network"), "true");
    assert_eq!(answer.header("access-control-allow-local-network"), "true");
    let answer = ask::request(addr, "OPTIONS", target, &asked("https://evil.example")).await;
    answer.problem(403);
    assert_eq!(answer.header("access-control-allow-private-network"), "");
}

#[tokio::test]
async fn only_programs_and_our_own_page_may_empty_the_cache() {
    let (daemon, origin) = (daemon().await, TestOrigin::start().await);
    let addr = daemon.local_addr();
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
    for stream in ["/one", "/two"] {
        origin.put(&format!("{stream}/m.m3u8"), Resource::playlist(media));
        origin.put(&format!("{stream}/a.ts"), Resource::ts(188 * 1_000, 1));
    }
    let play = async |stream: &str| {
        ask::get(addr, &ask::path(&origin.url(&format!("{stream}/m.m3u8")))).await;
        let segment = ask::get(addr, &ask::path(&origin.url(&format!("{stream}/a.ts")))).await;
        assert_eq!(segment.status, 200);
        segment.header("cache-status").to_owned()
    };
    let hit = "hlswarm; hit";
    for (stream, held) in [("/one", 1), ("/two", 2)] {
        assert_ne!(play(stream).await, hit);
        ask::until_held(addr, held).await;
        assert_eq!(play(stream).await, hit);
    }
    for page in [&[("Origin", TV)][..], &[("Origin", "null")], &[("Sec-Fetch-Site", "cross-site")]]
    {
        ask::request(addr, "DELETE", "/api/v1/cache", page).await.problem(403);
    }
    assert_eq!(play("/one").await, hit, "a page cannot change anything");
    let one = origin.url("/one/m.m3u8");
    let answer = ask::request(addr, "DELETE", &format!("/api/v1/cache?url={one}"), &[]).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ok")));
    ask::until_held(addr, 1).await;
    assert_ne!(play("/one").await, hit);
    ask::until_held(addr, 2).await;
    assert_eq!(play("/two").await, hit, "only the stream that was named is forgotten");
    let own = format!("http://{addr}");
    let answer = ask::request(addr, "DELETE", "/api/v1/cache", &[("Origin", &own)]).await;
    assert_eq!(answer.status, 200);
    assert_ne!(play("/two").await, hit);
    ask::request(addr, "DELETE", "/api/v1/cache?url=nonsense", &[]).await.problem(400);
}

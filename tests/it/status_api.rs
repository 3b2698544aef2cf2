//! What scripts, dashboards and people see of the daemon.

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::Program;
use crate::resource::{Gate, Resource};
use serde_json::Value;
use std::collections::BTreeMap;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
const LEN: u64 = 188 * 1_000;

async fn played() -> (TestOrigin, Program) {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MEDIA));
    origin.put("/a.ts", Resource::ts(LEN as usize, 1));
    let program = Program::start(&["--tracker", "ws://127.0.0.1:1/?key=x"]).await;
    for path in ["/m.m3u8?token=x", "/a.ts", "/a.ts"] {
        let answer = ask::get(program.addr(), &ask::path(&origin.url(path))).await;
        assert_eq!(answer.status, 200);
        if path == "/a.ts" {
            ask::until_held(program.addr(), 1).await;
        }
    }
    (origin, program)
}

/// Checks that each named field is there and of its kind.
fn has_fields(object: &Value, names: &str, is_right: fn(&Value) -> bool) {
    for name in names.split_whitespace() {
        assert!(object.get(name).is_some_and(is_right), "{name} in {object}");
    }
}

#[tokio::test]
async fn statistics_have_every_promised_field() {
    let (_origin, program) = played().await;
    let answer = ask::get(program.addr(), "/api/v1/stats").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let stats = answer.json();
    has_fields(&stats, "version peer_id", Value::is_string);
    has_fields(&stats, "uptime_s", Value::is_f64);
    has_fields(&stats, "streams peers trackers", Value::is_array);
    let totals = "origin_bytes peer_bytes cache_bytes upload_bytes served_bytes origin_requests \
                  peer_segments rejected_segments";
    has_fields(&stats["totals"], totals, Value::is_u64);
    let cache = "bytes capacity_bytes entries hits misses evictions";
    has_fields(&stats["cache"], cache, Value::is_u64);
    let [stream] = stats["streams"].as_array().unwrap().as_slice() else { panic!("{stats}") };
    has_fields(stream, "id url kind rendition", Value::is_string);
    let figures = "peers segments_held origin_bytes peer_bytes cache_bytes upload_bytes \
                   active_players";
    has_fields(stream, figures, Value::is_u64);
    assert_eq!((&stream["kind"], &stream["segments_held"]), (&"vod".into(), &1.into()));
    assert!(stream["url"].as_str().unwrap().ends_with("/m.m3u8?token=***"), "{stream}");
    let [tracker] = stats["trackers"].as_array().unwrap().as_slice() else { panic!("{stats}") };
    has_fields(tracker, "url state", Value::is_string);
    assert!(tracker.get("error").is_some_and(|error| error.is_null() || error.is_string()));
    let state = tracker["state"].as_str().unwrap();
    assert!(["connected", "connecting", "failed"].contains(&state));
    assert!(stats["peer_id"].as_str().unwrap().starts_with("-HS0"), "{stats}");
}

#[tokio::test]
async fn statistics_add_up() {
    let (_origin, program) = played().await;
    let stats = ask::get(program.addr(), "/api/v1/stats").await.json();
    let totals = &stats["totals"];
    assert_eq!(totals["cache_bytes"], LEN, "the second time it was held");
    assert_eq!(totals["origin_bytes"], LEN + MEDIA.len() as u64);
    assert_eq!(totals["origin_requests"], 2);
    assert!(totals["served_bytes"].as_u64().unwrap() > 2 * LEN);
    assert_eq!((&stats["cache"]["bytes"], &stats["cache"]["entries"]), (&LEN.into(), &1.into()));
    assert_eq!(stats["streams"][0]["origin_bytes"], LEN);
}

/// Reads Prometheus text strictly: each metric once, with help and type before its value.
fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let (mut helped, mut typed) = (String::new(), (String::new(), String::new()));
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && help.ends_with('.'), "{line}");
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "help and type belong together");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            typed = (name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.split_once(' ').unwrap();
            assert_eq!(name, typed.0, "a value follows its type");
            assert_eq!(name.ends_with("_total"), typed.1 == "counter", "{line}");
            let is_name = |b: u8| b.is_ascii_lowercase() || b == b'_';
            assert!(name.starts_with("hlswarm_") && name.bytes().all(is_name), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(metrics.insert(name.to_owned(), value).is_none(), "{name} comes twice");
        }
    }
    metrics
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_agree_with_the_statistics() {
    let (_origin, program) = played().await;
    let answer = ask::get(program.addr(), "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    let metrics = parse_metrics(answer.text());
    let stats = ask::get(program.addr(), "/api/v1/stats").await.json();
    for (name, value) in stats["totals"].as_object().unwrap() {
        assert_eq!(metrics[&format!("hlswarm_{name}_total")], value.as_f64().unwrap(), "{name}");
    }
    assert_eq!(metrics["hlswarm_cache_bytes"], LEN as f64);
    assert_eq!(metrics["hlswarm_streams"], 1.0);
}

#[tokio::test]
async fn the_dashboard_may_run_its_own_script_and_talk_to_nobody_else() {
    let program = Program::start(&[]).await;
    let page = ask::get(program.addr(), "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    assert!(!page.text().contains("innerHTML"), "a stream's name is text, never markup");
}

#[tokio::test]
async fn health_says_when_the_daemon_is_about_to_end() {
    let (origin, gate) = (TestOrigin::start().await, Gate::closed());
    origin.put("/a.ts", Resource::ts(300_000, 1).hold_body(100_000, &gate));
    let mut program = Program::start(&[]).await;
    let addr = program.addr();
    let health = ask::get(addr, "/api/v1/health").await;
    assert_eq!((health.status, health.text()), (200, "{\"status\":\"ok\"}"));
    let path = ask::path(&origin.url("/a.ts"));
    let player = tokio::spawn(async move { ask::get(addr, &path).await });
    origin.wait_for_requests("/a.ts", 1).await;
    program.signal("TERM").await;
    let draining = loop {
        let health = ask::get(addr, "/api/v1/health").await;
        if health.status != 200 {
            break health;
        }
    };
    assert_eq!((draining.status, draining.text()), (503, "{\"status\":\"draining\"}"));
    ask::get(addr, "/api/v1/stats").await.problem(503);
    gate.open();
    assert_eq!(player.await.unwrap().body.len(), 300_000);
    assert_eq!(program.end().await.code(), Some(0));
}

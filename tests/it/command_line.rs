//! The program as a person meets it: help, errors in one line, exit codes, settings and the
//! demonstration.

use crate::ask;
use crate::program::{Program, command, run, settings};
use std::net::TcpListener;
use std::process::Output;

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The one line on standard error of a call that ended with `code`.
fn error_line(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
    assert_eq!(out(output), "");
    text.trim_end().to_owned()
}

#[tokio::test]
async fn every_command_explains_itself() {
    let commands = ["serve", "play", "seed", "url", "status", "tracker", "demo", "config"];
    let help = run(&["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    for name in commands {
        assert!(out(&help).contains(&format!("  {name} ")), "{name}");
        let help = run(&[name, "--help"]).await;
        assert_eq!(help.status.code(), Some(0));
        assert!(out(&help).contains(&format!("Usage: hlswarm {name}")), "{}", out(&help));
    }
    let version = run(&["--version"]).await;
    assert_eq!(out(&version), format!("hlswarm {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn url_prints_the_local_url_and_nothing_else() {
    for (listen, url, local) in [
        (
            "127.0.0.1:4570",
            "https://cdn.example.com/live/master.m3u8?token=x%2F&y",
            "http://127.0.0.1:4570/https/cdn.example.com/live/master.m3u8?token=x%2F&y",
        ),
        ("127.0.0.1:4570", "HTTP://a.test:8080", "http://127.0.0.1:4570/http/a.test:8080/"),
        ("0.0.0.0:80", "http://a.test/x", "http://127.0.0.1:80/http/a.test/x"),
        ("[::]:81", "http://a.test/x", "http://[::1]:81/http/a.test/x"),
    ] {
        let output = run(&["url", url, "--listen", listen]).await;
        assert_eq!((output.status.code(), out(&output)), (Some(0), &*format!("{local}\n")));
        assert!(output.stderr.is_empty());
    }
    for url in ["cdn.example.com/x.m3u8", "file:///etc/passwd", ""] {
        let line = error_line(&run(&["url", url]).await, 2);
        assert!(line.contains("http:// or https://"), "{line}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_settings_is_found_by_line_and_key() {
    let good = settings("good", "[http]\nlisten = \"127.0.0.1:1\"\n");
    let output = run(&["config", "--check", "--config", good.to_str().unwrap()]).await;
    assert_eq!((output.status.code(), out(&output)), (Some(0), "the configuration is valid\n"));
    for (name, text, expected) in [
        ("bad-key", "[http]\n\nlisen = \"x\"\n", ":3: http.lisen: unknown key; allowed: listen,"),
        ("bad-section", "[htp]\n", ":1: htp: unknown section; allowed: http, cache, origin, p2p"),
        ("bad-type", "[p2p]\nupload = 1\n", ":2: p2p.upload: must be true or false"),
        (
            "bad-range",
            "[p2p]\npeers_max = 0\n",
            ":2: p2p.peers_max: must be a number from 1 to 200",
        ),
        (
            "bad-tracker",
            "[p2p]\ntrackers = [\"http://t.test/?token=s3cret\"]\n",
            ":2: p2p.trackers: must be a list of ws:// or wss:// URLs",
        ),
        ("bad-syntax", "[http]\nlisten = \n", ":2: syntax: "),
    ] {
        let path = settings(name, text);
        let path = path.to_str().unwrap();
        for arguments in
            [&["config", "--check"][..], &["config"], &["serve"], &["url", "http://a/"]]
        {
            let output = command().args(arguments).args(["--config", path]).output().await;
            let line = error_line(&output.unwrap(), 2);
            assert!(line.starts_with(&format!("hlswarm: {path}{expected}")), "{line}");
            assert!(!line.contains("s3cret"));
        }
    }
    let line = error_line(&run(&["--config", "/nonexistent/c.toml"]).await, 2);
    assert!(line.starts_with("hlswarm: /nonexistent/c.toml: No such file"), "{line}");
}

#[tokio::test]
async fn a_mistake_in_the_environment_is_named() {
    for (name, value, expected) in [
        ("HLSWARM_HTTP_LISTEN", "here", "must be an address and port"),
        ("HLSWARM_HTTP_LISTENN", "127.0.0.1:1", "unknown key; allowed: listen, "),
        ("HLSWARM_P2P_TRACKERS", "http://t.test/", "must be a list of ws:// or wss:// URLs"),
    ] {
        let output = command().env(name, value).args(["config"]).output().await.unwrap();
        let line = error_line(&output, 2);
        assert!(line.starts_with(&format!("hlswarm: environment variable {name}: {expected}")));
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["serve", "--listen", "here"],
        &["demo", "--viewers", "0"],
        &["demo", "--seconds", "1"],
        &["url"],
        &["serve", "--tracker", "http://t.test/?token=s3cret"],
    ] {
        let output = run(arguments).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(!text.is_empty() && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn flags_go_over_the_environment_over_the_file_over_the_default() {
    let file = settings("precedence", "[http]\nlisten = \"127.0.0.1:2222\"\n");
    let file = ["--config", file.to_str().unwrap()];
    let environment = [("HLSWARM_HTTP_LISTEN", "127.0.0.1:3333")];
    let flag = ["--listen", "127.0.0.1:4444"];
    for (flags, environment, port) in [
        (vec![], &[][..], 4570),
        (file.to_vec(), &[], 2222),
        (file.to_vec(), &environment, 3333),
        ([file, flag].concat(), &environment, 4444),
    ] {
        let mut call = command();
        call.args(["url", "http://a.test/"]).args(&flags).envs(environment.iter().copied());
        let output = call.output().await.unwrap();
        assert_eq!(out(&output), format!("http://127.0.0.1:{port}/http/a.test/\n"), "{flags:?}");
    }
}

#[tokio::test]
async fn the_settings_in_force_are_shown_without_secrets() {
    let trackers = "wss://me:s3cret@t.test/announce?token=s3cret, ws://u.test";
    let output = command().env("HLSWARM_P2P_TRACKERS", trackers).arg("config").output().await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!out(&output).contains("s3cret"), "{}", out(&output));
    assert!(out(&output).contains("wss://t.test/announce?token=***"), "{}", out(&output));
    let again = settings("shown-again", out(&run(&["config"]).await));
    let again = run(&["config", "--config", again.to_str().unwrap()]).await;
    assert_eq!(out(&again), out(&run(&["config"]).await), "what is printed can be read");
}

#[tokio::test]
async fn an_address_in_use_is_said_in_one_line() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    for arguments in [&["--listen", &addr][..], &["serve", "--listen", &addr]] {
        let line = error_line(&run(arguments).await, 1);
        assert!(line.contains(&addr) && line.contains("in use") && line.contains("--listen"));
    }
    let line = error_line(&run(&["tracker", "--listen", &addr]).await, 1);
    assert!(line.contains(&addr) && line.contains("in use"), "{line}");
}

#[tokio::test]
async fn status_says_what_the_daemon_does_or_that_there_is_none() {
    let (_kept, nobody) = ask::nobody();
    let nobody = nobody.to_string();
    for arguments in
        [&["status", "--listen", &nobody][..], &["status", "--json", "--listen", &nobody]]
    {
        let line = error_line(&run(arguments).await, 1);
        assert!(line.contains(&nobody) && line.contains("hlswarm serve"), "{line}");
    }
    let program = Program::start(&[]).await;
    let addr = program.addr().to_string();
    let output = run(&["status", "--listen", &addr]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).starts_with("0 streams, 0 peers;"), "{}", out(&output));
    let output = run(&["status", "--json", "--listen", &addr]).await;
    let stats: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_demonstration_ends_with_one_json_object() {
    let output = run(&["demo", "--viewers", "2", "--seconds", "14", "--json"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(out(&output).matches('\n').count(), 1);
    let report: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!((&report["viewers"], &report["seconds"]), (&2.into(), &14.into()));
    let viewers = report["per_viewer"].as_array().unwrap();
    assert_eq!(viewers.len(), 2);
    for name in ["delivered_bytes", "origin_bytes", "peer_bytes", "cache_bytes", "stalls"] {
        let sum: u64 = viewers.iter().map(|viewer| viewer[name].as_u64().unwrap()).sum();
        assert_eq!(report[name], sum, "{name}");
    }
    let bytes = |name: &str| report[name].as_f64().unwrap();
    let offload = 1.0 - bytes("origin_bytes") / bytes("delivered_bytes");
    assert!((bytes("offload") - offload).abs() < 0.001, "{report}");
    assert!(bytes("offload") > 0.2, "{report}");
}

#[tokio::test]
async fn the_demonstration_can_be_live() {
    let output = run(&["demo", "--live", "--viewers", "2", "--seconds", "8", "--json"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
    for viewer in report["per_viewer"].as_array().unwrap() {
        assert!(viewer["delivered_bytes"].as_u64().unwrap() > 0, "{report}");
    }
}

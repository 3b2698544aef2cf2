//! SIGTERM, SIGINT and SIGHUP.

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::{Program, command, settings};
use crate::resource::{Gate, Resource, pattern};
use tokio::net::TcpStream;

const PAGE: &str = "https://tv.example.com";

#[tokio::test]
async fn a_daemon_ends_well_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&[]).await;
        // A connection that is open but asks nothing holds nobody up.
        let idle = TcpStream::connect(program.addr()).await.unwrap();
        ask::get(program.addr(), "/api/v1/health").await;
        program.signal(signal).await;
        assert_eq!(program.end().await.code(), Some(0), "{signal}");
        drop(idle);
    }
}

#[tokio::test]
async fn the_tracker_ends_well_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut call = command();
        let mut tracker = call.args(["tracker", "--listen", "127.0.0.1:0"]).spawn().unwrap();
        let mut said = tokio::io::BufReader::new(tracker.stdout.take().unwrap());
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line).await.unwrap();
        assert!(line.starts_with("hlswarm tracker listens on ws://127.0.0.1:"), "{line}");
        let id = tracker.id().unwrap().to_string();
        let kill = tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await;
        assert!(kill.unwrap().success());
        assert_eq!(tracker.wait().await.unwrap().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn what_a_player_reads_is_finished_and_nothing_new_is_begun() {
    let (origin, gate) = (TestOrigin::start().await, Gate::closed());
    origin.put("/a.ts", Resource::ts(300_000, 1).hold_body(100_000, &gate));
    let mut program = Program::start(&[]).await;
    let (addr, path) = (program.addr(), ask::path(&origin.url("/a.ts")));
    let player = tokio::spawn(async move { ask::get(addr, &path).await });
    origin.wait_for_requests("/a.ts", 1).await;
    program.signal("TERM").await;
    program.wait_for_log("ending").await;
    gate.open();
    let answer = player.await.unwrap();
    assert_eq!((answer.status, answer.body), (200, pattern(300_000, 1).to_vec()));
    assert_eq!(program.end().await.code(), Some(0));
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (origin, gate) = (TestOrigin::start().await, Gate::closed());
    origin.put("/a.ts", Resource::ts(300_000, 1).hold_body(100_000, &gate));
    let mut program = Program::start(&[]).await;
    let (addr, path) = (program.addr(), ask::path(&origin.url("/a.ts")));
    let player = tokio::spawn(async move { ask::get(addr, &path).await });
    origin.wait_for_requests("/a.ts", 1).await;
    program.signal("TERM").await;
    program.wait_for_log("ending").await;
    program.signal("INT").await;
    assert_eq!(program.end().await.code(), Some(0));
    assert!(player.await.unwrap().body.len() < 300_000);
}

#[tokio::test]
async fn settings_are_read_again_and_bad_ones_change_nothing() {
    // A file of this process: its text changes.
    let name = format!("reload-{}", std::process::id());
    let file = settings(&name, "");
    let program = Program::start(&["--config", file.to_str().unwrap()]).await;
    let status = async || {
        let page = [("Origin", PAGE)];
        ask::request(program.addr(), "GET", "/api/v1/health", &page).await.status
    };
    assert_eq!(status().await, 403);
    settings(&name, &format!("[http]\nallowed_origins = [\"{PAGE}\"]\n"));
    program.signal("HUP").await;
    program.wait_for_log("the configuration was read again").await;
    assert_eq!(status().await, 200);
    settings(&name, "[http]\nallowed_origin = []\n");
    program.signal("HUP").await;
    program.wait_for_log("http.allowed_origin: unknown key").await;
    assert_eq!(status().await, 200, "the old settings stay");
    settings(&name, "[p2p]\nlinger_s = 1\n");
    program.signal("HUP").await;
    program.wait_for_log("p2p").await;
    program.wait_for_log("needs_restart=[\"p2p\"]").await;
    assert_eq!(status().await, 403);
    std::fs::remove_file(file).unwrap();
}

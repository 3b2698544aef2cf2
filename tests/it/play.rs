//! `hlswarm play`, with a shell script for a player: it says what it was given, waits for a line
//! and ends with the status in it.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout};

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::{Program, command, run};
use crate::resource::{Resource, pattern};

const PLAYER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/player.sh");

/// A call of `hlswarm play` whose player has started.
struct Played {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What the player was given.
    given: Vec<String>,
}

impl Played {
    async fn start(arguments: &[&str]) -> Self {
        let mut call = command();
        call.args(["play", "--player", PLAYER]).args(arguments).stdin(Stdio::piped());
        call.env("no_proxy", "tv.test");
        let mut child = call.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut given = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| line != "end") {
            given.push(line);
        }
        Self { child, lines, given }
    }

    /// Address and path of the URL that the player was given.
    fn url(&self) -> (SocketAddr, &str) {
        let rest = self.given[0].strip_prefix("http://").unwrap();
        let (address, _) = rest.split_once('/').unwrap();
        (address.parse().unwrap(), &rest[address.len()..])
    }

    /// Has the player end with a status; what came of the call, and its errors.
    async fn end(mut self, status: &str) -> (Option<i32>, String) {
        let line = format!("{status}\n");
        self.child.stdin.take().unwrap().write_all(line.as_bytes()).await.unwrap();
        self.outcome().await
    }

    async fn outcome(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        assert_eq!(self.lines.next_line().await.unwrap(), None, "the player is gone");
        (self.child.wait().await.unwrap().code(), errors)
    }
}

#[tokio::test]
async fn a_daemon_runs_for_as_long_as_the_player() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(100_000, 1));
    let url = origin.url("/a.ts?t=1").to_string();
    let flags = ["--listen", "127.0.0.1:0", "--no-p2p", &url, "--", "--fs", "two words"];
    let played = Played::start(&flags).await;
    assert_eq!(played.given[1..], ["--fs", "two words", "no proxy for tv.test,127.0.0.1"]);
    let (addr, path) = played.url();
    assert_eq!(path, ask::path(&origin.url("/a.ts?t=1")));
    assert_eq!(ask::get(addr, path).await.body, pattern(100_000, 1));
    assert_eq!(played.end("0").await, (Some(0), String::new()));
    assert!(TcpStream::connect(addr).await.is_err(), "the daemon is gone");
}

#[tokio::test]
async fn a_daemon_that_runs_is_used_and_left_running() {
    let program = Program::start(&["--no-p2p"]).await;
    let addr = program.addr().to_string();
    let flags = ["--listen", &addr, "https://cdn.example.com/a.m3u8"];
    let played = Played::start(&flags).await;
    assert_eq!(played.given[0], format!("http://{addr}/https/cdn.example.com/a.m3u8"));
    assert_eq!(played.end("0").await, (Some(0), String::new()));
    assert_eq!(ask::get(program.addr(), "/api/v1/health").await.status, 200);
}

#[tokio::test]
async fn a_player_that_fails_is_a_failure() {
    let flags = ["--listen", "127.0.0.1:0", "--no-p2p", "https://cdn.example.com/a.m3u8"];
    let (code, errors) = Played::start(&flags).await.end("3").await;
    assert_eq!(
        (code, &*errors),
        (Some(1), &*format!("hlswarm: {PLAYER} ended with exit status: 3\n"))
    );
}

#[tokio::test]
async fn a_player_that_is_not_there_is_wrong_usage() {
    let (url, name) = ("https://cdn.example.com/a.m3u8?token=s3cret", "no-such-player");
    let flags = ["play", "--listen", "127.0.0.1:0", "--no-p2p", url, "--player", name];
    let output = run(&flags).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.matches('\n').count()), (Some(2), 1), "{errors}");
    assert!(errors.contains(name) && errors.contains("--player"), "{errors}");
    assert!(!errors.contains("s3cret"));
}

#[tokio::test]
async fn a_player_ends_with_us() {
    let flags = ["--listen", "127.0.0.1:0", "--no-p2p", "https://cdn.example.com/a.m3u8"];
    let played = Played::start(&flags).await;
    let id = played.child.id().unwrap().to_string();
    let kill = tokio::process::Command::new("kill").args(["-s", "TERM", &id]).status().await;
    assert!(kill.unwrap().success());
    assert_eq!(played.outcome().await, (Some(0), String::new()));
}

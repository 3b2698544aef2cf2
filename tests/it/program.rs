//! The program itself as a child process, with what it prints at hand.
//!
//! It sees no configuration but the one a test gives it, and ends with the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A running `hlswarm serve`.
pub struct Program {
    child: Child,
    addr: SocketAddr,
    log: watch::Receiver<Vec<String>>,
}

/// `hlswarm`, to be given arguments and environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hlswarm"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HLSWARM_")) {
        command.env_remove(name);
    }
    command
        .env_remove("RUST_LOG")
        .env("HLSWARM_CONFIG", settings("nothing", ""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs `hlswarm` with arguments to its end.
pub async fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().await.unwrap()
}

/// A configuration file; `name` is the test's own.
pub fn settings(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    // Tests of one name write one text, so that whoever comes first does not matter.
    if std::fs::read_to_string(&path).is_ok_and(|held| held == text) {
        return path;
    }
    std::fs::write(&path, text).unwrap();
    path
}

impl Program {
    /// Starts a daemon on a free port.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::from(command().args(["serve", "--listen", "127.0.0.1:0"]).args(arguments)).await
    }

    /// Starts a daemon of a test's own making, and waits until it listens.
    pub async fn from(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        let mut said = lines(child.stdout.take().unwrap());
        let lines = said.wait_for(|lines| !lines.is_empty()).await.map(|lines| lines.clone());
        let Ok(lines) = lines else { panic!("it did not start: {:?}", log.borrow()) };
        let addr = lines[0].strip_prefix("hlswarm listens on http://").unwrap().parse().unwrap();
        Self { child, addr, log }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits until a logged line has `phrase` in it.
    pub async fn wait_for_log(&self, phrase: &str) {
        let mut log = self.log.clone();
        let is_there = |lines: &Vec<String>| lines.iter().any(|line| line.contains(phrase));
        if log.wait_for(is_there).await.is_err() {
            panic!("it ended without saying {phrase:?}: {:?}", self.log());
        }
    }

    /// Sends it a signal (`TERM`, `HUP`, …).
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(kill.success());
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// The most memory it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }
}

fn lines(from: impl AsyncRead + Send + Unpin + 'static) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|all| all.push(line));
        }
    });
    receiver
}

//! The program as a child process that is told where to listen, and signalled.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Attempts to come back where another process may just have taken the port.
const ATTEMPTS: usize = 20;

/// `hlswarm` with a subcommand that listens; it is killed when dropped.
pub struct Process {
    name: String,
    subcommand: &'static str,
    config: PathBuf,
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts it on a free port and waits until it listens. What it logs goes to `NAME.log`.
    pub async fn start(name: &str, subcommand: &'static str, settings: &str) -> Self {
        let config = scratch(&format!("{name}.toml"));
        std::fs::write(&config, settings).unwrap();
        File::create(scratch(&format!("{name}.log"))).unwrap();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let spawned = spawn(name, subcommand, &config, anywhere).await;
        let (child, address) = spawned.unwrap_or_else(|| panic!("{name} does not start"));
        Self { name: name.to_owned(), subcommand, config, child, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a signal (`TERM`, `STOP`, …).
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(kill.success());
    }

    /// Waits until it is gone.
    pub async fn gone(&mut self) {
        self.child.wait().await.unwrap();
    }

    /// Whether it ended although nobody ended it.
    pub fn has_died(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Starts it again where it was, and waits until it listens.
    pub async fn come_back(&mut self) {
        for _ in 0..ATTEMPTS {
            let at = self.address;
            if let Some((child, _)) = spawn(&self.name, self.subcommand, &self.config, at).await {
                self.child = child;
                return;
            }
        }
        panic!("{} does not come back", self.name);
    }
}

async fn spawn(
    name: &str,
    subcommand: &str,
    config: &PathBuf,
    at: SocketAddr,
) -> Option<(Child, SocketAddr)> {
    let log = File::options().append(true).open(scratch(&format!("{name}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hlswarm"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HLSWARM_")) {
        command.env_remove(name);
    }
    command
        .args([subcommand, "--listen", &at.to_string()])
        .env("HLSWARM_CONFIG", config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let (_, address) = line.split_once("://")?;
    Some((child, address.trim().parse().unwrap()))
}

fn scratch(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

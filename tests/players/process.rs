//! Child processes, scratch directories and bounded waiting: what every test of this suite needs.
//!
//! Each child leads a process group of its own and is killed by that id on drop, so that neither
//! a failed test nor a player's helper processes outlive the test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at while waiting for it.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The user and group of whoever has no privileges, on every Linux.
const NOBODY: u32 = 65_534;

/// Lines of each log printed when a test fails.
const LOG_LINES_SHOWN: usize = 15;

/// Polls `condition` until it gives a value; panics, naming `what`, after `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {} s", limit.as_secs());
        thread::sleep(POLL_INTERVAL);
    }
}

/// Whether every one of `tools` is there. Says so loudly when not; with `CI=true` that is a
/// failure, because there a skipped test would go unnoticed.
pub fn have(tools: &[&str]) -> bool {
    let missing: Vec<_> = tools.iter().filter(|tool| find(tool).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let hint = "tests/install-players.sh installs what is missing";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "missing {missing:?}: {hint}");
    // Not eprintln!, which the test harness would swallow.
    let _ = writeln!(io::stderr(), "SKIPPED: missing {missing:?}: {hint}");
    false
}

/// Where a program is: on the path, in the directories of system programs, or as a file itself.
pub fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(system).map(|dir| dir.join(tool));
    candidates.find(|candidate| candidate.exists())
}

/// A command that runs `program` as nobody when the tests run as root: several players refuse that.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    command.args([&user, &group, "--clear-groups"]).arg(program);
    command
}

/// Gives a directory and all that is in it to whoever `unprivileged` runs as.
pub fn hand_over(directory: &Path) {
    if !is_root() {
        return;
    }
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            hand_over(&entry.path());
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A port on 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A directory that goes when the test ends, after printing the logs in it if the test failed.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hlswarm-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    let text = fs::read(&path).unwrap_or_default();
                    let text = String::from_utf8_lossy(&text);
                    let lines: Vec<_> = text.lines().collect();
                    let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
                    println!("--- {}\n{}", path.display(), lines[from..].join("\n"));
                }
            }
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running child, killed with its descendants on drop.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; whatever it prints goes to `NAME.log` in `directory`.
    pub fn start(name: &str, directory: &Path, command: &mut Command) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to end, as SIGTERM does: it clears up what would outlive it. Kills it after `limit`.
    pub fn end(&mut self, limit: Duration) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let end = Instant::now() + limit;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
            thread::sleep(POLL_INTERVAL);
        }
        self.kill();
    }

    /// Kills it without warning, as SIGKILL does, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

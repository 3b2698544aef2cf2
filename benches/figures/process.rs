//! Child processes: the program under test, what it has cost, and its certain end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Outcome;

/// Clock ticks of `/proc` in a second, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The program as a child process; ends with this value.
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// A daemon that listens wherever there is room.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn daemon(settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::start("serve", settings)
    }

    /// A tracker.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn tracker() -> Outcome<Self> {
        Self::start("tracker", &[])
    }

    fn start(command: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hlswarm"))
            .args([command, "--quiet", "--listen", "127.0.0.1:0"])
            // The settings of whoever runs the measurement are not part of it.
            .env("HLSWARM_CONFIG", "/dev/null")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim_end().rsplit("://").next().and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(Self { child, address }),
            None => {
                child.kill()?;
                child.wait()?;
                Err(format!("{command} did not say where it listens: {line:?}").into())
            }
        }
    }

    /// CPU seconds it has used so far.
    ///
    /// # Errors
    /// When it has gone.
    pub fn cpu_seconds(&self) -> Outcome<f64> {
        cpu_seconds(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Either fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(process: u32) -> Outcome<f64> {
    Ok(Stat::read(&PathBuf::from(format!("/proc/{process}/stat")))?.cpu_seconds)
}

/// User and system time of this process's threads whose name begins with `prefix`, in seconds.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn cpu_seconds_of_threads(prefix: &str) -> Outcome<f64> {
    let mut sum = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        // A thread may end while its directory is looked at.
        let Ok(stat) = Stat::read(&thread?.path().join("stat")) else { continue };
        if stat.name.starts_with(prefix) {
            sum += stat.cpu_seconds;
        }
    }
    Ok(sum)
}

/// The processes that `parent` has started.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children(parent: u32) -> Outcome<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while its directory is looked at.
        if Stat::read(&entry.path().join("stat")).is_ok_and(|stat| stat.parent == parent) {
            children.push(process);
        }
    }
    Ok(children)
}

struct Stat {
    name: String,
    parent: u32,
    cpu_seconds: f64,
}

impl Stat {
    fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path)?;
        // The name may hold anything, brackets too.
        let (start, rest) = text.rsplit_once(") ").ok_or("no name in stat")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number).copied().ok_or("stat is too short");
        let ticks = field(11)?.parse::<f64>()? + field(12)?.parse::<f64>()?;
        Ok(Self {
            name: start.split_once('(').map_or("", |(_, name)| name).to_owned(),
            parent: field(1)?.parse()?,
            cpu_seconds: ticks / TICKS_PER_SECOND,
        })
    }
}

/// A directory of its own that goes with this value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("hlswarm-figures-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What remains is in the system's directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

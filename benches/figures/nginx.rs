//! nginx as the yardstick, with a configuration of its own in a directory of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::{self, Scratch};

/// Longest it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// A running nginx; ends with this value.
pub struct Nginx {
    master: Child,
    scratch: Scratch,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Serves `body` as `/segment.ts` from disk; `None` where nginx is not installed.
    ///
    /// # Errors
    /// When it is installed and does not start.
    pub fn start(body: &[u8]) -> Outcome<Option<Self>> {
        if command().arg("-v").stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let scratch = Scratch::new()?;
        std::fs::write(scratch.0.join("segment.ts"), body)?;
        // It cannot choose a port itself: this one was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let directory = scratch.0.display();
        let text = format!(
            "daemon off; worker_processes auto; pid {directory}/pid; error_log stderr warn;\n\
             events {{ }}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;\n\
             fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d;\n\
             scgi_temp_path {directory}/e; types {{ video/mp2t ts; }}\n\
             server {{ listen {address}; root {directory}; }}\n\
             }}\n"
        );
        std::fs::write(scratch.0.join("conf"), text)?;
        let master = command().arg("-c").arg(scratch.0.join("conf")).spawn()?;
        let nginx = Self { master, scratch, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START_TIMEOUT {
                return Err("nginx is installed but does not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(nginx))
    }

    /// CPU seconds of master and workers so far.
    ///
    /// # Errors
    /// When they have gone.
    pub fn cpu_seconds(&self) -> Outcome<f64> {
        let master = self.master.id();
        let mut sum = process::cpu_seconds(master)?;
        for worker in process::children(master)? {
            sum += process::cpu_seconds(worker)?;
        }
        Ok(sum)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Through nginx itself: its workers outlive a master that is killed.
        let mut stop = command();
        stop.arg("-c").arg(self.scratch.0.join("conf")).args(["-s", "stop"]);
        let stop = stop.stderr(Stdio::null()).status();
        if stop.is_err() {
            let _ = self.master.kill();
        }
        let _ = self.master.wait();
    }
}

/// Debian keeps it where only root's search path leads.
fn command() -> Command {
    let usual = "/usr/sbin/nginx";
    Command::new(if std::path::Path::new(usual).exists() { usual } else { "nginx" })
}

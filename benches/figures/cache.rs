//! Segments out of the daemon's cache, against nginx with the same file on disk.
//!
//! Rounds alternate, so that whatever else the machine does falls on both.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Outcome;
use crate::client::{self, Client};
use crate::nginx::Nginx;
use crate::origin::{self, Film};
use crate::process::Program;
use crate::report::{Row, Section, ratios};

/// One segment of a megabyte.
const FILM: Film = Film { name: "cache", segments: 1, packets: 5_320 };
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(700);

/// Requests a second and CPU seconds for a gigabyte, one sample a round.
#[derive(Default)]
struct Side {
    requests: Vec<f64>,
    cpu: Vec<f64>,
}

/// Measures.
///
/// # Errors
/// When a part does not start or a request fails.
pub fn measure() -> Outcome<Section> {
    let origin = origin::serve(FILM)?;
    let daemon = Program::daemon(&[("HLSWARM_P2P_ENABLED", "false")])?;
    let path = origin::through(origin, &FILM.segment(0));
    let mut client = Client::connect(daemon.address)?;
    client.text(&origin::through(origin, &FILM.playlist()))?;
    client.get(&path)?;
    if !client.get(&path)?.head.contains("hlswarm; hit") {
        return Err("the segment is not held after it was asked for".into());
    }
    let nginx = Nginx::start(&FILM.content())?;
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    for _ in 0..ROUNDS {
        ours.round(daemon.address, &path, || daemon.cpu_seconds())?;
        if let Some(nginx) = &nginx {
            theirs.round(nginx.address, "/segment.ts", || nginx.cpu_seconds())?;
        }
    }
    let mut section = Section {
        title: format!(
            "Segments of 1 MB out of the cache ({CONNECTIONS} keep-alive connections, loopback)"
        ),
        rows: vec![
            Row::new("requests_per_s", "requests/s", ours.requests.clone()),
            Row::new("cpu_s_per_gb", "CPU s/GB", ours.cpu.clone()),
        ],
        notes: Vec::new(),
    };
    if nginx.is_some() {
        section.rows.extend([
            Row::new("nginx_requests_per_s", "requests/s, nginx", theirs.requests.clone()),
            Row::new("nginx_cpu_s_per_gb", "CPU s/GB, nginx", theirs.cpu.clone()),
            Row::new(
                "requests_ratio",
                "requests/s, ours to nginx's",
                ratios(&ours.requests, &theirs.requests),
            ),
            Row::new("cpu_ratio", "CPU s/GB, ours to nginx's", ratios(&ours.cpu, &theirs.cpu)),
        ]);
    } else {
        section.notes.push("NGINX IS NOT INSTALLED: nothing to compare with".to_owned());
    }
    Ok(section)
}

impl Side {
    fn round(
        &mut self,
        host: SocketAddr,
        path: &str,
        cpu_seconds: impl Fn() -> Outcome<f64>,
    ) -> Outcome<()> {
        let before = cpu_seconds()?;
        let load = client::load(host, path, CONNECTIONS, ROUND)?;
        let used = cpu_seconds()? - before;
        self.requests.push(load.requests as f64 / load.elapsed.as_secs_f64());
        self.cpu.push(used / (load.bytes as f64 / 1e9));
        Ok(())
    }
}

//! The low-latency stream of one run: an origin of its own behind the matrix' origin, which relays
//! to it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Once;

use super::media;
use super::serve::Asked;
use crate::ll_origin::{Addressing, LlOrigin, Media, Plan};

/// Of a segment of a second.
const PARTS: usize = 5;
const PART_S: f64 = 0.2;
/// What there is when a player comes, in segments.
const WINDOW: usize = 4;

/// A stream whose clock starts with the first request for media: until then every player sees the
/// same.
pub struct LowLatency {
    origin: LlOrigin,
    clock: Once,
}

impl LowLatency {
    pub fn start() -> Self {
        let file = fs::read(media::directory().join("low-latency/all.mp4")).unwrap();
        let media = Media::cut(&file, PARTS, PART_S);
        let plan = Plan { renditions: vec!["a"], ..Plan::new(media, Addressing::Names) };
        let origin = LlOrigin::start(plan);
        origin.publish_many(WINDOW * PARTS);
        Self { origin, clock: Once::new() }
    }

    /// Has a request answered, and ends the connection.
    pub fn relay(&self, asked: &Asked, name: &str, mut player: &TcpStream) -> io::Result<()> {
        if !name.ends_with(".m3u8") {
            self.clock.call_once(|| self.origin.run());
        }
        let url = self.origin.url("");
        let origin = TcpStream::connect(url.trim_start_matches("http://"))?;
        let query = if asked.query.is_empty() { "" } else { "?" };
        let range = match asked.header("range") {
            "" => String::new(),
            range => format!("Range: {range}\r\n"),
        };
        write!(&origin, "GET /{name}{query}{} HTTP/1.1\r\n{range}\r\n", asked.query)?;
        // It ends the connection when it has answered all.
        origin.shutdown(Shutdown::Write)?;
        let mut answer = BufReader::new(origin);
        let mut status = String::new();
        answer.read_line(&mut status)?;
        player.write_all(status.as_bytes())?;
        player.write_all(b"Connection: close\r\n")?;
        io::copy(&mut answer, &mut player)?;
        Ok(())
    }
}

//! An origin in this process: a film of equally long segments of MPEG transport stream packets.
//!
//! Its time is not measured; it is a thread for each connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

const PACKET_BYTES: usize = 188;
/// Media time of one segment.
const SEGMENT_SECONDS: u32 = 4;

/// A film.
#[derive(Clone, Copy)]
pub struct Film {
    /// Names it.
    pub name: &'static str,
    /// Segments it has.
    pub segments: usize,
    /// Transport stream packets in each.
    pub packets: usize,
}

impl Film {
    /// Path of its playlist.
    pub fn playlist(&self) -> String {
        format!("/{}/media.m3u8", self.name)
    }

    /// Path of a segment.
    pub fn segment(&self, number: usize) -> String {
        format!("/{}/{number}.ts", self.name)
    }

    /// Bytes of a segment.
    pub fn segment_bytes(&self) -> usize {
        self.packets * PACKET_BYTES
    }

    /// A segment's content, the same for all but for the first packet.
    pub fn content(&self) -> Vec<u8> {
        let mut state = 1_u32;
        let mut packet = || {
            let mut packet = [0x47; PACKET_BYTES];
            for byte in &mut packet[4..] {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            packet
        };
        (0..self.packets).flat_map(|_| packet()).collect()
    }

    fn text(&self) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n\
             #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        );
        for number in 0..self.segments {
            // Writing into a string cannot fail.
            let _ = write!(text, "#EXTINF:{SEGMENT_SECONDS},\n{number}.ts\n");
        }
        text.push_str("#EXT-X-ENDLIST\n");
        text
    }
}

/// Serves a film for as long as the process runs.
///
/// # Errors
/// When it cannot listen.
pub fn serve(film: Film) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let content = Arc::new(film.content());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let content = content.clone();
            // Whoever breaks off is none of the origin's business.
            std::thread::spawn(move || drop(connection(&stream, film, &content)));
        }
    });
    Ok(address)
}

/// The daemon's path to a path of the origin's.
pub fn through(origin: SocketAddr, path: &str) -> String {
    format!("/http/{origin}{path}")
}

fn connection(mut stream: &TcpStream, film: Film, content: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        while !lines.next().ok_or(io::ErrorKind::UnexpectedEof)??.is_empty() {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path == film.playlist() {
            let text = film.text();
            head(stream, "application/vnd.apple.mpegurl", text.len())?;
            stream.write_all(text.as_bytes())?;
        } else {
            let number = path.rsplit('/').next().unwrap_or_default().as_bytes();
            let mut first = [0x47; PACKET_BYTES];
            first[4..][..number.len()].copy_from_slice(number);
            head(stream, "video/mp2t", content.len())?;
            stream.write_all(&first)?;
            stream.write_all(&content[PACKET_BYTES..])?;
        }
    }
    Ok(())
}

fn head(mut stream: &TcpStream, content_type: &str, length: usize) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())
}

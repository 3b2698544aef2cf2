//! HTTP/1.1 as far as a low-latency origin needs it: GET, ranges, bodies that grow.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// Last byte of a range whose end is not known yet (RFC 8673).
const OPEN_END: u64 = (1 << 53) - 1;

/// A request.
#[derive(Debug)]
pub struct Asked {
    pub path: String,
    pub query: String,
    /// First byte, and the one behind the last.
    pub range: Option<(usize, Option<usize>)>,
    /// It is the last of its connection.
    is_last: bool,
}

/// Where the answer goes.
pub struct Reply<'a> {
    socket: &'a TcpStream,
    is_chunked: bool,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        match self.range {
            Some((start, Some(end))) => write!(f, " bytes={start}-{}", end - 1),
            Some((start, None)) => write!(f, " bytes={start}-"),
            None => Ok(()),
        }
    }
}

/// Answers the requests of one connection, one after the other.
pub fn serve(
    socket: TcpStream,
    answer: impl Fn(&Asked, &mut Reply<'_>) -> io::Result<()>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(&socket);
    while let Some(asked) = read(&mut reader)? {
        answer(&asked, &mut Reply { socket: &socket, is_chunked: false })?;
        if asked.is_last {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked =
        Asked { path: path.to_owned(), query: query.to_owned(), range: None, is_last: false };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(asked)) };
        if name.eq_ignore_ascii_case("range") {
            asked.range = range(value.trim());
        }
        let is_close = value.trim().eq_ignore_ascii_case("close");
        asked.is_last |= name.eq_ignore_ascii_case("connection") && is_close;
    }
}

fn range(value: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let end = if last.is_empty() { None } else { Some(last.parse::<usize>().ok()? + 1) };
    Some((first.parse().ok()?, end))
}

impl Reply<'_> {
    pub fn status(&mut self, status: u16) -> io::Result<()> {
        self.whole(status, "text/plain", "max-age=1", b"")
    }

    pub fn playlist(&mut self, text: &str) -> io::Result<()> {
        self.whole(200, "application/vnd.apple.mpegurl", "max-age=1", text.as_bytes())
    }

    pub fn media(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.whole(200, "video/mp4", "max-age=60", bytes)
    }

    fn whole(&mut self, status: u16, kind: &str, cache: &str, body: &[u8]) -> io::Result<()> {
        let mut answer = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nCache-Control: {cache}\r\n\
             Access-Control-Allow-Origin: *\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        self.socket.write_all(&answer)
    }

    /// The head of a segment's answer, of `size` bytes if it is whole already; whether a body is to
    /// follow.
    pub fn begin_segment(
        &mut self,
        range: Option<(usize, Option<usize>)>,
        size: Option<usize>,
    ) -> io::Result<bool> {
        let (start, end) = range.unwrap_or_default();
        if size.is_some_and(|size| start >= size) {
            self.status(416)?;
            return Ok(false);
        }
        let end = end.map_or(size, |end| Some(size.map_or(end, |size| end.min(size))));
        let mut head = format!(
            "HTTP/1.1 {} -\r\nContent-Type: video/mp4\r\nAccess-Control-Allow-Origin: *\r\n",
            if range.is_some() { 206 } else { 200 }
        );
        if range.is_some() {
            let last = end.map_or(OPEN_END, |end| end as u64 - 1);
            let size = size.map_or("*".to_owned(), |size| size.to_string());
            head.push_str(&format!("Content-Range: bytes {start}-{last}/{size}\r\n"));
        }
        self.is_chunked = end.is_none();
        match end {
            Some(end) => head.push_str(&format!("Content-Length: {}\r\n\r\n", end - start)),
            None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        self.socket.write_all(head.as_bytes())?;
        Ok(true)
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_chunked {
            return self.socket.write_all(bytes);
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.socket.write_all(&chunk)
    }

    pub fn end(&mut self) -> io::Result<()> {
        if self.is_chunked { self.socket.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }
}

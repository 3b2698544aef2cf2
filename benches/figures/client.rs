//! A player without a screen: one keep-alive connection that reads and throws away.
//!
//! Blocking, because a load generator should cost little and have no scheduler of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for bytes before the measurement is given up.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// A connection.
pub struct Client {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

/// What an answer was like.
pub struct Answer {
    /// The header fields as they came, status line included.
    pub head: String,
    /// Bytes of the body.
    pub bytes: u64,
    /// Time from the request to the first byte of the body.
    pub first_byte: Duration,
}

impl Client {
    /// Connects.
    pub fn connect(host: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, host, buffer: vec![0; READ_BYTES] })
    }

    /// Gets a path and throws the body away.
    ///
    /// # Errors
    /// When the answer is not a 200 of known length.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.get_into(path, |_| {})
    }

    /// Gets a path as text.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn text(&mut self, path: &str) -> io::Result<String> {
        let mut body = Vec::new();
        self.get_into(path, |bytes| body.extend_from_slice(bytes))?;
        String::from_utf8(body).map_err(io::Error::other)
    }

    fn get_into(&mut self, path: &str, mut sink: impl FnMut(&[u8])) -> io::Result<Answer> {
        let asked = Instant::now();
        let host = self.host;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let (head, filled) = self.head()?;
        let length = content_length(&head)
            .filter(|_| head.starts_with("HTTP/1.1 200"))
            .ok_or_else(|| io::Error::other(format!("{path} was answered with {head:?}")))?;
        let mut first = (filled > head.len()).then(|| asked.elapsed());
        let mut bytes = (filled - head.len()) as u64;
        sink(&self.buffer[head.len()..filled]);
        while bytes < length {
            let read = self.read(0)?;
            first.get_or_insert_with(|| asked.elapsed());
            sink(&self.buffer[..read]);
            bytes += read as u64;
        }
        Ok(Answer { head, bytes, first_byte: first.unwrap_or_else(|| asked.elapsed()) })
    }

    /// Reads until the head is complete; also how far the buffer is filled.
    fn head(&mut self) -> io::Result<(String, usize)> {
        let mut filled = 0;
        loop {
            filled += self.read(filled)?;
            let end = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.buffer[..end + 4].to_vec();
                return Ok((String::from_utf8(head).map_err(io::Error::other)?, filled));
            }
        }
    }

    fn read(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[from..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn content_length(head: &str) -> Option<u64> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    value?.trim().parse().ok()
}

/// What several connections moved together.
pub struct Load {
    /// Requests answered.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the first request to the last byte.
    pub elapsed: Duration,
}

/// Asks for one path again and again over `connections` for `length`.
///
/// # Errors
/// When any request fails.
pub fn load(
    host: SocketAddr,
    path: &str,
    connections: usize,
    length: Duration,
) -> io::Result<Load> {
    let began = Instant::now();
    let one = || -> io::Result<(u64, u64)> {
        let mut client = Client::connect(host)?;
        let (mut requests, mut bytes) = (0, 0);
        while began.elapsed() < length {
            bytes += client.get(path)?.bytes;
            requests += 1;
        }
        Ok((requests, bytes))
    };
    let counts: io::Result<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a connection panicked")))
        };
        threads.into_iter().map(join).collect()
    });
    let counts = counts?;
    Ok(Load {
        requests: counts.iter().map(|(requests, _)| requests).sum(),
        bytes: counts.iter().map(|(_, bytes)| bytes).sum(),
        elapsed: began.elapsed(),
    })
}

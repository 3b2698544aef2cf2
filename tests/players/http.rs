//! A small blocking HTTP/1.1 client, enough to act as a player towards the daemon.
//!
//! It deliberately knows no keep-alive, redirect or TLS, and trusts nothing about lengths: a body
//! shorter than announced is an error, because a truncated segment must not pass for a whole one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long any single read may take. A daemon silent for longer has failed its player.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// What came back for one request.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Gets `url`, which must be plain `http://host:port/…`.
pub fn get(url: &str) -> io::Result<Answer> {
    get_with(url, &[])
}

/// Gets `url` with further header fields. User name and password in it are left out.
pub fn get_with(url: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("not an http URL"))?;
    let (authority, path) = rest.split_once('/').ok_or_else(|| invalid("URL without a path"))?;
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let mut socket = TcpStream::connect(authority)?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    write!(
        socket,
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: players-test\r\n\
         Connection: close\r\n{headers}\r\n"
    )?;
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| invalid("no status line"))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((key, value)) => answer.headers.push((key.into(), value.trim().into())),
            None => break,
        }
    }
    if answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        answer.body = read_chunked(&mut reader).map_err(|error| {
            io::Error::new(error.kind(), format!("broken chunked body of {url}: {error}"))
        })?;
        return Ok(answer);
    }
    reader.read_to_end(&mut answer.body)?;
    let announced = answer.header("content-length").and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length != answer.body.len()) {
        return Err(invalid("body shorter than announced"));
    }
    Ok(answer)
}

fn read_chunked(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        let read = reader.by_ref().take(size).read_to_end(&mut body)?;
        if read as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.clear();
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

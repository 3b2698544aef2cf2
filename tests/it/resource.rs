//! What a test origin serves under one path, and how it misbehaves there.
//!
//! Nothing here sleeps: whatever waits, waits for a [`Gate`] that the test opens.

use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::{Semaphore, watch};

/// Holds something back until the test says so.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Lets `n` more through.
    pub fn admit(&self, n: usize) {
        self.0.add_permits(n);
    }

    pub async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// A fault that is on until the test turns it off.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    pub fn on() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub fn turn_off(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Any piece of generated content, from its place modulo 251 on.
pub static GENERATED: LazyLock<Bytes> =
    LazyLock::new(|| (0..(1 << 16) + 251).map(|i| (i % 251) as u8).collect());

#[derive(Clone, Debug)]
pub enum Content {
    Bytes(Bytes),
    /// This many bytes, made up as they are sent.
    Generated(u64),
}

/// One path of the test origin; made with one of the constructors, then modified.
#[derive(Debug)]
pub struct Resource {
    pub content: Content,
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub has_ranges: bool,
    pub has_length: bool,
    pub is_endless_redirect: bool,
    pub truncation: Option<usize>,
    pub head_gate: Option<Gate>,
    pub body_gate: Option<(usize, Gate)>,
    pub meter: Option<(usize, Gate)>,
    /// Header and what has to be in it; 403 without.
    pub needs: Vec<(&'static str, String)>,
    truncations: usize,
    failures: usize,
    failing: Option<Switch>,
    failure_status: u16,
    asked: AtomicUsize,
    /// Body bytes handed to the socket, and bodies that have ended in any way.
    pub sent: watch::Sender<(u64, usize)>,
}

/// How one request is to be answered.
pub struct Mood {
    pub failure: Option<u16>,
    pub truncation: Option<usize>,
    /// Requests for this path before this one.
    pub count: usize,
}

impl Resource {
    pub fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Bytes(body.into()),
            status: 200,
            headers: vec![("content-type", content_type.to_owned())],
            has_ranges: true,
            has_length: true,
            is_endless_redirect: false,
            truncation: None,
            head_gate: None,
            body_gate: None,
            meter: None,
            needs: Vec::new(),
            truncations: 0,
            failures: 0,
            failing: None,
            failure_status: 503,
            asked: AtomicUsize::new(0),
            sent: watch::channel((0, 0)).0,
        }
    }

    pub fn playlist(text: &str) -> Self {
        Self::new("application/vnd.apple.mpegurl", text.to_owned())
    }

    /// A TS segment of `len` bytes that differ from those of any other `seed`.
    pub fn ts(len: usize, seed: u8) -> Self {
        Self::new("video/mp2t", pattern(len, seed))
    }

    /// A "segment" of any size that takes no memory.
    pub fn generated(len: u64) -> Self {
        let mut resource = Self::new("video/mp2t", Bytes::new());
        resource.content = Content::Generated(len);
        resource
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        let mut resource = Self::new("text/plain", "elsewhere").header("location", location);
        resource.status = status;
        resource
    }

    /// Redirects to itself with another query each time.
    pub fn endless_redirect() -> Self {
        let mut resource = Self::redirect(302, "");
        resource.headers.retain(|(name, _)| *name != "location");
        resource.is_endless_redirect = true;
        resource
    }

    /// Adds a header; `{n}` in its value is how often the resource was asked for before.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Refuses who does not send a header with `value` in it.
    pub fn needs(mut self, name: &'static str, value: &str) -> Self {
        self.needs.push((name, value.to_owned()));
        self
    }

    pub fn without_ranges(mut self) -> Self {
        self.has_ranges = false;
        self
    }

    /// Sends the body chunked.
    pub fn without_length(mut self) -> Self {
        self.has_length = false;
        self
    }

    pub fn fail_first(mut self, requests: usize, status: u16) -> Self {
        self.failures = requests;
        self.failure_status = status;
        self
    }

    pub fn fail_while(mut self, switch: &Switch, status: u16) -> Self {
        self.failing = Some(switch.clone());
        self.failure_status = status;
        self
    }

    /// Breaks the connection after `at` body bytes, in the first `requests` requests.
    pub fn truncate_first(mut self, requests: usize, at: usize) -> Self {
        self.truncations = requests;
        self.truncation = Some(at);
        self
    }

    /// Each head waits for the gate.
    pub fn hold_head(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Each body waits for the gate after `at` bytes.
    pub fn hold_body(mut self, at: usize, gate: &Gate) -> Self {
        self.body_gate = Some((at, gate.clone()));
        self
    }

    /// The body goes out in chunks of `len` bytes, and each waits for the gate.
    pub fn meter(mut self, len: usize, gate: &Gate) -> Self {
        self.meter = Some((len, gate.clone()));
        self
    }

    /// Counts a request and says how to answer it.
    pub fn mood(&self) -> Mood {
        let count = self.asked.fetch_add(1, Ordering::SeqCst);
        let is_failing = count < self.failures || self.failing.as_ref().is_some_and(Switch::is_on);
        Mood {
            failure: is_failing.then_some(self.failure_status),
            truncation: self.truncation.filter(|_| count < self.truncations),
            count,
        }
    }
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Generated(len) => *len,
        }
    }

    /// `len` bytes from `at` on, or fewer.
    pub fn piece(&self, at: u64, len: usize) -> Bytes {
        match self {
            Self::Bytes(bytes) => {
                let at = at as usize;
                bytes.slice(at..bytes.len().min(at.saturating_add(len)))
            }
            Self::Generated(total) => {
                let len = (total - at).min(len as u64).min(1 << 16) as usize;
                let from = (at % 251) as usize;
                GENERATED.slice(from..from + len)
            }
        }
    }
}

/// `len` bytes in which every position can be told from its neighbours.
pub fn pattern(len: usize, seed: u8) -> Bytes {
    (0..len).map(|i| ((i * 31 + i / 251) as u8).wrapping_add(seed)).collect()
}

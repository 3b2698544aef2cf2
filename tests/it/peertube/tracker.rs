//! A tracker with PeerTube's rules: it knows the hashes of its videos, and whoever announces
//! another is thrown out and does not get in again for minutes. Swarms are kept by the built-in
//! tracker behind it.

use crate::sharing::world::Tracker;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

pub struct StrictTracker {
    behind: Tracker,
    known: Mutex<BTreeSet<String>>,
    /// Hashes that were announced, each once.
    announced: watch::Sender<BTreeSet<String>>,
    is_blocking: AtomicBool,
    calls: AtomicUsize,
}

impl StrictTracker {
    pub async fn start() -> Self {
        Self {
            behind: Tracker::start().await,
            known: Mutex::default(),
            announced: watch::channel(BTreeSet::new()).0,
            is_blocking: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        }
    }

    /// Knows these hashes from now on.
    pub fn expect(&self, hashes: impl IntoIterator<Item = String>) {
        self.known.lock().unwrap().extend(hashes);
    }

    /// Attempts to connect so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What was announced, none of which was unknown.
    pub fn announced(&self) -> BTreeSet<String> {
        assert!(!self.is_blocking.load(Ordering::SeqCst), "blocked for {:?}", self.announced);
        self.announced.borrow().clone()
    }

    /// Talks with whoever has connected.
    pub async fn serve(&self, mut socket: TcpStream) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_blocking.load(Ordering::SeqCst) {
            // Whoever is blocked may have left.
            let _ = socket.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
            return;
        }
        let Ok(mut member) = tokio_tungstenite::accept_async(socket).await else { return };
        let swarms = tokio_tungstenite::connect_async(self.behind.url()).await;
        let (mut swarms, _) = swarms.unwrap();
        loop {
            let is_heard = tokio::select! {
                said = member.next() => match said {
                    Some(Ok(said)) if self.admits(&said) => swarms.send(said).await.is_ok(),
                    _ => false,
                },
                said = swarms.next() => match said {
                    Some(Ok(said)) => member.send(said).await.is_ok(),
                    _ => false,
                },
            };
            if !is_heard {
                return;
            }
        }
    }

    fn admits(&self, said: &Message) -> bool {
        let Message::Text(text) = said else { return true };
        let said: Value = serde_json::from_str(text).unwrap();
        let hash = said["info_hash"].as_str().unwrap().to_owned();
        let is_known = self.known.lock().unwrap().contains(&hash);
        self.announced.send_modify(|announced| {
            announced.insert(hash);
        });
        if !is_known {
            self.is_blocking.store(true, Ordering::SeqCst);
        }
        is_known
    }
}

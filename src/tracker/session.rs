//! A tracker as its client sees it: one WebSocket, shared by all swarms announced there.
//!
//! It connects while any swarm is joined, reconnects with growing patience, and says goodbye. It
//! knows no WebRTC: whoever holds a [`Membership`] makes offers when asked and reads the answers.
//! What to send when is decided in `roster`.

use super::connect::{Socket, connect, describe};
use super::message::{Offer, OfferId, ServerMessage};
pub use super::roster::TrackerEvent;
use super::roster::{Rhythm, Roster, Serial};
pub use super::timings::{SessionConfig, Timings};
use crate::ids::{InfoHash, PeerId};
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a tracker is doing, for statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerState {
    /// Not connected and nothing wrong: on the way, or no swarm needs it.
    Connecting,
    /// Connected.
    Connected,
    /// The last attempt or connection failed; the next attempt is due.
    Failed {
        /// What happened.
        error: String,
    },
}

/// Handle of the connection to one tracker; it lives until the token given to
/// [`TrackerSession::spawn`] is cancelled.
#[derive(Clone)]
pub struct TrackerSession(Arc<Shared>);

/// Being announced in one swarm at one tracker; dropping it tells the tracker that we left.
pub struct Membership {
    hash: InfoHash,
    serial: Serial,
    shared: Arc<Shared>,
    events: mpsc::Receiver<TrackerEvent>,
}

struct Shared {
    url: String,
    /// Commands wait in the roster, bounded there, so that none is lost and none blocks.
    roster: Mutex<Roster>,
    state: Mutex<TrackerState>,
    /// Wakes the task when the roster changed.
    changed: Notify,
}

impl TrackerSession {
    /// Starts the session's task on `tasks`; it ends when `cancel` is cancelled.
    pub fn spawn(config: SessionConfig, tasks: &TaskTracker, cancel: CancellationToken) -> Self {
        let timings = config.timings;
        let rhythm = Rhythm {
            early: timings.early,
            fallback: timings.interval_fallback,
            min: timings.interval_min,
            max: timings.interval_max,
        };
        let shared = Arc::new(Shared {
            url: config.url.clone(),
            roster: Mutex::new(Roster::new(config.peer_id, rhythm)),
            state: Mutex::new(TrackerState::Connecting),
            changed: Notify::new(),
        });
        let host = host(&config.url);
        tasks.spawn(Task { shared: shared.clone(), config, host, cancel, failures: 0 }.run());
        Self(shared)
    }

    /// Becomes a member of a swarm. Whoever joined the same swarm before hears no more.
    pub fn join(&self, hash: InfoHash) -> Membership {
        let (serial, events) = self.0.roster().join(hash);
        self.0.changed.notify_one();
        Membership { hash, serial, shared: self.0.clone(), events }
    }

    /// How the tracker is doing.
    pub fn state(&self) -> TrackerState {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether any swarm needs it.
    pub fn is_wanted(&self) -> bool {
        self.0.roster().is_wanted()
    }

    /// The tracker's address as configured; not for logs, it may hold a secret.
    pub fn url(&self) -> &str {
        &self.0.url
    }
}

impl Membership {
    /// The next event; `None` when the session ended or someone else joined this swarm.
    pub async fn recv(&mut self) -> Option<TrackerEvent> {
        self.events.recv().await
    }

    /// The swarm.
    pub fn hash(&self) -> InfoHash {
        self.hash
    }

    /// Announces with offers, as asked for by [`TrackerEvent::OffersWanted`]; none is fine. Offers
    /// above what trackers accept are left out. Forgotten when there is no connection.
    pub fn announce(&self, offers: Vec<Offer>) {
        self.shared.roster().announce(self.hash, self.serial, offers);
        self.shared.changed.notify_one();
    }

    /// Answers another member's offer. Forgotten when there is no connection.
    pub fn answer(&self, to: PeerId, offer_id: OfferId, sdp: String) {
        self.shared.roster().answer(self.hash, self.serial, to, Offer { offer_id, sdp });
        self.shared.changed.notify_one();
    }

    /// Leaves the swarm, as dropping does.
    pub fn leave(self) {}
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.roster().leave(self.hash, self.serial);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// Never held across an await.
    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: TrackerState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

struct Task {
    shared: Arc<Shared>,
    config: SessionConfig,
    /// What logs call the tracker.
    host: String,
    cancel: CancellationToken,
    /// Attempts without a lasting connection since the last one.
    failures: u32,
}

impl Task {
    async fn run(mut self) {
        while !self.cancel.is_cancelled() {
            if !self.shared.roster().is_wanted() {
                tokio::select! {
                    () = self.cancel.cancelled() => {}
                    () = self.shared.changed.notified() => {}
                }
                continue;
            }
            let Err(error) = self.connect_and_converse().await else { continue };
            if self.failures == 0 {
                tracing::warn!(tracker = %self.host, %error, "tracker failed");
            } else {
                tracing::debug!(tracker = %self.host, %error, "tracker failed again");
            }
            self.shared.roster().disconnected(Some(&error));
            self.shared.set_state(TrackerState::Failed { error });
            let wait = self.config.timings.backoff(self.failures, random_fraction());
            self.failures = self.failures.saturating_add(1);
            let _cancelled = timeout(wait, self.cancel.cancelled()).await;
        }
        // Without senders of events, members learn that nothing more comes.
        self.shared.roster().close();
    }

    /// One connection from beginning to end: fine when we ended it, the reason when it failed.
    async fn connect_and_converse(&mut self) -> Result<(), String> {
        let origin = self.config.origin_header.as_deref();
        let connecting = timeout(self.config.timings.connect, connect(&self.config.url, origin));
        let mut socket = tokio::select! {
            () = self.cancel.cancelled() => return Ok(()),
            connected = connecting => connected.map_err(|_| "does not answer")??,
        };
        tracing::info!(tracker = %self.host, "tracker connected");
        self.shared.roster().connected();
        self.shared.set_state(TrackerState::Connected);
        let began = now();
        let result = self.converse(&mut socket).await;
        if now() - began >= self.config.timings.lasting {
            self.failures = 0;
        }
        if result.is_ok() {
            let farewell = self.part(&mut socket);
            if timeout(self.config.timings.goodbye, farewell).await.is_err() {
                tracing::debug!(tracker = %self.host, "tracker left without its farewell");
            }
            self.shared.roster().disconnected(None);
            self.shared.set_state(TrackerState::Connecting);
        }
        result
    }

    /// Talks until cancelled, or no swarm has needed the tracker for a while, or it fails.
    async fn converse(&self, socket: &mut Socket) -> Result<(), String> {
        let Timings { ping, linger, .. } = self.config.timings;
        let (mut heard, mut pinged, mut idle_since) = (now(), now(), None);
        loop {
            let (messages, due, is_wanted) = {
                let mut roster = self.shared.roster();
                roster.ask(now());
                (roster.outgoing(), roster.due(), roster.is_wanted())
            };
            for message in messages {
                self.send(socket, Message::text(message.to_json())).await?;
            }
            let at = now();
            if is_wanted {
                idle_since = None;
            } else if at - *idle_since.get_or_insert(at) >= linger {
                return Ok(());
            }
            if at - heard >= ping * 3 {
                return Err("has gone silent".to_owned());
            }
            if at - pinged >= ping {
                pinged = at;
                self.send(socket, Message::Ping(Bytes::new())).await?;
            }
            let wake = [due, idle_since.map(|since: Instant| since + linger)];
            let wake = wake.into_iter().flatten().fold(pinged + ping, Instant::min);
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
                frame = socket.next() => {
                    heard = now();
                    self.receive(frame)?;
                }
            }
        }
    }

    fn receive(&self, frame: Option<Result<Message, Error>>) -> Result<(), String> {
        let text = match frame {
            None | Some(Ok(Message::Close(_))) => return Err("closed the connection".to_owned()),
            Some(Err(error)) => return Err(describe(&error)),
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) => return Ok(()),
        };
        match ServerMessage::from_json(text.as_str()) {
            Ok(ServerMessage::Warning { text }) => {
                tracing::debug!(tracker = %self.host, warning = %text, "tracker warns");
            }
            Ok(message) => {
                if let ServerMessage::Failure { reason, .. } = &message {
                    tracing::warn!(tracker = %self.host, %reason, "tracker refuses");
                }
                self.shared.roster().received(message);
            }
            Err(error) => {
                tracing::debug!(tracker = %self.host, %error, "tracker message ignored");
            }
        }
        Ok(())
    }

    async fn send(&self, socket: &mut Socket, message: Message) -> Result<(), String> {
        tokio::select! {
            // In this order: also what is sent at the very end, a departure most likely, is queued.
            biased;
            sent = timeout(self.config.timings.send, socket.send(message)) => match sent {
                Ok(sent) => sent.map_err(|error| describe(&error)),
                Err(_) => Err("takes no more messages".to_owned()),
            },
            // The message stays queued; what remains of the time is for the farewell.
            () = self.cancel.cancelled() => Ok(()),
        }
    }

    /// Tells the tracker that we left every swarm, and waits for it to close.
    async fn part(&self, socket: &mut Socket) {
        let farewells = self.shared.roster().farewells();
        for message in farewells {
            if socket.send(Message::text(message.to_json())).await.is_err() {
                return;
            }
        }
        if socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    }
}

/// Time as the runtime counts it, so that a test can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Between 0 and 1; the middle where the system has no randomness, which only costs the jitter.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

/// Host and port of an address: no path or query, which may hold a secret.
fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match host {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "invalid address".to_owned(),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn logs_name_a_tracker_by_its_host() {
        assert_eq!(host("wss://t.example:8000/announce/key?token=1"), "t.example:8000");
        assert_eq!(host("wss://user:pass@t.example/"), "t.example");
        assert_eq!(host("nonsense"), "invalid address");
    }
}

//! One connected peer: a task that reads what it says and one that writes to it.
//!
//! The reader is here, the writer in `writer`. What to say and whom to serve is the actor's word.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::writer::{Upload, UploadSlot, Writer};
use crate::ids::{PeerId, PeerKey};
use crate::metrics::Meter;
use crate::playlist::membership::WireIds;
use crate::rtc::{Link, MESSAGE_BYTES_MAX, Path};
use crate::swarm::wire::{self, Decoded, Decoder, Message, WireError};

/// Commands waiting to be written to one peer; a peer that lets more pile up is dropped.
const OUTBOX_MESSAGES_MAX: usize = 256;
/// A peer with so many malformed messages is dropped; a single one may be a defect of its program.
const MALFORMED_MAX: u32 = 32;
/// Bytes nobody asked for that are taken from a peer after each request: of one that was cancelled
/// there may be as much on its way as a connection holds.
const STRAY_BYTES_MAX: u64 = 64 << 20;
/// What a message counts for at least among them.
const STRAY_MESSAGE_BYTES: u64 = 1024;

/// What a peer did.
#[derive(Debug)]
pub enum LinkEvent {
    /// It sent a command.
    Heard(PeerKey, Message),
    /// It sent bytes of a segment.
    Payload(PeerKey, Bytes),
    /// What it sends is not the protocol; nothing more is read from it.
    Broken(PeerKey),
    /// An upload to it has ended.
    Served {
        /// The peer.
        peer: PeerKey,
        /// Its request.
        request: u64,
        /// Whether every byte was sent.
        is_complete: bool,
    },
    /// The connection is gone.
    Closed(PeerKey),
}

/// The actor's side of one connected peer.
pub struct PeerLink {
    /// The peer's own id.
    pub id: PeerId,
    /// What it calls segments.
    pub wire: WireIds,
    link: Arc<dyn Link>,
    outbox: mpsc::Sender<Bytes>,
    slot: Arc<UploadSlot>,
    traffic: Arc<Traffic>,
    cancel: CancellationToken,
}

/// What has gone both ways.
#[derive(Default)]
pub(super) struct Traffic {
    down_bytes: AtomicU64,
    pub(super) up_bytes: AtomicU64,
    /// When the request was sent that has no answer yet.
    asked: Mutex<Option<Instant>>,
    /// Shortest time from a request to its answer, in microseconds; 0 until there was one.
    rtt_us: AtomicU64,
    /// Bytes that nobody asked for, since the latest request.
    stray_bytes: AtomicU64,
}

/// What statistics say of a peer.
#[derive(Clone, Debug)]
pub struct PeerFigures {
    /// The peer's own id.
    pub id: PeerId,
    /// How it is reached.
    pub path: Path,
    /// Shortest time from a request to its answer so far.
    pub rtt: Option<Duration>,
    /// Segment bytes received from it.
    pub down_bytes: u64,
    /// Segment bytes sent to it.
    pub up_bytes: u64,
    /// Segments that it says it holds.
    pub segments_held: usize,
}

/// What the tasks of a link need from its stream.
#[derive(Clone)]
pub struct LinkContext {
    /// Where the events go. Bounded: a full queue holds this peer's reading up, and through the
    /// connection's flow control the peer.
    pub events: mpsc::Sender<LinkEvent>,
    /// Counts what is sent and received.
    pub meter: Meter,
    /// How fast peers are served.
    pub pace: Arc<Pace>,
    /// Whether a player needs the connection for itself.
    pub hurry: watch::Receiver<bool>,
    /// Spawns tasks that shutdown waits for.
    pub tasks: tokio_util::task::TaskTracker,
    /// Ends every link of the stream.
    pub cancel: CancellationToken,
}

impl PeerLink {
    /// Starts the two tasks of a connection that has just opened.
    pub fn start(
        key: PeerKey,
        id: PeerId,
        wire: WireIds,
        link: Arc<dyn Link>,
        context: &LinkContext,
    ) -> Self {
        let (outbox, commands) = mpsc::channel(OUTBOX_MESSAGES_MAX);
        let slot = Arc::<UploadSlot>::default();
        let traffic = Arc::<Traffic>::default();
        let cancel = context.cancel.child_token();
        context.tasks.spawn({
            let (link, context, cancel) = (link.clone(), context.clone(), cancel.clone());
            let traffic = traffic.clone();
            async move {
                cancel.run_until_cancelled(read(key, &*link, &context, &traffic)).await;
                cancel.cancel();
                link.close().await;
                // The actor may have gone first; then nobody needs to know.
                let _ = context.events.send(LinkEvent::Closed(key)).await;
            }
        });
        context.tasks.spawn({
            let (link, context, cancel) = (link.clone(), context.clone(), cancel.clone());
            let writer = Writer {
                key,
                link,
                commands,
                slot: slot.clone(),
                traffic: traffic.clone(),
                context,
            };
            async move {
                cancel.run_until_cancelled(writer.run()).await;
                cancel.cancel();
            }
        });
        Self { id, wire, link, outbox, slot, traffic, cancel }
    }

    /// Sends a command, unless the peer would not understand it; one that takes nothing any more
    /// is closed.
    pub fn say(&self, message: &Message) {
        if message.is_for_kin() && !self.id.is_kin() {
            return;
        }
        if matches!(message, Message::Request { .. } | Message::RequestPart { .. }) {
            self.traffic.ask();
        }
        for part in wire::encode(message, MESSAGE_BYTES_MAX) {
            if self.outbox.try_send(part.into()).is_err() {
                self.close();
                return;
            }
        }
    }

    /// Begins an upload, in place of one that is running.
    /// `total` is the size of the segment where a part of it was asked for.
    pub fn serve(&self, segment: u64, request: u64, rest: Bytes, total: Option<u64>) {
        let size = rest.len() as u64;
        let head = Some(match total {
            None => Message::Data { segment, size, request },
            Some(total) => Message::Part { segment, size, request, total },
        });
        self.slot.begin(Upload { segment, request, rest, head });
    }

    /// Ends the upload that answers `request`, if it is still running.
    pub fn stop_serving(&self, request: u64) {
        self.slot.end(request);
    }

    /// So many bytes came that nobody asked for; whether that is more than is taken.
    pub fn is_too_much(&self, bytes: u64) -> bool {
        let bytes = bytes.max(STRAY_MESSAGE_BYTES);
        let before = self.traffic.stray_bytes.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes) > STRAY_BYTES_MAX
    }

    /// Closes the connection; a `Closed` event follows.
    pub fn close(&self) {
        self.cancel.cancel();
    }

    /// Where the peer is, as far as that is known.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.link.remote()
    }

    /// For statistics.
    pub fn figures(&self, segments_held: usize) -> PeerFigures {
        PeerFigures {
            id: self.id,
            path: self.link.path(),
            rtt: self.traffic.rtt(),
            down_bytes: self.traffic.down_bytes.load(Ordering::Relaxed),
            up_bytes: self.traffic.up_bytes.load(Ordering::Relaxed),
            segments_held,
        }
    }
}

impl Traffic {
    fn ask(&self) {
        self.stray_bytes.store(0, Ordering::Relaxed);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn answered(&self) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(asked) = asked else { return };
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let known = self.rtt_us.load(Ordering::Relaxed);
        if known == 0 || took < known {
            self.rtt_us.store(took, Ordering::Relaxed);
        }
    }

    fn rtt(&self) -> Option<Duration> {
        let known = self.rtt_us.load(Ordering::Relaxed);
        (known > 0).then(|| Duration::from_micros(known))
    }
}

async fn read(key: PeerKey, link: &dyn Link, context: &LinkContext, traffic: &Traffic) {
    let mut decoder = Decoder::default();
    let mut malformed = 0;
    while let Some(message) = link.receive().await {
        let event = match decoder.decode(&message) {
            Decoded::Message(message) => {
                if matches!(message, Message::Data { .. } | Message::Part { .. }) {
                    traffic.answered();
                }
                LinkEvent::Heard(key, message)
            }
            Decoded::Payload => {
                let size = message.len() as u64;
                traffic.down_bytes.fetch_add(size, Ordering::Relaxed);
                LinkEvent::Payload(key, message)
            }
            Decoded::Partial => continue,
            Decoded::Ignored(error) => {
                tracing::debug!(peer = key.0, %error, "ignored a malformed message");
                malformed += weight(error);
                if malformed < MALFORMED_MAX {
                    continue;
                }
                // The actor closes the connection; until then nothing more of it is read.
                if context.events.send(LinkEvent::Broken(key)).await.is_ok() {
                    std::future::pending::<()>().await;
                }
                return;
            }
        };
        if context.events.send(event).await.is_err() {
            return;
        }
    }
}

/// How many malformed messages a message counts for.
fn weight(error: WireError) -> u32 {
    match error {
        // Others may know more commands than we do, and browsers that hold a whole block of 256
        // segments say so in a way that may not be understood.
        WireError::UnknownCommand(_) | WireError::EmptyGroup => 0,
        // No announcement is that long.
        WireError::TooLong => MALFORMED_MAX,
        // Sizes and ids that no file has.
        WireError::BadNumber => MALFORMED_MAX / 2,
        _ => 1,
    }
}

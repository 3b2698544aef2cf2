//! Writes to one peer: commands before payload, payload message by message, so that an announcement
//! never waits behind a segment.
//!
//! What to say and whom to serve is the actor's word; decided here is only when payload leaves, and
//! giving up on a peer that does not take what it asked for. Driven by `link`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::link::{LinkContext, LinkEvent, Traffic};
use crate::ids::PeerKey;
use crate::rtc::{Link, MESSAGE_BYTES_MAX};
use crate::swarm::wire::{self, Message};

/// An upload without progress for this long is given up, and the peer with it.
const UPLOAD_STALL: Duration = Duration::from_secs(10);
/// Longest that a message waits because a player of ours needs the connection: less than what
/// peers take for the end of an upload.
const HURRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A segment on its way to a peer.
pub(super) struct Upload {
    /// Wire id of the segment.
    pub segment: u64,
    /// The peer's request id.
    pub request: u64,
    /// Announces the bytes; taken when it is sent.
    pub head: Option<Message>,
    /// What is still to be sent.
    pub rest: Bytes,
}

/// What the writer sends next of an upload.
enum Piece {
    Head(Message),
    /// Payload, and the upload's end where this is the last.
    Payload(Bytes, Option<Message>),
}

/// What a peer is being sent, one segment at a time.
#[derive(Default)]
pub(super) struct UploadSlot {
    upload: Mutex<Option<Upload>>,
    changed: Notify,
}

impl UploadSlot {
    /// Begins an upload, in place of one that is running.
    pub fn begin(&self, upload: Upload) {
        *self.lock() = Some(upload);
        self.changed.notify_one();
    }

    /// Ends the upload that answers `request`, if it is still running.
    pub fn end(&self, request: u64) {
        let mut upload = self.lock();
        if upload.as_ref().is_some_and(|u| u.request == request) {
            *upload = None;
        }
    }

    /// Bytes of the payload message to be sent next, if that is what comes next.
    fn payload_size(&self) -> Option<usize> {
        let slot = self.lock();
        let upload = slot.as_ref().filter(|upload| upload.head.is_none())?;
        Some(upload.rest.len().min(MESSAGE_BYTES_MAX))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Upload>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to send next.
    fn next(&self) -> Option<Piece> {
        let mut slot = self.lock();
        let upload = slot.as_mut()?;
        if let Some(head) = upload.head.take() {
            return Some(Piece::Head(head));
        }
        let mut size = upload.rest.len().min(MESSAGE_BYTES_MAX);
        if wire::collides(&upload.rest[..size]) {
            size -= 1;
        }
        let payload = upload.rest.split_to(size);
        let mut end = None;
        if upload.rest.is_empty() {
            end = Some(Message::Completed { segment: upload.segment, request: upload.request });
            *slot = None;
        }
        Some(Piece::Payload(payload, end))
    }
}

/// The task that writes to a peer.
pub(super) struct Writer {
    pub key: PeerKey,
    pub link: Arc<dyn Link>,
    pub commands: mpsc::Receiver<Bytes>,
    pub slot: Arc<UploadSlot>,
    pub traffic: Arc<Traffic>,
    pub context: LinkContext,
}

impl Writer {
    /// Writes until the connection fails or stalls.
    pub async fn run(mut self) {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if !self.send(command).await {
                    return;
                }
            }
            if let Some(size) = self.slot.payload_size()
                && !self.wait_for_turn(size).await
            {
                return;
            }
            let piece = self.slot.next();
            let Some(piece) = piece else {
                tokio::select! {
                    command = self.commands.recv() => {
                        let Some(command) = command else { return };
                        if !self.send(command).await {
                            return;
                        }
                    }
                    () = self.slot.changed.notified() => {}
                }
                continue;
            };
            if !self.send_piece(piece).await {
                return;
            }
        }
    }

    /// Waits until payload may leave, writing commands meanwhile: uploads have their rate, and
    /// nearly stop while a player of ours needs the connection. Whether the peer still listens.
    async fn wait_for_turn(&mut self, size: usize) -> bool {
        let now = Instant::now();
        let paced = self.context.pace.reserve(now, size, self.link.is_near());
        let mut hurry = self.context.hurry.clone();
        let is_calm = async {
            // Without an actor there is nobody in a hurry.
            let calm = tokio::time::timeout(HURRY_PAUSE_MAX, hurry.wait_for(|hurry| !hurry));
            let _ = calm.await;
            tokio::time::sleep_until(paced).await;
        };
        tokio::pin!(is_calm);
        loop {
            let command = tokio::select! {
                biased;
                () = &mut is_calm => return true,
                command = self.commands.recv() => command,
            };
            let Some(command) = command else { return false };
            if !self.send(command).await {
                return false;
            }
        }
    }

    async fn send_piece(&self, piece: Piece) -> bool {
        let (payload, end) = match piece {
            Piece::Head(head) => return self.send_command(&head).await,
            Piece::Payload(payload, end) => (payload, end),
        };
        let size = payload.len() as u64;
        if !self.send(payload).await {
            return false;
        }
        self.traffic.up_bytes.fetch_add(size, Ordering::Relaxed);
        self.context.meter.add(|c| &c.upload_bytes, size);
        match end {
            Some(end) => self.finish(&end).await,
            None => true,
        }
    }

    async fn send_command(&self, command: &Message) -> bool {
        for part in wire::encode(command, MESSAGE_BYTES_MAX) {
            if !self.send(part.into()).await {
                return false;
            }
        }
        true
    }

    async fn finish(&self, end: &Message) -> bool {
        if !self.send_command(end).await {
            return false;
        }
        let Message::Completed { request, .. } = *end else { return true };
        let served = LinkEvent::Served { peer: self.key, request, is_complete: true };
        self.context.events.send(served).await.is_ok()
    }

    async fn send(&self, message: Bytes) -> bool {
        match tokio::time::timeout(UPLOAD_STALL, self.link.send(message)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(peer = self.key.0, %error, "a peer cannot be written to");
                false
            }
            Err(_) => {
                tracing::debug!(peer = self.key.0, "a peer takes nothing any more");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::super::link::PeerLink;
    use super::super::pace::Pace;
    use super::*;
    use crate::ids::PeerId;
    use crate::metrics::{Counters, Meter};
    use crate::rtc::Connector;
    use crate::rtc::memory::MemoryNet;

    /// The other end of a link that serves one segment of two messages, and how the link feels.
    async fn serving(pace: Pace, is_in_a_hurry: bool) -> (Arc<dyn Link>, watch::Sender<bool>) {
        let net = MemoryNet::new();
        let offer = net.offer().await.unwrap();
        let answer = net.answer(&offer.sdp).await.unwrap();
        offer.pending.accept(&answer.sdp).await.unwrap();
        let (ours, theirs) = tokio::join!(offer.pending.opened(), answer.pending.opened());
        let (events, mut heard) = mpsc::channel(8);
        let hurry = watch::Sender::new(is_in_a_hurry);
        let context = LinkContext {
            events,
            meter: Meter::of_daemon(Arc::<Counters>::default()),
            pace: Arc::new(pace),
            hurry: hurry.subscribe(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        let link = PeerLink::start(
            PeerKey(1),
            PeerId([0; 20]),
            Default::default(),
            ours.unwrap(),
            &context,
        );
        link.serve(4, 1, Bytes::from(vec![1; 2 * MESSAGE_BYTES_MAX]), None);
        tokio::spawn(async move {
            // Keeps the link, and takes what it tells.
            let _link = link;
            while heard.recv().await.is_some() {}
        });
        (theirs.unwrap(), hurry)
    }

    /// Milliseconds until each of the segment's messages, in virtual time.
    async fn times(link: &dyn Link) -> Vec<u128> {
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < 4 {
            link.receive().await.unwrap();
            times.push(began.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_segment_leaves_at_once_where_nothing_is_limited() {
        let (peer, _hurry) = serving(Pace::new(0, true), false).await;
        assert_eq!(times(&*peer).await, [0, 0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn payload_keeps_to_the_rate() {
        let rate = MESSAGE_BYTES_MAX as u64;
        let (peer, _hurry) = serving(Pace::new(rate, true), false).await;
        assert_eq!(times(&*peer).await, [0, 0, 800, 800]);
    }

    #[tokio::test(start_paused = true)]
    async fn payload_makes_room_for_our_own_player_but_never_ends() {
        let (peer, _hurry) = serving(Pace::new(0, true), true).await;
        assert_eq!(times(&*peer).await, [0, 1000, 2000, 2000]);
        let (peer, hurry) = serving(Pace::new(0, true), true).await;
        peer.receive().await.unwrap();
        hurry.send_replace(false);
        let began = Instant::now();
        peer.receive().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

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
    use crate::swarm::wire::Decoded;

    /// The other end of a link that serves one segment of two messages, and how the link feels.
    async fn serving(pace: Pace, is_in_a_hurry: bool) -> (Arc<dyn Link>, watch::Sender<bool>) {
        let (link, theirs, mut heard, hurry) = linked(pace, is_in_a_hurry).await;
        link.serve(4, 1, Bytes::from(vec![1; 2 * MESSAGE_BYTES_MAX]), None);
        tokio::spawn(async move {
            // Keeps the link, and takes what it tells.
            let _link = link;
            while heard.recv().await.is_some() {}
        });
        (theirs, hurry)
    }

    type Linked = (PeerLink, Arc<dyn Link>, mpsc::Receiver<LinkEvent>, watch::Sender<bool>);

    /// A link, its other end, what it tells the actor, and how it feels.
    async fn linked(pace: Pace, is_in_a_hurry: bool) -> Linked {
        let net = MemoryNet::new();
        let offer = net.offer().await.unwrap();
        let answer = net.answer(&offer.sdp).await.unwrap();
        offer.pending.accept(&answer.sdp).await.unwrap();
        let (ours, theirs) = tokio::join!(offer.pending.opened(), answer.pending.opened());
        let (events, heard) = mpsc::channel(8);
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
        (link, theirs.unwrap(), heard, hurry)
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

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_for_ten_seconds_is_dropped() {
        let (link, peer, mut heard, _hurry) = linked(Pace::new(0, true), false).await;
        link.serve(4, 1, Bytes::from(vec![1; 1000 * MESSAGE_BYTES_MAX]), None);
        let began = Instant::now();
        // It takes one message late, and nothing more: the time counts anew.
        tokio::time::sleep(Duration::from_secs(9)).await;
        peer.receive().await.unwrap();
        assert!(matches!(heard.recv().await, Some(LinkEvent::Closed(PeerKey(1)))));
        assert_eq!(began.elapsed().as_secs(), 19);
        while peer.receive().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_is_cancelled_ends_at_once_and_another_takes_its_place() {
        let (link, peer, _heard, _hurry) = linked(Pace::new(0, true), false).await;
        link.serve(4, 1, Bytes::from(vec![1; 1000 * MESSAGE_BYTES_MAX]), None);
        peer.receive().await.unwrap();
        link.stop_serving(1);
        link.serve(5, 2, Bytes::from_static(b"all"), None);
        let mut said = Vec::new();
        while said.len() < 3 {
            let message = peer.receive().await.unwrap();
            if message.len() < MESSAGE_BYTES_MAX {
                said.push(wire::Decoder::new().decode(&message));
            }
        }
        let head = Message::Data { segment: 5, size: 3, request: 2 };
        let end = Message::Completed { segment: 5, request: 2 };
        let expected = [Decoded::Message(head), Decoded::Payload, Decoded::Message(end)];
        assert_eq!(said, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_talks_nonsense_is_not_listened_to_for_long() {
        let first = |content: &[u8]| Bytes::from([b"cstr", content, b"dend"].concat());
        let whole = |content: &[u8]| Bytes::from([b"cstr", content, b"cend"].concat());
        let unknown = whole(&[99]);
        let cases = [
            (vec![unknown; 1000], None),
            (vec![whole(b"\x04"); 31], None),
            (vec![whole(b"\x00l\x10\x01\x01\x00"); 100], None),
            (vec![whole(b"\x04"); 32], Some(())),
            (vec![whole(b"\x01i\x00"); 2], Some(())),
            // Parts of a command that never ends.
            ([vec![first(&[0; 60_000])], vec![more(&[0; 60_000]); 17]].concat(), Some(())),
        ];
        for (messages, expected) in cases {
            let (_link, peer, mut heard, _hurry) = linked(Pace::new(0, true), false).await;
            let absent = whole(b"\x04i\x01\x01r\x01\x01");
            for message in messages.into_iter().chain([absent]) {
                let second = Duration::from_secs(1);
                tokio::time::timeout(second, peer.send(message)).await.unwrap().unwrap();
            }
            let event = heard.recv().await.unwrap();
            let is_broken = matches!(event, LinkEvent::Broken(PeerKey(1)));
            assert_eq!(is_broken.then_some(()), expected, "{event:?}");
        }
    }

    fn more(content: &[u8]) -> Bytes {
        Bytes::from([b"dstr", content, b"dend"].concat())
    }
}

//! A connection seen from outside: waiting for its data channel, then carrying messages.
//!
//! Implements `Pending` and `Link` over a [`Connection`], which `peer` makes and closes. Does not
//! look into messages beyond their length. Driven by the actor of a rendition.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::RTCSessionDescription;

use super::ice;
use super::peer::{Connection, Incoming};
use super::{Link, MESSAGE_BYTES_MAX, OPEN_TIMEOUT, Path, Pending, RtcError};

/// The data channel a connection will have.
pub(super) enum Channel {
    /// Made by us; ready when it says it is open. One that the peer opens is one too many.
    Ours(Arc<dyn DataChannel>),
    /// Made by the peer; ready when it arrives.
    Theirs(Incoming),
}

impl Channel {
    async fn open(self) -> Option<Arc<dyn DataChannel>> {
        match self {
            Self::Theirs(mut incoming) => incoming.channels.recv().await,
            Self::Ours(channel) => loop {
                match channel.poll().await? {
                    DataChannelEvent::OnOpen => return Some(channel),
                    DataChannelEvent::OnClose => return None,
                    _ => {}
                }
            },
        }
    }
}

pub(super) struct PeerPending {
    connection: Arc<Connection>,
    channel: Mutex<Option<Channel>>,
}

impl PeerPending {
    pub(super) fn boxed(connection: Connection, channel: Channel) -> Box<dyn Pending> {
        let connection = Arc::new(connection);
        Box::new(Self { connection, channel: Mutex::new(Some(channel)) })
    }
}

#[async_trait]
impl Pending for PeerPending {
    async fn accept(&self, answer_sdp: &str) -> Result<(), RtcError> {
        self.connection.hear(answer_sdp, RTCSessionDescription::answer).await
    }

    async fn opened(&self) -> Result<Arc<dyn Link>, RtcError> {
        let channel = self.channel.lock().await.take().ok_or(RtcError::Closed)?;
        let opened = tokio::select! {
            () = self.connection.gone.cancelled() => return Err(RtcError::Closed),
            opened = timeout(OPEN_TIMEOUT, channel.open()) => opened,
        };
        let channel = opened.map_err(|_| RtcError::TimedOut)?.ok_or(RtcError::Closed)?;
        let connection = Arc::clone(&self.connection);
        let (path, remote) = connection.route().await;
        Ok(Arc::new(PeerLink { channel, connection, path, remote }))
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

struct PeerLink {
    channel: Arc<dyn DataChannel>,
    connection: Arc<Connection>,
    path: Path,
    remote: Option<SocketAddr>,
}

#[async_trait]
impl Link for PeerLink {
    async fn send(&self, message: Bytes) -> Result<(), RtcError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(RtcError::TooLong(message.len()));
        }
        tokio::select! {
            biased;
            () = self.connection.gone.cancelled() => Err(RtcError::Closed),
            // Takes the buffer over where nobody else holds it, and copies it otherwise.
            sent = self.channel.send(BytesMut::from(message)) => {
                sent.map_err(|_| RtcError::Closed)
            }
        }
    }

    async fn receive(&self) -> Option<Bytes> {
        loop {
            // Events first: what arrived before the end is still delivered.
            let event = tokio::select! {
                biased;
                event = self.channel.poll() => event,
                () = self.connection.gone.cancelled() => None,
            };
            match event {
                Some(DataChannelEvent::OnMessage(message)) => {
                    if message.is_string {
                        continue;
                    }
                    if message.data.len() <= MESSAGE_BYTES_MAX {
                        return Some(message.data.freeze());
                    }
                }
                Some(DataChannelEvent::OnClose) | None => {}
                Some(_) => continue,
            }
            // Wakes a sender that waits for room.
            self.connection.gone.cancel();
            return None;
        }
    }

    fn path(&self) -> Path {
        self.path
    }

    fn is_near(&self) -> bool {
        self.remote.is_some_and(|remote| ice::is_local(remote.ip()))
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

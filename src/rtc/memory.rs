//! A test transport: the connector's contract without a network.
//!
//! For tests and simulations. Everything with the same [`MemoryNet`] can connect; "SDP" is a token
//! that means something only there. It has no delay, loss or bandwidth, and needs no runtime
//! beyond tokio's timer in [`Pending::opened`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Answer, Connector, Link, MESSAGE_BYTES_MAX, OPEN_TIMEOUT, Offer, Path, Pending, RtcError,
    SdpError,
};

/// Messages on their way in one direction of a link; a sender waits beyond that. With the longest
/// messages it is the 1 MiB of a real link.
pub const MESSAGES_IN_FLIGHT_MAX: usize = 16;

const OFFER: &str = "memory-offer-";
const ANSWER: &str = "memory-answer-";

/// A network in memory; clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNet {
    table: Arc<Mutex<Table>>,
}

/// Connections in the making; an entry lives no longer than the [`Pending`] that made it.
#[derive(Default)]
struct Table {
    last: u64,
    offers: BTreeMap<u64, oneshot::Sender<Arc<MemoryLink>>>,
    answers: BTreeMap<u64, Answered>,
}

/// An answer that waits for its offerer: what both sides get when it arrives.
struct Answered {
    offer: u64,
    to_offerer: (oneshot::Sender<Arc<MemoryLink>>, Arc<MemoryLink>),
    to_answerer: (oneshot::Sender<Arc<MemoryLink>>, Arc<MemoryLink>),
}

impl MemoryNet {
    /// A network of its own, without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers and answers that nobody has taken up or dropped.
    pub fn pending(&self) -> usize {
        let table = self.table();
        table.offers.len() + table.answers.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending_of(&self, id: u64, opened: oneshot::Receiver<Arc<MemoryLink>>) -> MemoryPending {
        MemoryPending {
            net: self.clone(),
            id,
            opened: Mutex::new(Some(opened)),
            closed: CancellationToken::new(),
            link_closed: OnceLock::new(),
        }
    }
}

#[async_trait]
impl Connector for MemoryNet {
    async fn offer(&self) -> Result<Offer, RtcError> {
        let (to_offerer, opened) = oneshot::channel();
        let mut table = self.table();
        table.last += 1;
        let id = table.last;
        table.offers.insert(id, to_offerer);
        drop(table);
        Ok(Offer { sdp: format!("{OFFER}{id}"), pending: Box::new(self.pending_of(id, opened)) })
    }

    async fn answer(&self, offer_sdp: &str) -> Result<Answer, RtcError> {
        let offer = id_in(offer_sdp, OFFER)?;
        let (to_answerer, opened) = oneshot::channel();
        let (offerer_end, answerer_end) = link_pair();
        let mut table = self.table();
        let to_offerer = table.offers.remove(&offer).ok_or(RtcError::Sdp(SdpError::Rejected))?;
        table.last += 1;
        let id = table.last;
        let answered = Answered {
            offer,
            to_offerer: (to_offerer, offerer_end),
            to_answerer: (to_answerer, answerer_end),
        };
        table.answers.insert(id, answered);
        drop(table);
        Ok(Answer { sdp: format!("{ANSWER}{id}"), pending: Box::new(self.pending_of(id, opened)) })
    }
}

struct MemoryPending {
    net: MemoryNet,
    id: u64,
    opened: Mutex<Option<oneshot::Receiver<Arc<MemoryLink>>>>,
    closed: CancellationToken,
    link_closed: OnceLock<CancellationToken>,
}

impl MemoryPending {
    fn forget(&self) {
        let mut table = self.net.table();
        let forgotten = (table.offers.remove(&self.id), table.answers.remove(&self.id));
        drop(table);
        drop(forgotten);
    }
}

#[async_trait]
impl Pending for MemoryPending {
    async fn accept(&self, answer_sdp: &str) -> Result<(), RtcError> {
        let id = id_in(answer_sdp, ANSWER)?;
        let mut table = self.net.table();
        if table.answers.get(&id).is_none_or(|answered| answered.offer != self.id) {
            return Err(RtcError::Sdp(SdpError::Rejected));
        }
        let answered = table.answers.remove(&id);
        drop(table);
        if let Some(Answered { to_offerer, to_answerer, .. }) = answered {
            // A side that is gone does not take its end; the end is dropped and closes the other.
            drop(to_offerer.0.send(to_offerer.1));
            drop(to_answerer.0.send(to_answerer.1));
        }
        Ok(())
    }

    async fn opened(&self) -> Result<Arc<dyn Link>, RtcError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opened = opened.ok_or(RtcError::Closed)?;
        let link = tokio::select! {
            () = self.closed.cancelled() => return Err(RtcError::Closed),
            link = tokio::time::timeout(OPEN_TIMEOUT, opened) => link,
        };
        let link = link.map_err(|_| RtcError::TimedOut)?.map_err(|_| RtcError::Closed)?;
        self.link_closed.get_or_init(|| link.closed.clone());
        Ok(link)
    }

    async fn close(&self) {
        self.closed.cancel();
        if let Some(link_closed) = self.link_closed.get() {
            link_closed.cancel();
        }
        self.forget();
    }
}

impl Drop for MemoryPending {
    fn drop(&mut self) {
        self.forget();
    }
}

/// One end of a link. Both ends share `closed`.
struct MemoryLink {
    outgoing: mpsc::Sender<Bytes>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Bytes>>,
    closed: CancellationToken,
    _closes: DropGuard,
}

fn link_pair() -> (Arc<MemoryLink>, Arc<MemoryLink>) {
    let closed = CancellationToken::new();
    let (to_a, from_b) = mpsc::channel(MESSAGES_IN_FLIGHT_MAX);
    let (to_b, from_a) = mpsc::channel(MESSAGES_IN_FLIGHT_MAX);
    let end = |outgoing, incoming| {
        Arc::new(MemoryLink {
            outgoing,
            incoming: tokio::sync::Mutex::new(incoming),
            _closes: closed.clone().drop_guard(),
            closed: closed.clone(),
        })
    };
    (end(to_b, from_b), end(to_a, from_a))
}

#[async_trait]
impl Link for MemoryLink {
    async fn send(&self, message: Bytes) -> Result<(), RtcError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(RtcError::TooLong(message.len()));
        }
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(RtcError::Closed),
            sent = self.outgoing.send(message) => sent.map_err(|_| RtcError::Closed),
        }
    }

    async fn receive(&self) -> Option<Bytes> {
        let mut incoming = self.incoming.lock().await;
        tokio::select! {
            biased;
            message = incoming.recv() => message,
            () = self.closed.cancelled() => None,
        }
    }

    fn path(&self) -> Path {
        Path::Host
    }

    fn is_near(&self) -> bool {
        true
    }

    fn remote(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) {
        self.closed.cancel();
    }
}

fn id_in(token: &str, kind: &str) -> Result<u64, RtcError> {
    let id = token.strip_prefix(kind).and_then(|id| id.parse().ok());
    id.ok_or(RtcError::Sdp(SdpError::NotSdp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn forgets_offers_and_answers_that_are_dropped() {
        let net = MemoryNet::new();
        let offer = net.offer().await.unwrap();
        let answer = net.answer(&offer.sdp).await.unwrap();
        assert_eq!(net.pending(), 1);
        drop(answer);
        assert_eq!(net.pending(), 0);
        assert_eq!(offer.pending.opened().await.err(), Some(RtcError::Closed));
        drop(net.offer().await.unwrap());
        assert_eq!(net.pending(), 0);
    }
}

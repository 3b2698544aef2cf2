//! Bodies of answers: held bytes, a segment that is arriving, or an origin's answer passed through.
//!
//! Counts what is handed to the player. No byte is copied between the buffer and the socket.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use crate::metrics::Meter;
use crate::origin::Healing;
use crate::stream::buffer::Reader;

/// The body of any answer. An error in it ends the connection: the player sees it was cut short.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes that are here.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    whole(Full::new(bytes.into()))
}

/// A body in one piece as any body.
pub fn whole(body: Full<Bytes>) -> Body {
    body.map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// No bytes.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A segment as it arrives: what remains after `skip` bytes, at most `left` of it.
/// What is no larger than `finished_max` comes to its end also when only a part is wanted.
pub fn arriving(
    reader: Reader,
    skip: u64,
    left: Option<u64>,
    finished_max: u64,
    meter: Meter,
) -> Body {
    let left = left.unwrap_or(u64::MAX);
    let place = Place { reader: Some(reader), skip, left, finished_max, meter };
    boxed(stream::try_unfold(place, |mut place| async move {
        let bytes = place.next().await?;
        Ok(bytes.map(|bytes| (Frame::data(bytes), place)))
    }))
}

/// An origin's answer as it comes.
pub fn passing(answer: Healing, meter: Meter) -> Body {
    boxed(stream::try_unfold((answer, meter), |(mut answer, meter)| async move {
        let bytes = match answer.chunk().await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "an answer could not be passed on whole");
                return Err(cut(error).await);
            }
        };
        Ok(bytes.map(|bytes| {
            let size = bytes.len() as u64;
            meter.add(|c| &c.origin_bytes, size);
            meter.add(|c| &c.served_bytes, size);
            (Frame::data(bytes), (answer, meter))
        }))
    }))
}

struct Place {
    reader: Option<Reader>,
    skip: u64,
    left: u64,
    finished_max: u64,
    meter: Meter,
}

impl Place {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while let Some(reader) = &mut self.reader {
            let mut bytes = match reader.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(None),
                Err(failure) => return Err(cut(failure.to_string()).await),
            };
            let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            drop(bytes.split_to(skipped));
            self.skip -= skipped as u64;
            bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= bytes.len() as u64;
            // Nobody asks again after the last byte.
            if let Some(reader) = self.reader.take_if(|_| self.left == 0) {
                reader.leave_to_others(self.finished_max);
            }
            if !bytes.is_empty() {
                self.meter.add(|c| &c.served_bytes, bytes.len() as u64);
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// The error that ends a body early. The server throws away what it has not sent when it hears of
/// one, so it gets a turn to send first: the player is to have every byte that came.
async fn cut(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other(error)
}

fn boxed(stream: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static) -> Body {
    let pinned: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(stream);
    BodyExt::boxed_unsync(StreamBody::new(pinned))
}

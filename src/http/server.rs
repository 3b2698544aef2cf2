//! The HTTP server: accepts connections, one task each, until shutdown.
//!
//! Knows sockets and their limits; what a request means is `answer`'s.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Front, answer};

/// Connections of players at the same time; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 512;
/// Longest a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields in a request.
const HEADERS_MAX: usize = 100;

/// How long a connection that has asked nothing yet is kept when draining, since a request may be
/// on its way; hyper would close it at once.
const UNASKED_MAX: Duration = Duration::from_millis(250);

/// When connections end, and who waits for them.
#[derive(Clone)]
pub struct Life {
    /// Connections that may finish what they are answering.
    pub players: TaskTracker,
    /// Connections that came while draining: they are told so, and nobody waits for them.
    pub late: TaskTracker,
    /// Ends connections that are idle, and others once they have answered.
    pub draining: CancellationToken,
    /// Ends accepting.
    pub closing: CancellationToken,
}

/// Serves until `closing`.
pub async fn serve(listener: TcpListener, front: Arc<Front>, life: Life) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some(accepted) = life.closing.run_until_cancelled(accept(&listener, &room)).await
        else {
            return;
        };
        let Some((stream, permit)) = accepted else { continue };
        let (tasks, cancel) = if life.draining.is_cancelled() {
            (&life.late, life.closing.clone())
        } else {
            (&life.players, life.draining.clone())
        };
        let front = front.clone();
        tasks.spawn(async move {
            connection(stream, front, cancel).await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            // Out of file descriptors, most likely: others must close first.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, front: Arc<Front>, cancel: CancellationToken) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    // Without it the end of a segment waits for the player's acknowledgement.
    let _ = stream.set_nodelay(true);
    let has_asked = Arc::<AtomicBool>::default();
    let asks = has_asked.clone();
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        let front = front.clone();
        async move { Ok::<_, Infallible>(answer(front, request, local, remote).await) }
    });
    // Never `pipeline_flush`: with it hyper takes bodies without limit from whoever reads slowly.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            let is_unasked = !has_asked.load(Ordering::Relaxed);
            let patience = if is_unasked { UNASKED_MAX } else { Duration::ZERO };
            match timeout(patience, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a player's connection has ended early");
    }
}

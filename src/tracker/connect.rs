//! Opens the WebSocket to a tracker, with TLS for `wss:`.
//!
//! It neither retries nor limits time; [`super::session`] does. What went wrong is said without
//! the address, which may hold a secret.

use super::message::MESSAGE_BYTES_MAX;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::ORIGIN};
use tokio_tungstenite::tungstenite::{Error, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Longest message taken off the socket as a client. Some trackers relay what any member sends, so
/// that one above [`MESSAGE_BYTES_MAX`] is read and passed over: ending the connection for it would
/// let a stranger keep us off the tracker.
const RELAYED_BYTES_MAX: usize = 16 * MESSAGE_BYTES_MAX;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and upgrades.
pub(super) async fn connect(url: &str, origin: Option<&str>) -> Result<Socket, String> {
    let mut request = url.into_client_request().map_err(|error| describe(&error))?;
    if let Some(origin) = origin {
        let value = HeaderValue::from_str(origin).map_err(|_| "unusable Origin header")?;
        request.headers_mut().insert(ORIGIN, value);
    }
    let connector = if request.uri().scheme_str() == Some("wss") {
        let config = tokio::task::spawn_blocking(tls_config).await;
        Connector::Rustls(config.map_err(|_| "reading certificates failed")??)
    } else {
        Connector::Plain
    };
    let (config, connector) = (Some(socket_config(RELAYED_BYTES_MAX)), Some(connector));
    let connecting =
        tokio_tungstenite::connect_async_tls_with_config(request, config, true, connector);
    match connecting.await {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(describe(&error)),
    }
}

/// Limits of either end's socket, which reads messages of up to `message_bytes_max`.
pub(super) fn socket_config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
        .read_buffer_size(16 << 10)
        .max_write_buffer_size(16 * MESSAGE_BYTES_MAX)
}

/// The error in words that hold nothing of the address or of a message.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Http(response) => format!("answered {}", response.status()),
        Error::Tls(_) => "TLS failed".to_owned(),
        Error::Url(_) | Error::HttpFormat(_) => "not a tracker address".to_owned(),
        Error::Capacity(_) => "sent a message that is too long".to_owned(),
        Error::ConnectionClosed | Error::AlreadyClosed => "closed the connection".to_owned(),
        _ => "does not speak WebSocket".to_owned(),
    }
}

fn tls_config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("no certificate roots on this system".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

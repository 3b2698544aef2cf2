//! The local HTTP front: what players, people and scripts talk to.
//!
//! The files named PURE decide (which route, who may come in, which range, which headers); the
//! others answer. Nothing here knows where a segment's bytes come from.

pub mod answer;
mod assets;
pub mod body;
mod cookies;
mod decode;
pub mod delay;
mod detour;
mod directives;
pub mod error;
mod freshness;
pub mod guard;
pub mod headers;
mod held;
mod part;
pub mod peertube;
mod play;
mod playlist;
mod proxy;
pub mod range;
mod reload;
pub mod route;
pub mod seat;
mod segment;
pub mod server;
pub mod session;
mod sniff;
pub mod status;
pub mod steering;
mod user_info;

use ::http::{HeaderMap, HeaderValue};

/// Says where an answer came from (`Cache-Status`, RFC 9211).
fn cache_status(headers: &mut HeaderMap, value: &'static str) {
    headers.insert("cache-status", HeaderValue::from_static(value));
}

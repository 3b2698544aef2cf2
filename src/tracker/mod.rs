//! WebTorrent trackers, which introduce peers to each other: JSON over WebSocket.
//!
//! [`session`] is the client, one connection per tracker shared by every swarm; [`server`] is the
//! tracker built into this program. Neither knows WebRTC: session descriptions pass through as
//! opaque text and are never logged.

mod connect;
pub mod message;
pub mod relay;
mod roster;
pub mod server;
pub mod session;
mod timings;

#[cfg(test)]
mod tests;

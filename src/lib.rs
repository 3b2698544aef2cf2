//! hlswarm makes any unmodified HLS player a member of a peer-to-peer swarm.

pub mod cache;
pub mod config;
pub mod http;
pub mod ids;
pub mod metrics;
pub mod origin;
pub mod playlist;
pub mod redact;
pub mod rtc;
pub mod stream;
pub mod swarm;
pub mod tracker;

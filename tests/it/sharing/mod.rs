//! Whole daemons over loopback: what players get, from whom, and what happens when a part fails.
//!
//! Every byte that a player gets is compared with the origin's. Nothing here sleeps for luck: what
//! is waited for is a request at the origin, a gate, or a figure of the daemon, with a deadline.

mod caching;
pub mod channel;
mod delay;
mod ending;
mod fallback;
mod kinds;
mod live;
pub mod signalling;
mod swarming;
pub mod test_peer;
mod trouble;
mod upload;
pub mod world;

//! hlswarm makes any unmodified HLS player a member of a peer-to-peer swarm.
//!
//! # Bird's eye
//!
//! A player opens `http://127.0.0.1:4570/https/cdn.example.com/live/master.m3u8`. The daemon
//! rewrites playlists so that every URI leads back to it, and answers each segment from memory,
//! from peers over WebRTC data channels, or from the origin: whichever brings it in time. It
//! speaks p2p-media-loader's wire protocol and meets peers through WebTorrent trackers.
//!
//! A pure core decides; shells wrap one outside thing each. One actor per rendition being played
//! owns one [`swarm::Swarm`] and is the only place where core meets shells. [`daemon`] composes,
//! `main` turns results into exit codes.
//!
//! # Code map
//!
//! | module | what it is |
//! | --- | --- |
//! | [`ids`] | newtypes shared by all layers |
//! | [`playlist`] | pure: URIs found and rewritten in place, timelines, identities, the URL codec |
//! | [`swarm`] | pure: who brings which segment when, whom to serve; the wire codec |
//! | [`verify`] | pure: how it is proved that what peers send is the origin's |
//! | [`stream`] | a rendition's actor, buffers that players read from, the registry of streams |
//! | [`cache`] | whole segments in memory, least recently used out first |
//! | [`origin`] | the upstream HTTP server: redirects, retries, resuming (alone uses reqwest) |
//! | [`rtc`] | connections to peers behind a trait, an in-memory twin (alone uses webrtc) |
//! | [`tracker`] | the WebTorrent tracker client and the built-in tracker |
//! | [`http`] | the front door, routes, playlists, segments, statistics |
//! | [`peertube`] | pure: links to videos of PeerTube, and what its API says of them |
//! | [`config`], [`cli`], [`run`], [`shutdown`] | settings, command line, commands, signals |
//! | [`seed`] | keeps films and live windows in the cache and in their swarms, without a player |
//! | [`demo`] | origin, tracker and viewers on one machine |
//! | [`metrics`], [`redact`] | counters; URLs as they may be shown |
//!
//! # The life of a segment request
//!
//! 1. `http::segment` finds the stream and segment of the URL ([`stream::Registry`]).
//! 2. [`stream::StreamHandle::open`]: held in the cache, that is all.
//! 3. Else the actor tells its [`swarm::Swarm`] of the demand; it answers with an origin fetch or
//!    a request to a peer, or waits because somebody else is already loading it.
//! 4. Bytes arrive into one [`stream::buffer::SegmentBuffer`], from the download task or from a
//!    peer's data channel. What has arrived is kept when the source changes.
//! 5. The buffer wakes its readers: a player gets the origin's bytes before the segment is
//!    complete, a peer's once they were proved.
//!
//! A part of a low-latency segment goes past the actor (`stream::part`): held, or fetched at once
//! for all who ask. A playlist request is shorter still: held or fetched once for all who wait,
//! checked, taught to the registry, rewritten for each player.
//!
//! # Invariants, as absences
//!
//! - The core has no clock, socket, task, media byte or randomness of its own: time comes in as an
//!   argument, randomness as a seed. `tests/sim` drives the same code in virtual time.
//! - No message of the wire codec can carry a playlist, a key, a part or a URL. Keys, playlists and
//!   init sections never enter the cache or a swarm: only segments of a timeline have ids.
//! - Nobody waits for a whole segment of the origin; nobody gets a peer's bytes unproved.
//! - No second request to the origin for a segment under way: one opener per segment.
//! - No bytes are shared between two sets of credentials.
//! - No query value, cookie, authorization or session description is logged or shown.
//! - No lock is held across an await; no channel is unbounded; no limit is without a name.
//! - A peer can slow a request, never fail it.
//!
//! # Memory
//!
//! Segments take at most `cache.bytes_max` + `cache.in_flight_bytes_max`, and 4 MiB for each
//! segment that is relayed because it is too large to keep. What a peer is sending is held back
//! until it is proved whole, so each connected peer may add one segment
//! (`cache.segment_bytes_max`) and 16 MiB of unread messages. A playlist is at most 10 MiB, and
//! 40 MiB when rewritten; the models read from it come on top for as long as it is read.

pub mod cache;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod http;
pub mod ids;
pub mod metrics;
pub mod origin;
pub mod peertube;
pub mod playlist;
pub mod redact;
pub mod rtc;
pub mod run;
pub mod seed;
pub mod shutdown;
pub mod stream;
pub mod swarm;
pub mod tracker;
pub mod verify;

//! Integration tests over real loopback sockets, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../ll_origin/mod.rs"]
#[expect(dead_code, reason = "real media, and a clock, are for players")]
mod ll_origin;
mod origin;
mod origin_fetch;
mod resource;
mod seeding;
mod sharing;
mod verifying;

mod ask;
mod bad_input;
mod command_line;
mod front_door;
mod memberships;
mod odd_clients;
mod oversize;
mod play;
mod program;
mod secrets;
mod signals;
mod status_api;
mod variables;

mod delivery;
mod origin_kinds;
mod origin_patience;
mod origin_proxy;
mod peertube;

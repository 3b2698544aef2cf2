//! Videos of PeerTube: a stand-in for an instance, written after its public API, and what daemons
//! make of the links to its videos.

mod instance;
mod playing;
mod proving;
mod refusals;
mod sharing;
mod tracker;
mod video;

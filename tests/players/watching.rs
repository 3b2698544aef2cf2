//! Every player watches every kind of stream through a daemon that has a second one beside it.
//!
//! The second daemon has a viewer too: of a stream on demand it has seen the part in question
//! before, of a live stream it sees the same moment.

use std::path::Path;
use std::time::Duration;

use crate::page::{HLS_JS, PageServer};
use crate::players::{Player, Seat, decoder};
use crate::process::{Process, eventually, have};
use crate::streams::{self, LiveKind};
use crate::world::{Daemon, TrackerKind, World};

/// Media seconds each player has to show of each stream.
const WATCH_S: u32 = 6;

/// How long a viewer may take that reads a whole stream on demand.
const COMPANION_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn ffmpeg_plays_every_kind_of_stream() {
    watch_all(Player::Ffmpeg);
}

#[test]
fn mpv_plays_every_kind_of_stream() {
    watch_all(Player::Mpv);
}

#[test]
fn vlc_plays_every_kind_of_stream() {
    watch_all(Player::Vlc);
}

#[test]
fn hls_js_plays_every_kind_of_stream() {
    watch_all(Player::HlsJs);
}

fn watch_all(player: Player) {
    let mut tools = vec!["nginx", "ffmpeg"];
    tools.extend(player.tools());
    let hls_js = Path::new(env!("CARGO_MANIFEST_DIR")).join(HLS_JS);
    if player == Player::HlsJs {
        tools.push(hls_js.to_str().unwrap());
    }
    if !have(&tools) {
        return;
    }
    let pages = PageServer::start();
    let mut world = World::new(TrackerKind::Ours);
    world.page_origin = Some(pages.origin());
    world.origin.publish("vod", streams::on_demand());
    let (first, second) = (world.daemon("first"), world.daemon("second"));
    let seat = Seat { directory: world.directory(), pages: &pages };

    for path in ["multi/master.m3u8", "fmp4/index.m3u8", "byterange/index.m3u8", "aes/index.m3u8"] {
        let url = world.origin.url(&format!("vod/{path}"));
        let mut companion = companion(&world, &first, &url);
        eventually("the first viewer is done", COMPANION_LIMIT, || companion.ended());
        player.watch(&second.url(&url), WATCH_S, &seat, path);
    }
    for kind in [LiveKind::Ts, LiveKind::Fmp4] {
        let _packager = streams::live(&world, kind);
        let url = world.origin.url(kind.path());
        let _companion = companion(&world, &first, &url);
        player.watch(&second.url(&url), WATCH_S, &seat, kind.path());
    }
    assert!(second.total("peer_bytes") > 0, "the second daemon took nothing from the first");
}

/// A viewer at `daemon` that decodes as fast as the stream comes.
fn companion(world: &World, daemon: &Daemon, url: &str) -> Process {
    let progress = world.directory().join("companion-progress");
    let mut command = decoder(&daemon.url(url), None, &progress);
    Process::start("companion", world.directory(), &mut command)
}

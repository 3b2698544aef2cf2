//! Kodi, with each of its two HLS implementations, plays through a daemon what it plays directly.

use std::time::Duration;

use crate::kodi::{Kodi, Observed, Reader, TOOLS, Watch};
use crate::process::have;
use crate::streams::{self, LiveKind, SEGMENT_S, VOD_SEGMENTS};
use crate::world::{TrackerKind, World};

/// Media seconds shown of a stream's beginning, and of its end: more than its last segment.
const WATCH_S: u32 = 2;
const LAST_S: u32 = 5;
/// How long one stream may take, starting and a slow machine included.
const LIMIT: Duration = Duration::from_secs(60);
/// How far before the end the playhead may be seen last: it is told in steps.
const STEP_S: f64 = 1.5;

#[test]
fn kodi_plays_every_kind_of_stream_as_it_does_directly() {
    let Some((world, mut kodi)) = set_up() else { return };
    let daemon = world.daemon("daemon");
    let length_s = f64::from(SEGMENT_S) * VOD_SEGMENTS as f64;
    for reader in [Reader::BuiltIn, Reader::Adaptive] {
        for path in ["multi/master", "fmp4/index", "byterange/index", "aes/index"] {
            let what = format!("{path} with {reader:?}");
            let url = world.origin.url(&format!("vod/{path}.m3u8"));
            let direct = kodi.play(&url, reader, Watch::Some(1), LIMIT);
            // Kodi's FFmpeg ends where a skip in an fMP4 stream leads to, whoever serves it.
            let is_whole = reader == Reader::Adaptive || !path.starts_with("fmp4");
            let watch = if is_whole { Watch::Ends(WATCH_S, LAST_S) } else { Watch::Some(WATCH_S) };
            let through = kodi.play(&daemon.url(&url), reader, watch, LIMIT);
            assert!(direct.is_played() && through.is_played(), "{what}: {direct:?} {through:?}");
            assert_eq!(seen(&through), seen(&direct), "{what}");
            assert!((through.duration_s - length_s).abs() <= 1.0, "{what}: {through:?}");
            assert_eq!(through.is_at_end, is_whole, "{what}: {through:?}");
            let is_there = through.playhead_s >= length_s - STEP_S;
            assert!(is_there || !is_whole, "{what}: {through:?}");
        }
    }
}

#[test]
fn kodi_plays_a_live_stream_and_goes_on_after_one_that_is_not_there() {
    let Some((world, mut kodi)) = set_up() else { return };
    let daemon = world.daemon("daemon");
    let _packager = streams::live(&world, LiveKind::Ts);
    for reader in [Reader::BuiltIn, Reader::Adaptive] {
        let nothing = daemon.url(&world.origin.url("vod/nothing.m3u8"));
        let seen = kodi.play(&nothing, reader, Watch::Whole, LIMIT);
        assert!(!seen.is_played(), "{reader:?}: {seen:?}");
        let url = daemon.url(&world.origin.url(LiveKind::Ts.path()));
        let live = kodi.play(&url, reader, Watch::Some(3 * WATCH_S), LIMIT);
        assert!(live.shown_s >= f64::from(3 * WATCH_S), "{reader:?}: {live:?}");
    }
}

fn set_up() -> Option<(World, Kodi)> {
    if !have(&[&["nginx", "ffmpeg"], &TOOLS[..]].concat()) {
        return None;
    }
    let world = World::new(TrackerKind::Ours);
    world.origin.publish("vod", streams::on_demand());
    let kodi = Kodi::start(world.directory());
    Some((world, kodi))
}

/// What must not depend on whether the daemon is in between.
fn seen(observed: &Observed) -> (f64, &[String]) {
    (observed.duration_s, &observed.streams)
}

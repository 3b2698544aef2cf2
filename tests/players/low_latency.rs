//! Real players of a low-latency stream, which an origin in this process publishes part by part.
//!
//! How soon parts come through is not judged by a clock here: `tests/it` shows it by the order of
//! events. What counts is that every player plays, and that parts are fetched once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::get;
use crate::ll_origin::{Addressing, LlOrigin, Media, Plan};
use crate::page::{HLS_JS, PageServer};
use crate::players::{Player, Seat};
use crate::process::{eventually, have};
use crate::world::{TrackerKind, World};

/// Media seconds each player has to show.
const WATCH_S: u32 = 8;
/// Of the media in all: longer than the slowest player takes.
const MEDIA_S: u32 = 120;
/// Parts of a segment, and how long each plays: what the media is made with.
const PARTS: usize = 5;
const PART_S: f64 = 0.4;
/// Longest wait for requests to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Segments that are there when a player comes.
const SEGMENTS_BEFORE: usize = 6;

#[test]
fn native_players_play_a_low_latency_stream() {
    for player in [Player::Ffmpeg, Player::Mpv, Player::Vlc] {
        watch(player, Addressing::Names);
    }
}

#[test]
fn hls_js_plays_a_low_latency_stream_by_its_parts() {
    for addressing in [Addressing::Names, Addressing::Ranges] {
        let Some(asked) = watch(Player::HlsJs, addressing) else { return };
        let is_part = |line: &&String| match addressing {
            Addressing::Ranges => line.contains(" bytes="),
            _ => line.split('.').count() == 3,
        };
        let parts: Vec<_> = asked.iter().filter(is_part).collect();
        assert!(parts.len() > 5, "{addressing:?}: {asked:?}");
        assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "{asked:?}");
    }
}

/// Prints how long a part takes from its making to a player that waits for it, directly and through
/// a daemon. Nothing is asserted: `tests/it` shows that no part is late by a whole one.
#[test]
fn the_latency_of_parts_is_told() {
    if !have(&["nginx"]) {
        return;
    }
    let world = World::new(TrackerKind::Ours);
    let daemon = world.daemon("latency");
    let origin = LlOrigin::start(Plan::new(Media::invented(20, PARTS, PART_S), Addressing::Names));
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for number in 0..19 * PARTS {
        let name = origin.plan().part_name(number / PARTS, number % PARTS);
        let url = origin.url(&format!("/a/{name}"));
        assert_eq!(get(&daemon.url(&origin.url("/a/live.m3u8"))).unwrap().status, 200);
        let waiting = [url.clone(), daemon.url(&url)].map(|url| {
            thread::spawn(move || {
                assert_eq!(get(&url).unwrap().status, 200, "{url}");
                Instant::now()
            })
        });
        eventually("both wait", PATIENCE, || {
            (origin.count(&format!("/a/{name}")) == 2).then_some(())
        });
        let made = Instant::now();
        origin.publish();
        let [bare, ours] = waiting.map(|player| player.join().unwrap() - made);
        direct.push(bare);
        through.push(ours);
    }
    let [direct, through] = [direct, through].map(|mut took| {
        took.sort();
        took[took.len() / 2]
    });
    println!("part latency, median: {direct:?} directly, {through:?} through the daemon");
}

/// What the origin was asked for while a player watched; `None` where its tools are missing.
fn watch(player: Player, addressing: Addressing) -> Option<Vec<String>> {
    let mut tools = vec!["nginx", "ffmpeg"];
    tools.extend(player.tools());
    let hls_js = Path::new(env!("CARGO_MANIFEST_DIR")).join(HLS_JS);
    if player == Player::HlsJs {
        tools.push(hls_js.to_str().unwrap());
    }
    if !have(&tools) {
        return None;
    }
    let pages = PageServer::start();
    let mut world = World::new(TrackerKind::Ours);
    world.page_origin = Some(pages.origin());
    let daemon = world.daemon("low-latency");
    let origin = LlOrigin::start(Plan::new(media(world.directory()), addressing));
    origin.publish_many(SEGMENTS_BEFORE * PARTS);
    origin.run();
    let seat = Seat { directory: world.directory(), pages: &pages };
    let name = format!("a low-latency stream, {addressing:?}");
    player.watch(&daemon.url(&origin.url("/master.m3u8")), WATCH_S, &seat, &name);
    Some(origin.requests())
}

/// Fragments of [`PART_S`] with a key frame in every [`PARTS`]th.
pub fn media(directory: &Path) -> Media {
    let file = directory.join("parts.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-y"]);
    for source in ["testsrc2=size=320x180:rate=25", "sine=frequency=330:sample_rate=48000"] {
        command.args(["-f", "lavfi", "-i", source]);
    }
    command.args(["-t", &MEDIA_S.to_string(), "-c:v", "libx264", "-preset", "ultrafast"]);
    command.args(["-pix_fmt", "yuv420p", "-profile:v", "baseline", "-b:v", "300k", "-bf", "0"]);
    command.args(["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-flags", "+cgop"]);
    command.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1", "-frag_duration", "400000"]);
    command.args(["-movflags", "+empty_moov+default_base_moof+frag_keyframe", "-f", "mp4"]);
    assert!(command.arg(&file).status().unwrap().success(), "ffmpeg");
    Media::cut(&fs::read(file).unwrap(), PARTS, PART_S)
}

//! What a second viewer costs the origin, and whether every byte is the origin's.

use std::fs;
use std::time::Duration;

use crate::process::{eventually, have};
use crate::streams::{self, LiveKind, VOD_SEGMENTS};
use crate::world::{AQUATIC, Daemon, TrackerKind, World, expect, segments_of};

/// How long two daemons may take to find each other.
pub const MEET_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_second_viewer_is_served_by_the_first() {
    if have(&["nginx", "ffmpeg"]) {
        second_viewer(TrackerKind::Ours);
    }
}

#[test]
fn viewers_meet_at_the_reference_tracker_too() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/target/players/node_modules");
    let package = format!("{root}/bittorrent-tracker");
    if have(&["nginx", "ffmpeg", "node", &package]) {
        second_viewer(TrackerKind::Npm);
    }
}

#[test]
fn viewers_meet_at_a_tracker_of_thousands_too() {
    if have(&["nginx", "ffmpeg", AQUATIC]) {
        second_viewer(TrackerKind::Aquatic);
    }
}

#[test]
fn two_live_viewers_get_the_origins_bytes() {
    if !have(&["nginx", "ffmpeg"]) {
        return;
    }
    let world = World::new(TrackerKind::Ours);
    let _packager = streams::live(&world, LiveKind::Ts);
    let playlist = world.origin.url(LiveKind::Ts.path());
    let viewers = [world.daemon("first"), world.daemon("second")];
    let mut seen = [Vec::new(), Vec::new()];
    eventually("both viewers have seen eight segments", Duration::from_secs(90), || {
        for (viewer, seen) in viewers.iter().zip(&mut seen) {
            for segment in segments_of(viewer, &playlist) {
                let url = viewer.origin_url(&segment);
                if !seen.contains(&url) {
                    assert_origins_bytes(&world, viewer, &segment);
                    seen.push(url);
                }
            }
        }
        seen.iter().all(|seen| seen.len() >= 8).then_some(())
    });
    let shared: u64 = viewers.iter().map(|viewer| viewer.total("peer_bytes")).sum();
    assert!(shared > 0, "neither viewer took anything from the other");
}

fn second_viewer(tracker: TrackerKind) {
    let world = World::new(tracker);
    world.origin.publish("vod", streams::on_demand());
    let playlist = world.origin.url("vod/fmp4/index.m3u8");

    let first = world.daemon("first");
    let segments = segments_of(&first, &playlist);
    assert_eq!(segments.len(), VOD_SEGMENTS);
    let sizes = segments.iter().map(|url| assert_origins_bytes(&world, &first, url).0);
    let sizes: Vec<_> = sizes.collect();
    let (total, largest) = (sizes.iter().sum::<usize>(), *sizes.iter().max().unwrap());

    let second = world.daemon("second");
    let segments = segments_of(&second, &playlist);
    meet(&second);
    let before = segment_bytes(&world);
    let answers = segments.iter().map(|url| assert_origins_bytes(&world, &second, url));
    let is_shared = |(_, source): &(usize, String)| FROM_PEERS.contains(&source.as_str());
    let by_answer: usize = answers.filter(is_shared).map(|(size, _)| size).sum();
    let from_origin = segment_bytes(&world) - before;

    let enough = |bytes: u64| bytes as f64 >= 0.95 * total as f64;
    let by_total = second.total("peer_bytes");
    assert!(enough(by_total), "statistics: {by_total} of {total} bytes came from the peer");
    assert!(enough(by_answer as u64), "answers: {by_answer} of {total} bytes came from the peer");
    let saved = (total as u64).saturating_sub(from_origin);
    // Of a stranger's first segments one in 64 is compared whole, and it may be one of these.
    assert!(
        enough(saved + largest as u64),
        "the origin's log: it sent {from_origin} of {total} bytes again"
    );
    assert_eq!(second.total("rejected_segments"), 0);
}

/// What `Cache-Status` says of a segment that a peer sent: when it was asked for, or before.
const FROM_PEERS: [&str; 2] = ["hlswarm; fwd=miss; detail=peers", "hlswarm; hit; detail=peers"];

/// Waits until `daemon`, whose stream has been opened, is connected to a peer that has something.
pub fn meet(daemon: &Daemon) {
    let giving = || {
        let stats = daemon.stats();
        let peers = stats["peers"].as_array()?;
        peers.iter().any(|peer| peer["segments_held"].as_u64() > Some(0)).then_some(())
    };
    eventually("a peer that has something is found", MEET_LIMIT, giving);
}

/// Gets a segment through a daemon and compares it with the origin's file. Gives its size and
/// where the daemon says it came from.
pub fn assert_origins_bytes(world: &World, daemon: &Daemon, url: &str) -> (usize, String) {
    let answer = expect(url);
    let file = world.origin.file(&daemon.origin_url(url));
    let expected = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(answer.body == expected, "{url} differs from the origin's file");
    let source = answer.header("cache-status").expect("an answer with Cache-Status");
    (answer.body.len(), source.to_owned())
}

fn segment_bytes(world: &World) -> u64 {
    let requests = world.origin.requests();
    requests.iter().filter(|request| request.is_segment()).map(|request| request.body_bytes).sum()
}

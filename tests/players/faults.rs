//! Something breaks while somebody watches: a peer, the tracker, the origin. The player must not
//! notice, and every byte must still be the origin's.

use std::thread;
use std::time::{Duration, Instant};

use crate::players::{decoder, progress_s};
use crate::process::{Process, eventually, have};
use crate::sharing::{assert_origins_bytes, meet};
use crate::streams::{self, LARGE_SEGMENT_BYTES, LiveKind};
use crate::world::{TrackerKind, World, segments_of};

/// How long the origin answers 503: less than a player's patience, more than one retry.
const OUTAGE: Duration = Duration::from_secs(3);

#[test]
fn a_peer_killed_in_the_middle_of_a_segment_costs_no_byte() {
    if !have(&["nginx", "ffmpeg"]) {
        return;
    }
    let world = World::new(TrackerKind::Ours);
    world.origin.publish("vod", streams::on_demand());
    let playlist = world.origin.url("vod/large/index.m3u8");
    let mut first = world.daemon("first");
    for segment in segments_of(&first, &playlist) {
        assert_origins_bytes(&world, &first, &segment);
    }
    let second = world.daemon("second");
    let segments = segments_of(&second, &playlist);
    meet(&second);
    let segment = &segments[0];
    let sent_before = bytes_of(&world, segment);
    thread::scope(|scope| {
        let reader = scope.spawn(|| assert_origins_bytes(&world, &second, segment));
        eventually("the first daemon is sending", Duration::from_secs(30), || {
            assert!(!reader.is_finished(), "the segment was over before its sender could be hit");
            (first.total("upload_bytes") > 0).then_some(())
        });
        first.kill();
        let (size, _) = reader.join().expect("the reader got the whole segment");
        assert!(size >= LARGE_SEGMENT_BYTES);
    });
    assert!(bytes_of(&world, segment) > sent_before, "the rest came from the origin");
}

#[test]
fn a_third_viewer_finds_peers_after_the_tracker_came_back() {
    if !have(&["nginx", "ffmpeg"]) {
        return;
    }
    let mut world = World::new(TrackerKind::Ours);
    world.origin.publish("vod", streams::on_demand());
    let playlist = world.origin.url("vod/fmp4/index.m3u8");
    let (first, second) = (world.daemon("first"), world.daemon("second"));
    for segment in segments_of(&first, &playlist) {
        assert_origins_bytes(&world, &first, &segment);
    }
    let segments = segments_of(&second, &playlist);
    meet(&second);

    world.tracker.kill();
    for segment in &segments {
        assert_origins_bytes(&world, &second, segment);
    }
    world.tracker.restart();

    let third = world.daemon("third");
    let segments = segments_of(&third, &playlist);
    meet(&third);
    for segment in &segments {
        assert_origins_bytes(&world, &third, segment);
    }
    assert!(third.total("peer_bytes") > 0, "the third viewer took nothing from peers");
}

#[test]
fn playback_goes_on_while_the_origin_answers_503() {
    if !have(&["nginx", "ffmpeg"]) {
        return;
    }
    let world = World::new(TrackerKind::Ours);
    let _packager = streams::live(&world, LiveKind::Ts);
    let daemon = world.daemon("first");
    let progress = world.directory().join("progress");
    let url = daemon.url(&world.origin.url(LiveKind::Ts.path()));
    let mut command = decoder(&url, None, &progress);
    let mut player = Process::start("player", world.directory(), &mut command);
    let limit = Duration::from_secs(60);
    let mut shows = |media_s: f64| {
        eventually(&format!("the player shows {media_s} s"), limit, || {
            assert!(player.ended().is_none(), "the player ended: {}", player.log());
            (progress_s(&progress) >= media_s).then_some(())
        });
        player.log()
    };
    shows(4.0);
    outage(&world);
    let reached_s = progress_s(&progress);
    let complaints = shows(reached_s + 6.0);
    assert_eq!(complaints, "", "the player noticed");
}

#[test]
fn a_segment_asked_for_while_the_origin_answers_503_arrives_whole() {
    if !have(&["nginx", "ffmpeg"]) {
        return;
    }
    let mut world = World::new(TrackerKind::Ours);
    world.origin.publish("vod", streams::on_demand());
    let daemon = world.daemon("first");
    let segments = segments_of(&daemon, &world.origin.url("vod/fmp4/index.m3u8"));
    thread::scope(|scope| {
        world.origin.set_down(true);
        let reader = scope.spawn(|| assert_origins_bytes(&world, &daemon, &segments[0]));
        end_outage(&world, Instant::now());
        reader.join().expect("the reader got the whole segment");
    });
    assert!(world.origin.is_running());
}

fn outage(world: &World) {
    world.origin.set_down(true);
    end_outage(world, Instant::now());
}

/// Lets the origin recover once the outage has lasted and somebody has been refused.
fn end_outage(world: &World, since: Instant) {
    eventually("the outage has lasted and hit", Duration::from_secs(30), || {
        let is_hit = world.origin.requests().iter().any(|request| request.status == 503);
        (since.elapsed() >= OUTAGE && is_hit).then_some(())
    });
    world.origin.set_down(false);
}

/// Body bytes the origin has sent of the file behind a daemon's URL.
fn bytes_of(world: &World, url: &str) -> u64 {
    let requests = world.origin.requests();
    let of_file = requests.iter().filter(|request| url.ends_with(&request.path));
    of_file.map(|request| request.body_bytes).sum()
}

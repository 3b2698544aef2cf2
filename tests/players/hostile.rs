//! A browser page full of enemies in the swarm of two daemons and their viewers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hlswarm::playlist::identity::g2_direct;
use url::Url;

use crate::page::PageServer;
use crate::process::{eventually, have};
use crate::sharing::{assert_origins_bytes, meet};
use crate::swarm_pages::Browser;
use crate::world::{TrackerKind, World, segments_of};

/// Each is one member of the swarm.
const ENEMIES: [&str; 9] =
    ["malformed", "joins", "flood", "asking", "stray", "huge", "tiny", "early", "garbage"];

/// Of the film; what enemies claim to hold is within it.
const SEGMENTS: u32 = 200;

/// How long all of them may take to be thrown out.
const LIMIT: Duration = Duration::from_secs(120);

/// Announcements of an enemy, one every three seconds, after which nobody having let it in means
/// that nobody will.
const TRIES: u64 = 4;

/// What a daemon may grow by: what it holds, and what strangers can keep it busy with.
const MEMORY_KB_MAX: u64 = 200 << 10;

#[test]
fn a_page_that_attacks_is_thrown_out_and_disturbs_nobody() {
    if !have(&["nginx", "ffmpeg", "chromium"]) {
        return;
    }
    let pages = PageServer::start();
    let world = World::new(TrackerKind::Ours);
    let films = world.directory().join("film");
    make_film(&films);
    world.origin.publish("film", &films);
    let playlist = world.origin.url("film/index.m3u8");
    let first = world.daemon("first");
    let segments = segments_of(&first, &playlist);
    let second = world.daemon("second");
    let theirs = segments_of(&second, &playlist);
    let known = 20;
    segments.iter().take(known).for_each(|url| _ = assert_origins_bytes(&world, &first, url));
    meet(&second);
    theirs.iter().take(known).for_each(|url| _ = assert_origins_bytes(&world, &second, url));
    let shared = || first.total("peer_segments") + second.total("peer_segments");
    let before = shared();
    assert!(before >= known as u64 / 2, "only {before} segments came from the honest peer");
    let memory_kb = [first.memory_kb(), second.memory_kb()];

    let hash = g2_direct(&Url::parse(&playlist).unwrap()).info_hash;
    let page = pages.enemies(&world.tracker.url(), &hash.0, &ENEMIES.join(","));
    let _browser = Browser::open(&page, false, &world, "enemies");
    let report = |kind: &str, field: &str| pages.report().and_then(|r| r[kind][field].as_u64());
    // The viewers go on meanwhile: it is for what they play that enemies are asked.
    let mut ahead = theirs.iter().zip(&segments).skip(known);
    eventually("every enemy was let in and thrown out", LIMIT, || {
        if !ENEMIES.iter().all(|kind| report(kind, "opened") > Some(0)) {
            return None;
        }
        if let Some((of_second, of_first)) = ahead.next() {
            assert_origins_bytes(&world, &second, of_second);
            assert_origins_bytes(&world, &first, of_first);
        }
        let is_out = |kind: &&str| report(kind, "closed") >= report(kind, "opened");
        ENEMIES.iter().all(is_out).then_some(())
    });
    eventually("nobody lets them in again", LIMIT, || {
        ENEMIES.iter().all(|kind| report(kind, "announced") > Some(TRIES)).then_some(())
    });

    // Whoever was not disturbed plays on, and shares.
    for (of_second, of_first) in theirs.iter().zip(&segments) {
        assert_origins_bytes(&world, &second, of_second);
        assert_origins_bytes(&world, &first, of_first);
    }
    assert!(shared() > before + known as u64, "nothing came from the honest peer any more");
    for (daemon, before_kb) in [&first, &second].into_iter().zip(memory_kb) {
        assert!(daemon.peers() > 0, "the daemons still know each other");
        assert!(daemon.memory_kb() < before_kb + MEMORY_KB_MAX, "{} kB", daemon.memory_kb());
    }
}

/// A film of transport stream packets that nobody needs to decode.
fn make_film(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let mut playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
    for number in 0..SEGMENTS {
        let mut packet = [0_u8; 188];
        packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
        packet[4..8].copy_from_slice(&number.to_be_bytes());
        fs::write(directory.join(format!("{number}.ts")), packet.repeat(500)).unwrap();
        playlist += &format!("#EXTINF:2,\n{number}.ts\n");
    }
    fs::write(directory.join("index.m3u8"), playlist + "#EXT-X-ENDLIST\n").unwrap();
}

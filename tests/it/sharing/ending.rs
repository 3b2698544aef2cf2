//! The end of a daemon, and what it keeps to itself.

use super::signalling::Recorder;
use super::test_peer::{Said, TestPeer, Waiting};
use super::world::{Film, Player, Tracker, config, finish, read, until};
use crate::ask;
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource};
use bytes::Bytes;
use hlswarm::daemon::Daemon;
use hlswarm::origin::Wanted;
use hlswarm::playlist::membership::direct;
use hlswarm::playlist::rules::StreamRule;
use hlswarm::swarm::wire::{Message, SEGMENT_BYTES_MAX};

#[tokio::test]
async fn a_reader_finishes_when_the_daemon_is_stopped_and_the_tracker_hears_of_it() {
    let (origin, gate) = (TestOrigin::start().await, Gate::closed());
    let tracker = Recorder::start().await;
    let film = Film::new(1, 1_000);
    let url = film.put(&origin);
    let half = film.segments[0].len() / 2;
    origin.put(&Film::path(0), film.resource(0).hold_body(half, &gate));
    let mut config = config(&[&tracker.url()]);
    config.p2p.join_wait_ms = 0;
    let daemon = Daemon::start(&config).await.unwrap();
    let address = daemon.local_addr();
    let player = Player::of(&daemon);
    let segment = player.timeline(&url).await.segments.remove(0);
    let mut answer = player.open(&segment.url, Wanted::Whole).await;
    let held = read(&mut answer, half).await;
    until("every announce", async || tracker.heard("\"offers\"").len() == 3).await;

    let stopping = tokio::spawn(daemon.stop());
    let is_closed = async || ask::get(address, "/api/v1/health").await.status == 503;
    until("a closed door", is_closed).await;
    gate.open();
    let whole = finish(answer, held).await;
    assert!(!whole.is_cut && whole.body == film.segments[0]);
    stopping.await.unwrap();
    let swarms = direct(&url, &url, &StreamRule::default()).swarms;
    let mut joined: Vec<_> = swarms.iter().map(|swarm| swarm.info_hash.to_latin1()).collect();
    joined.sort();
    assert_eq!(tracker.swarms("\"stopped\""), joined);
}

#[tokio::test]
async fn keys_playlists_and_init_sections_are_never_announced_nor_given_away() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(3, 100);
    film.put(&origin);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"key.bin\"\n#EXT-X-MAP:URI=\"init.mp4\"\n\
        #EXTINF:2,\nseg-0.ts\n#EXTINF:2,\nseg-1.ts\n#EXTINF:2,\nseg-2.ts\n#EXT-X-ENDLIST\n";
    origin.put("/film/index.m3u8", Resource::playlist(text));
    origin.put("/film/key.bin", Resource::new("application/octet-stream", "0123456789abcdef"));
    origin.put("/film/init.mp4", Resource::new("video/mp4", "\0\0\0\u{8}ftyp"));
    let url = origin.url("/film/index.m3u8");
    let waiting = Waiting::join(&tracker.url(), &url).await;
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    player.timeline(&url).await;
    let mut peer = waiting.meet().await;
    // A word, so that nobody waits for one; it is about nothing that exists.
    peer.announce(&[99]).await;
    for name in ["key.bin", "init.mp4"] {
        let answer = player.get(&url.join(name).unwrap()).await;
        assert_eq!(answer.source(), "hlswarm; fwd=bypass");
    }
    film.play(&player, &url).await;

    let mut announced = Vec::new();
    while announced != [0, 1, 2] {
        let said = peer.hear().await;
        let Some(Said::Message(Message::Announcement { loaded, loading })) = said else {
            panic!("not an announcement: {said:?}")
        };
        let ids = loaded.iter().chain(&loading).copied();
        assert!(ids.clone().all(|id| id < 3), "{:?}", ids.collect::<Vec<_>>());
        announced = loaded;
    }
    // A film's segments are counted from zero between peers, whatever its playlist says.
    for (request, segment) in (0..).zip([3, 7, 8, 9, 10, 99, (1 << 53) - 1, 0, 1, 2, 3]) {
        let given = ask(&mut peer, segment, request, 0).await;
        let expected = film.segments.get(segment as usize).cloned();
        assert!(given == expected, "segment {segment}");
    }
    let end = film.segments[1].len() as u64;
    let tail = ask(&mut peer, 1, 50, end - 188).await.expect("the rest");
    assert!(tail[..] == film.segments[1][end as usize - 188..]);
    assert_eq!(ask(&mut peer, 1, 51, end).await, None);
    assert_eq!(ask(&mut peer, 1, 52, SEGMENT_BYTES_MAX).await, None);
}

/// Asks the daemon for a segment; `None` when it says that it has none.
async fn ask(peer: &mut TestPeer, segment: u64, request: u64, from: u64) -> Option<Bytes> {
    peer.say(&Message::Request { segment, request, from }).await;
    let mut given = Vec::new();
    loop {
        match peer.hear().await.expect("an answer") {
            Said::Payload(bytes) => given.extend_from_slice(&bytes),
            Said::Message(Message::Absent { segment: s, request: r }) => {
                assert_eq!((s, r), (segment, request));
                return None;
            }
            Said::Message(Message::Data { segment: s, request: r, .. }) => {
                assert_eq!((s, r), (segment, request));
            }
            Said::Message(Message::Completed { segment: s, request: r }) => {
                assert_eq!((s, r), (segment, request));
                return Some(given.into());
            }
            Said::Message(Message::Announcement { .. }) => {}
            Said::Message(other) => panic!("{other:?}"),
        }
    }
}

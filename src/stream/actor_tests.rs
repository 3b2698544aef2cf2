//! What an actor makes of events in an order that only a race brings about.

use super::*;
use crate::cache::{Cache, Segment, StreamId};
use crate::ids::{InfoHash, PeerId, SegmentId};
use crate::metrics::Counters;
use crate::origin::{FetchRequest, Origin, OriginConfig};
use crate::playlist::{self, Definitions, Playlist};
use crate::rtc::Connector;
use crate::rtc::memory::MemoryNet;
use crate::stream::roster::Meeting;
use crate::stream::{Budget, Pace, Trackers, VerifyConfig};
use crate::swarm::{self, DropReason};
use crate::tracker::message::OfferId;
use bytes::Bytes;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

const ME: PeerId = PeerId(*b"-HS0100-someone-else");
const STREAM: StreamId = StreamId(1);
const SEGMENT: SegmentId = SegmentId(0);

/// The actor of a film with one segment, and the cache.
fn actor(url: &Url) -> (Actor, Inbox, Arc<Cache>) {
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n");
    let Ok(Playlist::Media(timeline)) = playlist::read(&text, url, &Definitions::default()) else {
        panic!("not media")
    };
    let cache = Arc::new(Cache::new(1 << 20));
    let parts = Parts {
        me: ME,
        cache: cache.clone(),
        budget: Arc::new(Budget::new(1 << 20, 1 << 20)),
        origin: Origin::new(&OriginConfig::default()).unwrap(),
        connector: None,
        trackers: Arc::new(Trackers::new(ME, None, &TaskTracker::new(), &Default::default())),
        swarm: swarm::Config::default(),
        verify: VerifyConfig::default(),
        pace: Arc::new(Pace::new(0, false)),
        peers_max: 1,
        bans: Arc::default(),
        linger: Duration::from_secs(60),
        meter: Meter::of_daemon(Arc::<Counters>::default()),
        tasks: TaskTracker::new(),
        cancel: CancellationToken::new(),
    };
    let profile = Profile {
        id: STREAM,
        url: url.to_string(),
        rendition: "main-0".to_owned(),
        info_hash: InfoHash([0; 20]),
        swarms: Vec::new(),
        is_sealed: false,
        is_live: AtomicBool::new(false),
        active_players: AtomicU64::new(0),
        live_delay_ms: AtomicU64::new(0),
        is_shared: true,
        is_seeded: AtomicBool::new(false),
        counters: Arc::default(),
    };
    let life = Life {
        commands: mpsc::channel(1).1,
        playlist: url.clone(),
        list: None,
        hash_list: None,
        joining: None,
        retire: Default::default(),
    };
    let (actor, inbox) = Actor::new(Arc::new(parts), Arc::new(profile), Arc::new(timeline), life);
    (actor, inbox, cache)
}

#[tokio::test]
async fn a_segment_let_go_between_look_up_and_demand_is_fetched_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/0.ts", listener.local_addr().unwrap()).parse().unwrap();
    let (mut actor, _inbox, cache) = actor(&url);
    let held = Segment {
        bytes: Bytes::from_static(b"abc"),
        content_type: "video/mp2t".to_owned(),
        headers: Arc::default(),
        is_unseen: AtomicBool::new(false),
        blocks: OnceLock::new(),
    };
    cache.insert(STREAM, SEGMENT, Arc::new(held));
    actor.feed(Input::Completed { segment: SEGMENT, size: 3 });
    actor.drain();
    // Nobody has told the core yet when the demand comes.
    cache.clear(Some(STREAM));
    let (reply, opening) = oneshot::channel();
    let request = FetchRequest::get(url, http::HeaderMap::new());
    let open = Open { segment: SEGMENT, player: PlayerId(1), request, detour: None, reply };
    actor.on_command(Command::Open(Box::new(open)));
    actor.drain();
    let Ok(Opening::Arriving(mut reader)) = opening.await else { panic!("not on its way") };
    let serving = tokio::time::timeout(Duration::from_secs(30), listener.accept());
    let (mut socket, _) = serving.await.expect("a request").unwrap();
    assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), "abc");
}

#[tokio::test]
async fn what_a_liar_sent_of_other_segments_is_thrown_away_unchecked() {
    let (mut actor, _inbox, _) = actor(&"http://127.0.0.1:9/0.ts".parse().unwrap());
    let net = MemoryNet::new();
    let offer = net.offer().await.unwrap();
    let answer = net.answer(&offer.sdp).await.unwrap();
    offer.pending.accept(&answer.sdp).await.unwrap();
    let peer = PeerId([b'x'; 20]);
    let meeting = Meeting { offerer: peer, offer: OfferId([0; 20]) };
    let link = offer.pending.opened().await.unwrap();
    actor.on_opened(Opened { peer, link, meeting, wire: Default::default() });
    let (liar, other) = (*actor.peers.keys().next().unwrap(), PeerKey(99));
    for (segment, sender) in [(1, liar), (2, liar), (3, other)] {
        let buffer = actor.arriving.buffer(SegmentId(segment));
        buffer.append(0, Bytes::from_static(b"abc"), false);
        actor.arriving.add_share(SegmentId(segment), sender, 0..3);
    }
    actor.drop_peer(liar, DropReason::Polluted);
    let is_here = [1, 2, 3].map(|segment| actor.arriving.contains(SegmentId(segment)));
    assert_eq!(is_here, [false, false, true]);
    assert!(actor.parts.bans.has_id(peer) && actor.peers.is_empty());
}

//! What must not be seen anywhere: tokens in queries, cookies, passwords, a tracker's key.
//!
//! Every secret here has `s3cret` in it, so that one search finds any of them.

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::{Program, command};
use crate::resource::Resource;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8?token=media-s3cret\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
    #EXT-X-KEY:METHOD=AES-128,URI=\"key.bin?token=key-s3cret\"\n\
    #EXTINF:4,\na.ts?token=segment-s3cret\n#EXTINF:4,\nb.ts?bare-s3cret\n\
    #EXTINF:4,\nmissing.ts?token=segment-s3cret\n#EXTINF:4,\nbusy.ts?token=segment-s3cret\n\
    #EXT-X-ENDLIST\n";
const PLAYER: [(&str, &str); 4] = [
    ("Cookie", "sid=cookie-s3cret"),
    ("Authorization", "Bearer authorization-s3cret"),
    ("Referer", "https://tv.example.com/?token=referer-s3cret"),
    ("User-Agent", "a player"),
];

/// A tracker that remembers every frame and answers none but the first.
struct Tracker {
    addr: SocketAddr,
    frames: watch::Receiver<Vec<String>>,
}

impl Tracker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, frames) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                    let refusal = r#"{"failure reason":"members only","action":"announce"}"#;
                    let _ = socket.send(Message::text(refusal)).await;
                    while let Some(Ok(frame)) = socket.next().await {
                        if let Message::Text(text) = frame {
                            sender.send_modify(|all| all.push(text.to_string()));
                        }
                    }
                });
            }
        });
        Self { addr, frames }
    }

    async fn wait_for(&mut self, phrase: &str) {
        let seen = self.frames.wait_for(|all| all.iter().any(|frame| frame.contains(phrase)));
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, seen).await.expect(phrase).unwrap();
    }
}

async fn origin() -> TestOrigin {
    let origin = TestOrigin::start().await;
    let cookie = |resource: Resource| resource.header("set-cookie", "sid=set-cookie-s3cret");
    origin.put("/master.m3u8", cookie(Resource::playlist(MASTER)));
    origin.put("/media.m3u8", cookie(Resource::playlist(MEDIA)));
    origin.put("/a.ts", cookie(Resource::ts(188_000, 1)));
    origin.put("/b.ts", cookie(Resource::ts(188_000, 2).truncate_first(1, 1_000)));
    origin.put("/key.bin", cookie(Resource::new("application/octet-stream", "the-key-is-s3cret")));
    // Longer than anybody waits, so that it is told at once.
    let mut busy = Resource::new("text/plain", "busy").header("retry-after", "100");
    busy.status = 503;
    origin.put("/busy.ts", busy);
    origin.put("/bad.m3u8", cookie(Resource::playlist("no playlist, s3cret")));
    origin.put("/odd.m3u8", Resource::playlist("#EXTM3U\n#EXTINF:s3cret,\na.ts?x=odd-s3cret\n"));
    let host = origin.addr();
    let moved = format!("http://me:password-s3cret@{host}/master.m3u8?token=moved-s3cret");
    origin.put("/moved.m3u8", cookie(Resource::redirect(302, &moved)));
    let elsewhere = Resource::redirect(302, "ftp://me:password-s3cret@a.invalid/?token=s3cret");
    origin.put("/elsewhere.m3u8", cookie(elsewhere));
    origin
}

/// Plays everything there is, and asks for everything that fails.
async fn play(program: &Program, origin: &TestOrigin) {
    let (_kept, nobody) = ask::nobody();
    let mut targets: Vec<String> = [
        "/master.m3u8?token=master-s3cret",
        "/media.m3u8?token=media-s3cret",
        "/key.bin?token=key-s3cret",
        "/a.ts?token=segment-s3cret",
        "/a.ts?token=segment-s3cret",
        "/b.ts?bare-s3cret",
        "/missing.ts?token=segment-s3cret",
        "/busy.ts?token=segment-s3cret",
        "/nowhere.m3u8?token=nowhere-s3cret",
        "/bad.m3u8?token=bad-s3cret",
        "/odd.m3u8?token=odd-s3cret",
        "/moved.m3u8?token=moving-s3cret",
        "/elsewhere.m3u8?token=elsewhere-s3cret",
    ]
    .map(|path| ask::path(&origin.url(path)))
    .into();
    targets.extend([
        "/http/nowhere.invalid/x.m3u8?token=unresolved-s3cret".to_owned(),
        format!("/http/me:password-s3cret@{nobody}/x.m3u8?token=s3cret"),
        format!("/http/{nobody}/x.m3u8?token=refused-s3cret"),
        "/play?url=https%3A%2F%2Fme%3As3cret%40a.invalid%2F%3Ftoken%3Ds3cret&h_Cookie=s3cret"
            .into(),
        "/play?url=ftp%3A%2F%2Fa.invalid%2F%3Ftoken%3Ds3cret".into(),
        "/ftp/a.invalid/?token=s3cret".into(),
    ]);
    // Without waiting for each other: some are retried for a while.
    let first = targets.drain(..2).collect::<Vec<_>>();
    ask_for_all(program, &first).await;
    ask_for_all(program, &targets).await;
    let foreign = [("Host", "s3cret.example"), ("Origin", "https://s3cret.example")];
    ask::request(program.addr(), "GET", "/", &foreign).await.problem(403);
}

async fn ask_for_all(program: &Program, targets: &[String]) {
    let asked = targets.iter().flat_map(|target| {
        // With credentials and without.
        [&PLAYER[..], &PLAYER[2..]]
            .map(|headers| ask::request(program.addr(), "GET", target, headers))
    });
    for answer in futures_util::future::join_all(asked).await {
        if answer.header("content-type") == "application/problem+json" {
            assert!(!answer.text().contains("s3cret"), "{}", answer.text());
        }
    }
}

/// Everything that the daemon shows, says to a tracker, or logs while the scene is played.
async fn everything_seen(arguments: &[&str], rust_log: Option<&str>) -> Vec<(String, String)> {
    let origin = origin().await;
    let mut tracker = Tracker::start().await;
    let (_kept, nobody) = ask::nobody();
    let trackers = format!(
        "ws://{0}/announce?key=tracker-s3cret, ws://me:password-s3cret@{nobody}/?key=s3cret",
        tracker.addr
    );
    let mut call = command();
    call.args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .env("HLSWARM_P2P_TRACKERS", trackers)
        .env("HLSWARM_P2P_BIND", "127.0.0.1");
    if let Some(filter) = rust_log {
        call.env("RUST_LOG", filter);
    }
    let mut program = Program::from(&mut call).await;
    play(&program, &origin).await;
    tracker.wait_for("\"offers\":[{").await;
    program.wait_for_log("tracker failed").await;
    let mut seen = Vec::new();
    for target in ["/api/v1/stats", "/metrics", "/"] {
        let answer = ask::get(program.addr(), target).await;
        assert_eq!(answer.status, 200);
        seen.push((target.to_owned(), answer.text().to_owned()));
    }
    assert!(seen[0].1.contains("/media.m3u8?token=***"), "the stream is shown: {}", seen[0].1);
    assert!(seen[0].1.contains("/announce?key=***"), "the tracker is shown: {}", seen[0].1);
    program.signal("TERM").await;
    tracker.wait_for("\"stopped\"").await;
    assert_eq!(program.end().await.code(), Some(0));
    seen.extend(program.log().into_iter().map(|line| ("log".to_owned(), line)));
    let frames = tracker.frames.borrow().clone();
    seen.extend(frames.into_iter().map(|frame| ("tracker".to_owned(), frame)));
    seen
}

#[tokio::test]
async fn no_secret_is_seen_anywhere_however_much_is_logged() {
    let everything = everything_seen(&[], Some("trace"));
    let (traced, verbose) = tokio::join!(everything, everything_seen(&["-vv"], None));
    for seen in [traced, verbose] {
        let logged = seen.iter().filter(|(place, _)| place == "log").count();
        assert!(logged > 50, "there is a log to look at: {logged} lines");
        for (place, text) in seen {
            assert!(!text.contains("s3cret"), "{place}: {text}");
            let is_sdp = text.contains("ice-pwd") || text.contains("ice-ufrag");
            assert!(!is_sdp || place == "tracker", "{place}: {text}");
        }
    }
}

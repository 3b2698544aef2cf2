//! Origins in trouble: busy, cut off, silent, moved. Played through a daemon that is alone.

use super::world::{Answer, Film, Player, config, finish, lone_daemon, read};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch};
use hlswarm::daemon::Daemon;
use hlswarm::origin::Wanted;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HALF: usize = 94_000;

/// A film of one segment whose resource is changed, and a daemon in front of it.
async fn play(origin: &TestOrigin, change: impl FnOnce(Resource) -> Resource) -> (Film, Answer) {
    let daemon = lone_daemon().await;
    let film = Film::new(1, 1_000);
    let url = film.put(origin);
    origin.put(&Film::path(0), change(film.resource(0)));
    let player = Player::of(&daemon);
    let segment = player.timeline(&url).await.segments.remove(0);
    (film, player.segment(&segment).await)
}

fn assert_whole(film: &Film, answer: &Answer) {
    assert_eq!((answer.status, answer.is_cut, answer.source()), (200, false, FROM_ORIGIN));
    assert!(answer.body == film.segments[0], "wrong bytes");
}

#[tokio::test]
async fn a_player_does_not_notice_an_origin_that_is_busy_for_a_moment() {
    let (origin, busy) = (TestOrigin::start().await, Switch::on());
    let calm_down = async {
        origin.wait_for_requests(&Film::path(0), 3).await;
        busy.turn_off();
    };
    let playing = play(&origin, |resource| resource.fail_while(&busy, 503));
    let ((film, answer), ()) = tokio::join!(playing, calm_down);
    assert_whole(&film, &answer);
    assert!(origin.requests_for(&Film::path(0)).len() >= 4);
}

#[tokio::test]
async fn an_origins_refusal_passes_unchanged() {
    let origin = TestOrigin::start().await;
    let (_, answer) = play(&origin, |resource| resource.fail_first(usize::MAX, 403)).await;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"failing on command"[..]));
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(origin.requests_for(&Film::path(0)).len(), 1);
}

#[tokio::test]
async fn a_segment_cut_short_once_is_healed() {
    for has_ranges in [true, false] {
        let origin = TestOrigin::start().await;
        let (film, answer) = play(&origin, |resource| {
            let resource = if has_ranges { resource } else { resource.without_ranges() };
            resource.truncate_first(1, HALF)
        })
        .await;
        assert_whole(&film, &answer);
        let seen = origin.requests_for(&Film::path(0));
        assert_eq!(
            seen.iter().map(|s| s.header("range")).collect::<Vec<_>>(),
            ["", "bytes=94000-"]
        );
    }
}

#[tokio::test]
async fn a_segment_always_cut_short_is_cut_for_the_player_and_logged_once() {
    let (origin, log) = (TestOrigin::start().await, Log::default());
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let change = |resource: Resource| resource.without_ranges().truncate_first(usize::MAX, HALF);
    let (film, answer) = play(&origin, change).await;
    assert_eq!((answer.status, answer.is_cut), (200, true));
    assert!(film.segments[0].starts_with(&answer.body) && answer.body.len() <= HALF);
    assert_eq!(answer.header("content-length"), film.segments[0].len().to_string());
    let attempts = origin.requests_for(&Film::path(0)).len();
    assert!((2..20).contains(&attempts), "{attempts} attempts");
    let said = log.text();
    let lines: Vec<_> = said.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("WARN") && lines[0].contains("a segment could not be fetched"));
}

#[tokio::test]
async fn an_origin_that_falls_silent_is_asked_for_the_rest() {
    let (origin, gate) = (TestOrigin::start().await, Gate::closed());
    let film = Film::new(1, 1_000);
    let url = film.put(&origin);
    origin.put(&Film::path(0), film.resource(0).hold_body(HALF, &gate));
    let mut config = config(&[]);
    config.origin.idle_timeout_ms = 300;
    let daemon = Daemon::start(&config).await.unwrap();
    let player = Player::of(&daemon);
    let segment = player.timeline(&url).await.segments.remove(0);
    let mut answer = player.open(&segment.url, Wanted::Whole).await;
    let held = read(&mut answer, HALF).await;
    origin.wait_for_requests(&Film::path(0), 2).await;
    gate.open();
    assert_whole(&film, &finish(answer, held).await);
    assert_eq!(origin.requests_for(&Film::path(0))[1].header("range"), "bytes=94000-");
}

#[tokio::test]
async fn a_segment_may_be_on_another_host() {
    let (origin, elsewhere) = (TestOrigin::start().await, TestOrigin::start().await);
    let (film, answer) = play(&origin, |resource| {
        elsewhere.put("/moved/0.ts", resource);
        Resource::redirect(302, elsewhere.url("/moved/0.ts?signed=1").as_str())
    })
    .await;
    assert_whole(&film, &answer);
    assert_eq!(elsewhere.requests()[0].query.as_deref(), Some("signed=1"));
}

#[tokio::test]
async fn a_playlist_may_be_on_another_host() {
    let (origin, elsewhere) = (TestOrigin::start().await, TestOrigin::start().await);
    let film = Film::new(2, 10);
    let there = film.put(&elsewhere);
    origin.put("/channel.m3u8", Resource::redirect(302, there.as_str()));
    let daemon = lone_daemon().await;
    let sources = film.play(&Player::of(&daemon), &origin.url("/channel.m3u8")).await;
    assert_eq!(sources, [FROM_ORIGIN; 2]);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn an_origin_need_not_say_how_long_a_segment_is() {
    let origin = TestOrigin::start().await;
    let (film, answer) = play(&origin, |r| r.without_length().without_ranges()).await;
    assert_whole(&film, &answer);
    assert_eq!(answer.header("content-length"), "");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

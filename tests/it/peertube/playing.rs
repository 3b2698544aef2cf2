//! From the link to a video to what the player is given.

use super::instance::{Instance, UUID};
use super::video::{Form, Rendition};
use crate::ask::{self, get};
use crate::program::{command, run};
use crate::resource::{Resource, pattern};
use crate::sharing::world::lone_daemon;
use hlswarm::daemon::Daemon;
use serde_json::json;
use url::{Url, form_urlencoded};

/// The target that leads to a link's video.
pub fn play(page: &Url) -> String {
    let page: String = form_urlencoded::byte_serialize(page.as_str().as_bytes()).collect();
    format!("/play?url={page}")
}

/// Where a daemon leads who opens a link.
pub async fn led(daemon: &Daemon, page: &Url) -> String {
    let answer = get(daemon.local_addr(), &play(page)).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.header("location").to_owned()
}

#[tokio::test]
async fn every_link_to_a_video_leads_to_its_playlist() {
    let instance = Instance::with(&[Rendition::new(720, Form::Pieces, 2)]).await;
    let daemon = lone_daemon().await;
    for path in [
        format!("/w/{UUID}"),
        format!("/videos/watch/{UUID}?start=12s"),
        "/videos/embed/1?p2p=0".to_owned(),
        "/w/1/#comments".to_owned(),
    ] {
        assert_eq!(led(&daemon, &instance.url(&path)).await, ask::path(&instance.master()));
    }
    let list = get(daemon.local_addr(), &ask::path(&instance.master())).await;
    assert!(list.text().contains("5a6b-720.m3u8"), "{}", list.text());
}

#[tokio::test]
async fn the_instance_learns_nothing_of_the_player() {
    let instance = Instance::with(&[Rendition::new(720, Form::Pieces, 2)]).await;
    let daemon = lone_daemon().await;
    let headers = [("user-agent", "My TV"), ("cookie", "sid=1"), ("authorization", "Bearer x")];
    let answer = ask::request(daemon.local_addr(), "GET", &play(&instance.page()), &headers).await;
    assert_eq!(answer.status, 302);
    for seen in instance.origin.requests() {
        for (name, _) in headers {
            assert_eq!(seen.header(name), "", "{} {}", seen.path, name);
        }
    }
}

#[tokio::test]
async fn a_video_that_was_never_cut_is_played_as_a_file() {
    let instance = Instance::start().await;
    let file = |lines: u64| {
        let url = instance.url(&format!("/static/web-videos/a-{lines}.mp4"));
        json!({"fileUrl": url.as_str(), "resolution": {"id": lines, "label": ""}})
    };
    let files = [file(480), file(1080)];
    let video = json!({"uuid": UUID, "isLive": false, "streamingPlaylists": [], "files": files});
    instance.describe(&video);
    let film = pattern(100_000, 1);
    let resource = Resource::new("video/mp4", film.clone());
    instance.origin.put("/static/web-videos/a-1080.mp4", resource);
    let daemon = lone_daemon().await;
    let path = led(&daemon, &instance.page()).await;
    assert_eq!(get(daemon.local_addr(), &path).await.body, film);
}

#[tokio::test]
async fn the_program_gives_a_player_the_stream_of_a_video() {
    let instance = Instance::with(&[Rendition::new(720, Form::Pieces, 2)]).await;
    let player = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/player.sh");
    let page = instance.page().to_string();
    let flags = ["play", "--listen", "127.0.0.1:0", "--player", player, &page];
    let output = run(&flags).await;
    let given = String::from_utf8(output.stdout).unwrap();
    let path = ask::path(&instance.master());
    assert!(given.lines().next().is_some_and(|url| url.ends_with(&path)), "{given}");
    let url = run(&["url", &page]).await;
    let url = String::from_utf8(url.stdout).unwrap();
    assert_eq!(url.trim_end(), format!("http://127.0.0.1:4570{}", play(&instance.page())));
}

#[tokio::test]
async fn the_program_says_why_a_video_cannot_be_played() {
    let instance = Instance::start().await;
    let page = instance.url("/w/nothing-here").to_string();
    let flags = ["play", "--listen", "127.0.0.1:0", "--player", "/bin/true", &page];
    let output = command().args(flags).output().await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("127.0.0.1") && errors.contains("no video nothing-here"), "{errors}");
}

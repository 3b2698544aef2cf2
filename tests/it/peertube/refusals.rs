//! Links that lead nowhere, and instances that say something else than they should: the person
//! hears which host it was and what is wrong, and nobody else is asked.

use super::instance::{Instance, SHORT, UUID};
use super::playing::play;
use super::video::{Form, Rendition};
use crate::ask::get;
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use crate::sharing::world::lone_daemon;
use serde_json::json;

const VIDEO: &str = "/api/v1/videos/kkGMgK9ZtnKfYAgnEtQxbv";

/// What a daemon says of the page of a video that its instance answers so for.
async fn problem(status: u16, answer: Resource) -> String {
    let (instance, daemon) = (Instance::start().await, lone_daemon().await);
    instance.origin.put(VIDEO, answer);
    let problem = get(daemon.local_addr(), &play(&instance.page())).await.problem(status);
    assert!(problem.contains("127.0.0.1"), "no host: {problem}");
    assert_eq!(instance.tracker.calls(), 0);
    problem
}

fn json_with(status: u16, json: &serde_json::Value) -> Resource {
    let mut resource = Resource::new("application/json", json.to_string());
    resource.status = status;
    resource
}

#[tokio::test]
async fn a_video_that_is_not_there_or_not_for_everybody_is_named() {
    for (status, code, told, said) in [
        (404, "", 404, "has no video"),
        (400, "", 404, "has no video"),
        (401, "", 403, "does not show the video"),
        (403, "video_requires_password", 403, "only with a password"),
        (429, "", 502, "status 429"),
    ] {
        let answer = json_with(status, &json!({"status": status, "code": code, "detail": "x"}));
        let problem = problem(told, answer).await;
        assert!(problem.contains(said), "{problem}");
        assert!(status == 429 || problem.contains(SHORT), "{problem}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_refused() {
    let page = Resource::new("text/html", "<!doctype html><title>A shop</title>");
    assert!(problem(502, page).await.contains("as PeerTube does"));
    let large = Resource::new("application/json", pattern(10 << 20, 1));
    assert!(problem(502, large).await.contains("more than 1048576 bytes"));
    let endless = Resource::generated(1 << 40).without_length();
    assert!(problem(502, endless).await.contains("more than 1048576 bytes"));
    let cut = Resource::new("application/json", "{\"uuid\":1}").truncate_first(9, 5);
    assert!(problem(502, cut).await.contains("ended its answer early"));
}

#[tokio::test]
async fn no_other_host_is_asked() {
    let other = TestOrigin::start().await;
    let video = json!({"uuid": UUID, "streamingPlaylists": []});
    other.put("/api/v1/videos/x", Resource::new("application/json", video.to_string()));
    for status in [301, 302, 307] {
        let elsewhere = Resource::redirect(status, other.url("/api/v1/videos/x").as_str());
        assert!(problem(502, elsewhere).await.contains("redirects to another host"));
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_video_without_anything_to_play_is_named() {
    let video = |is_live| json!({"uuid": UUID, "isLive": is_live, "streamingPlaylists": []});
    let nothing = json_with(200, &video(false));
    assert!(problem(404, nothing).await.contains("has no file"));
    let later = json_with(200, &video(true));
    assert!(problem(404, later).await.contains("is not broadcasting"));
}

#[tokio::test]
async fn a_playlist_of_videos_is_refused_without_asking() {
    let (instance, daemon) = (Instance::start().await, lone_daemon().await);
    let page = instance.url("/w/p/kkGMgK9ZtnKfYAgnEtQxbv");
    let problem = get(daemon.local_addr(), &play(&page)).await.problem(400);
    assert!(problem.contains("open one of its videos"), "{problem}");
    assert!(instance.origin.requests().is_empty());
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let (instance, daemon) = (Instance::start().await, lone_daemon().await);
    let renditions = [Rendition::new(720, Form::Pieces, 1)];
    for (pointer, what) in [
        ("/streamingPlaylists/0/playlistUrl", "playlist"),
        ("/streamingPlaylists/0/segmentsSha256Url", "list of hashes"),
    ] {
        let mut video = instance.video(&renditions);
        *video.pointer_mut(pointer).unwrap() = json!("file:///etc/passwd");
        instance.describe(&video);
        let problem = get(daemon.local_addr(), &play(&instance.page())).await.problem(502);
        assert!(problem.ends_with(&format!("unusable address as the video's {what}")), "{problem}");
    }
}

//! Answers of several versions, written after the API's documentation, and ones that are none.

use serde_json::{Value, json};

use super::super::recognise;
use super::*;

const HLS_PATH: &str = "https://tube.test/static/streaming-playlists/hls/9c9d";

fn link() -> Link {
    recognise(&"https://tube.test/w/abc".parse().unwrap()).unwrap().unwrap()
}

fn read(answer: &Value) -> Result<Found, NotPlayable> {
    found(&link(), answer.to_string().as_bytes())
}

fn stream(answer: &Value) -> Stream {
    match read(answer) {
        Ok(Found::Stream(stream)) => *stream,
        other => panic!("{other:?}"),
    }
}

fn video() -> Value {
    json!({
        "id": 12, "uuid": "9c9de5e8-0a1e-484a-b099-e80766180a6d", "shortUUID": "abc",
        "name": "A film", "isLive": false, "isLocal": true,
        "state": {"id": 1, "label": "Published"},
        "files": [],
        "streamingPlaylists": [{
            "id": 3, "type": 1,
            "playlistUrl": format!("{HLS_PATH}/2f1c-master.m3u8"),
            "segmentsSha256Url": format!("{HLS_PATH}/5e6f-segments-sha256.json"),
            "redundancies": [{"baseUrl": "https://mirror.test/static/redundancy/hls/9c9d"}],
            "files": [{"id": 1, "resolution": {"id": 720, "label": "720p"}, "hasAudio": true}],
        }],
        "trackerUrls": ["https://tube.test/tracker/announce", "wss://tube.test/tracker/socket"],
    })
}

#[test]
fn a_video_has_a_playlist_hashes_and_a_tracker() {
    let stream = stream(&video());
    let playlist = format!("{HLS_PATH}/2f1c-master.m3u8");
    assert_eq!((stream.playlist.as_str(), stream.swarm_id.as_str()), (&*playlist, &*playlist));
    let list = format!("{HLS_PATH}/5e6f-segments-sha256.json");
    assert_eq!(stream.hash_list.as_ref().map(Url::as_str), Some(&*list));
    let tracker = stream.tracker.as_ref().map(Url::as_str);
    assert_eq!(tracker, Some("wss://tube.test/tracker/socket"));
    assert!(stream.renditions == 1 && !stream.is_live);
}

#[test]
fn the_swarm_is_named_as_the_instance_spells_it() {
    let mut answer = video();
    let spelt = "https://TUBE.test:443/static/./x/master.m3u8?v=1";
    answer["streamingPlaylists"][0]["playlistUrl"] = json!(spelt);
    let stream = stream(&answer);
    assert_eq!(stream.swarm_id, spelt);
    assert_eq!(stream.playlist.as_str(), "https://tube.test/static/x/master.m3u8?v=1");
}

#[test]
fn what_an_older_version_leaves_out_is_missed_only_for_sharing() {
    let bare = json!({
        "uuid": "u",
        "streamingPlaylists": [{"type": 1, "playlistUrl": "https://cdn.test/a.m3u8"}],
    });
    let bare = stream(&bare);
    assert_eq!((&bare.tracker, &bare.hash_list, bare.renditions), (&None, &None, 0));
    let mut answer = video();
    answer["streamingPlaylists"][0]["segmentsSha256Url"] = Value::Null;
    answer["files"] = Value::Null;
    assert_eq!(stream(&answer).hash_list, None);
    answer["streamingPlaylists"][0]["segmentsSha256Url"] = json!("");
    assert_eq!(stream(&answer).hash_list, None);
    let mut answer = video();
    answer["trackerUrls"] = json!(["udp://t.test:1", "http://t.test/announce", "not a url"]);
    assert_eq!(stream(&answer).tracker, None);
}

#[test]
fn without_hls_the_best_file_is_played() {
    let file = |lines: u64| {
        let url = format!("https://tube.test/static/web-videos/x-{lines}.mp4");
        json!({"fileUrl": url, "resolution": {"id": lines, "label": ""}})
    };
    let mut answer = video();
    answer["streamingPlaylists"] = json!([]);
    answer["files"] = json!([file(480), file(1080), file(720), {"resolution": {"id": 2160}}]);
    let best = "https://tube.test/static/web-videos/x-1080.mp4".parse().unwrap();
    assert_eq!(read(&answer), Ok(Found::File(best)));
    answer["files"] = json!([]);
    assert_eq!(read(&answer), Err(NotPlayable::NoFile("abc".to_owned())));
    answer["isLive"] = json!(true);
    assert_eq!(read(&answer), Err(NotPlayable::NotLive("abc".to_owned())));
    let mut answer = video();
    answer["streamingPlaylists"][0]["type"] = json!(2);
    assert_eq!(read(&answer), Err(NotPlayable::NoFile("abc".to_owned())));
}

#[test]
fn an_answer_never_leads_from_https_to_http() {
    for (pointer, url) in [
        ("/streamingPlaylists/0/playlistUrl", "http://tube.test/a.m3u8"),
        ("/streamingPlaylists/0/playlistUrl", "file:///etc/passwd"),
        ("/streamingPlaylists/0/playlistUrl", "/relative.m3u8"),
        ("/streamingPlaylists/0/segmentsSha256Url", "http://tube.test/l.json"),
        ("/streamingPlaylists/0/segmentsSha256Url", "javascript:alert(1)"),
    ] {
        let mut answer = video();
        *answer.pointer_mut(pointer).unwrap() = json!(url);
        assert!(matches!(read(&answer), Err(NotPlayable::Address(_))), "{url}");
    }
    let mut answer = video();
    answer["trackerUrls"] = json!(["ws://tube.test/tracker/socket"]);
    assert_eq!(stream(&answer).tracker, None);
    let long = format!("https://tube.test/{}", "a".repeat(URL_BYTES_MAX));
    answer["streamingPlaylists"][0]["playlistUrl"] = json!(long);
    assert_eq!(read(&answer), Err(NotPlayable::Address("playlist")));
}

#[test]
fn an_instance_without_tls_may_name_addresses_without_tls() {
    let link = recognise(&"http://127.0.0.1:9/w/abc".parse().unwrap()).unwrap().unwrap();
    let answer = video().to_string().replace("https://", "http://").replace("wss://", "ws://");
    let Ok(Found::Stream(stream)) = found(&link, answer.as_bytes()) else { panic!("no stream") };
    assert_eq!(stream.tracker.unwrap().as_str(), "ws://tube.test/tracker/socket");
}

#[test]
fn what_is_no_answer_of_peertube_is_told_from_one() {
    let deep = "[".repeat(100_000);
    let nested = r#"{"uuid":"#.repeat(10_000);
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "<!doctype html><title>App</title>",
        r#"{"uuid":""}"#,
        r#"{"uuid":7}"#,
        r#"{"uuid":"a","streamingPlaylists":{}}"#,
        r#"{"uuid":"a","streamingPlaylists":[{"type":"1"}]}"#,
        r#"{"uuid":"a","trackerUrls":[7],"streamingPlaylists":[]}"#,
        r#"{"uuid":"a","files":[{"resolution":{"id":"big"}}]}"#,
        &deep,
        &nested,
    ] {
        assert_eq!(found(&link(), text.as_bytes()), Err(NotPlayable::NotPeerTube), "{text:.60}");
    }
}

#[test]
fn a_refusal_says_why() {
    let id = || "abc".to_owned();
    for (status, body, why) in [
        (404, "{}", NotPlayable::NoVideo(id())),
        (
            400,
            r#"{"status":400,"detail":"Incorrect request parameters: id"}"#,
            NotPlayable::NoVideo(id()),
        ),
        (403, r#"{"code":"video_requires_password"}"#, NotPlayable::Password(id())),
        (401, r#"{"detail":"Not authenticated"}"#, NotPlayable::Private(id())),
        (403, "<html>", NotPlayable::Private(id())),
        (503, "", NotPlayable::Status(503)),
        (302, "", NotPlayable::Status(302)),
    ] {
        assert_eq!(refusal(&link(), status, body.as_bytes()), why, "{status} {body}");
    }
    let said = format!("tube.test {}", NotPlayable::NoVideo(id()));
    assert_eq!(said, "tube.test has no video abc");
}

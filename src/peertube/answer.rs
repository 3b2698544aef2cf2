//! What `/api/v1/videos/ID` says of a video. PURE.
//!
//! Instances of all versions are read: what is unknown is passed over, what is missing is as if it
//! were empty, and what is of another kind than documented is no answer of PeerTube at all.

use serde::Deserialize;
use url::Url;

use super::{Found, Link, NotPlayable, Stream, URL_BYTES_MAX};

/// `type` of a streaming playlist in HLS.
const HLS: u64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Video {
    /// What only a video has.
    uuid: String,
    is_live: Option<bool>,
    streaming_playlists: Option<Vec<Playlist>>,
    files: Option<Vec<File>>,
    tracker_urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Playlist {
    r#type: u64,
    playlist_url: Option<String>,
    segments_sha256_url: Option<String>,
    files: Option<Vec<File>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    file_url: Option<String>,
    resolution: Option<Resolution>,
}

#[derive(Deserialize)]
struct Resolution {
    id: i64,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    code: String,
}

/// What a link leads to, by the answer with status 200.
///
/// # Errors
/// [`NotPlayable`] when the answer is none, or there is nothing to play.
pub fn found(link: &Link, answer: &[u8]) -> Result<Found, NotPlayable> {
    let video: Video = serde_json::from_slice(answer).map_err(|_| NotPlayable::NotPeerTube)?;
    if video.uuid.is_empty() {
        return Err(NotPlayable::NotPeerTube);
    }
    let is_live = video.is_live.unwrap_or_default();
    let playlists = video.streaming_playlists.unwrap_or_default();
    let hls = playlists.into_iter().filter(|playlist| playlist.r#type == HLS);
    let mut hls = hls.filter_map(|p| Some((p.playlist_url?, p.segments_sha256_url, p.files)));
    if let Some((playlist, list, files)) = hls.find(|(url, ..)| !url.is_empty()) {
        let list = list.filter(|url| !url.is_empty());
        let list = list.map(|url| web(link, &url, "list of hashes")).transpose()?;
        return Ok(Found::Stream(Box::new(Stream {
            playlist: web(link, &playlist, "playlist")?,
            swarm_id: playlist,
            hash_list: list,
            tracker: tracker(link, &video.tracker_urls.unwrap_or_default()),
            is_live,
            renditions: files.unwrap_or_default().len(),
        })));
    }
    if is_live {
        return Err(NotPlayable::NotLive(link.id().to_owned()));
    }
    let files = video.files.unwrap_or_default().into_iter();
    let files =
        files.filter_map(|file| Some((file.resolution.map_or(0, |r| r.id), file.file_url?)));
    let best = files.max_by_key(|(lines, _)| *lines);
    let (_, file) = best.ok_or_else(|| NotPlayable::NoFile(link.id().to_owned()))?;
    Ok(Found::File(web(link, &file, "file")?))
}

/// What an answer with another status says.
pub fn refusal(link: &Link, status: u16, answer: &[u8]) -> NotPlayable {
    let id = link.id().to_owned();
    let code = serde_json::from_slice::<Refused>(answer).map(|said| said.code).unwrap_or_default();
    match status {
        // A malformed id is a bad request.
        400 | 404 | 410 => NotPlayable::NoVideo(id),
        401 | 403 if code.contains("password") => NotPlayable::Password(id),
        401 | 403 => NotPlayable::Private(id),
        status => NotPlayable::Status(status),
    }
}

/// The first WebSocket among the trackers; the others are for torrents.
fn tracker(link: &Link, urls: &[String]) -> Option<Url> {
    let is_safe = |url: &Url| link.instance().scheme() == "http" || url.scheme() == "wss";
    let urls = urls.iter().filter(|url| url.len() <= URL_BYTES_MAX);
    urls.filter_map(|url| Url::parse(url).ok())
        .find(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host())
        .filter(is_safe)
}

/// An address of a video from its instance: never one that is less safe than the link.
fn web(link: &Link, text: &str, what: &'static str) -> Result<Url, NotPlayable> {
    let is_allowed = |url: &Url| {
        let is_safe = link.instance().scheme() == "http" || url.scheme() == "https";
        matches!(url.scheme(), "http" | "https") && url.has_host() && is_safe
    };
    Some(text)
        .filter(|text| text.len() <= URL_BYTES_MAX)
        .and_then(|text| Url::parse(text).ok())
        .filter(is_allowed)
        .ok_or(NotPlayable::Address(what))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

//! The links under which PeerTube shows videos. PURE.
//!
//! Any host may be an instance: a link is known by its path alone, and whether there is a video
//! is for the instance to say.

use url::Url;

use super::NotPlayable;

/// Longest id that is asked for: a UUID has 36 letters, short ones have 22.
const ID_BYTES_MAX: usize = 64;

/// A video of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The instance, without a path.
    instance: Url,
    /// The video.
    id: String,
    /// Shown inside of another page, which has a P2P switch of its own.
    is_embedded: bool,
}

/// The video that a URL is the page of; `None` when it has none of PeerTube's forms.
pub fn recognise(url: &Url) -> Option<Result<Link, NotPlayable>> {
    let path = url.path().strip_suffix('/').unwrap_or(url.path());
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (id, is_embedded) = match parts[..] {
        ["w", "p", id]
        | ["videos", "watch" | "embed", "playlist", id]
        | ["video-playlists", "embed", id] => {
            return is_id(id).then_some(Err(NotPlayable::Playlist));
        }
        ["w", id] | ["videos", "watch", id] => (id, false),
        ["videos", "embed", id] => (id, true),
        _ => return None,
    };
    if !is_id(id) || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut instance = url.clone();
    instance.set_path("/");
    instance.set_query(None);
    instance.set_fragment(None);
    Some(Ok(Link { instance, id: id.to_owned(), is_embedded }))
}

impl Link {
    /// The host, with its port.
    pub fn host(&self) -> &str {
        &self.instance[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// The instance, without a path.
    pub fn instance(&self) -> &Url {
        &self.instance
    }

    /// The video.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is shown inside of another page.
    pub fn is_embedded(&self) -> bool {
        self.is_embedded
    }

    /// Where the video is described.
    pub fn video(&self) -> Url {
        self.under(&format!("api/v1/videos/{}", self.id))
    }

    /// Where more is said of a video that is being broadcast.
    pub fn live(&self) -> Url {
        self.under(&format!("api/v1/videos/live/{}", self.id))
    }

    fn under(&self, path: &str) -> Url {
        let mut url = self.instance.clone();
        url.set_path(path);
        url
    }
}

fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "9c9de5e8-0a1e-484a-b099-e80766180a6d";

    fn link(url: &str) -> Option<Result<Link, NotPlayable>> {
        recognise(&url.parse().unwrap())
    }

    #[test]
    fn a_link_names_its_instance_and_its_video() {
        for (url, id, is_embedded) in [
            ("https://tube.test/w/kkGMgK9ZtnKfYAgnEtQxbv", "kkGMgK9ZtnKfYAgnEtQxbv", false),
            (&format!("https://tube.test/videos/watch/{UUID}"), UUID, false),
            (&format!("https://tube.test/w/{UUID}/?start=5s#c"), UUID, false),
            ("https://tube.test/videos/watch/42", "42", false),
            (
                "https://tube.test/videos/embed/kkGMgK9ZtnKfYAgnEtQxbv?p2p=0",
                "kkGMgK9ZtnKfYAgnEtQxbv",
                true,
            ),
        ] {
            let link = link(url).unwrap().unwrap();
            assert_eq!((link.id(), link.is_embedded()), (id, is_embedded), "{url}");
            assert_eq!(link.video().as_str(), format!("https://tube.test/api/v1/videos/{id}"));
            assert_eq!(link.live().as_str(), format!("https://tube.test/api/v1/videos/live/{id}"));
            assert_eq!(link.host(), "tube.test");
        }
        let on_a_port = link("http://127.0.0.1:9000/w/abc").unwrap().unwrap();
        assert_eq!(on_a_port.host(), "127.0.0.1:9000");
        assert_eq!(on_a_port.instance().as_str(), "http://127.0.0.1:9000/");
    }

    #[test]
    fn a_playlist_of_videos_is_none() {
        for path in ["w/p/abc", "videos/watch/playlist/abc", "videos/embed/playlist/abc"] {
            let url = format!("https://tube.test/{path}?playlistPosition=2");
            assert_eq!(link(&url), Some(Err(NotPlayable::Playlist)), "{url}");
        }
    }

    #[test]
    fn other_urls_are_left_alone() {
        for path in [
            "",
            "w",
            "w/",
            "w//",
            "w/a.m3u8",
            "w/a/b",
            "w/p",
            "x/w/abc",
            "videos/abc",
            "W/abc",
            "w/a%2Fb",
            "w/..%2e",
            "w/ä",
            "videos/watch/",
            "videos/watch/a.m3u8",
            "w/p/a.m3u8",
            &format!("w/{}", "a".repeat(65)),
        ] {
            let url = format!("https://tube.test/{path}");
            let is_p = path == "w/p";
            assert_eq!(link(&url).is_some(), is_p, "{url}");
        }
        assert_eq!(link("ftp://tube.test/w/abc"), None);
    }
}

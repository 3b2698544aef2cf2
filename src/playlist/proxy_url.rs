//! The two ways round between an origin's URL and the path this daemon offers for it.
//!
//! Judges no address (the origin's filter does) and knows no other route of the HTTP server.
//! `http/route` drives [`parse`], `rewrite` drives [`resolve`] and [`local_path`].

use url::Url;

use super::text;

/// Longest request target, and so the longest URL, that is taken or handed out.
pub const URL_BYTES_MAX: usize = 16 << 10;

/// Why a request target names no origin; the messages never contain the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// The first path element is neither `http` nor `https`.
    #[error(
        "the path must begin with /https/ or /http/ and a host, as in /https/example.com/a.m3u8"
    )]
    NotHttp,
    /// What follows the scheme is no URL.
    #[error("what follows the scheme is not a host and path")]
    NotAUrl,
    /// Longer than [`URL_BYTES_MAX`].
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
}

/// What a path pretends to be, so that players which judge by the extension accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix {
    /// MPEG transport stream.
    Ts,
    /// Fragmented MP4.
    M4s,
    /// MP4.
    Mp4,
    /// Packed audio: AAC in ADTS.
    Aac,
    /// Packed audio: AC-3.
    Ac3,
    /// Packed audio: E-AC-3.
    Ec3,
    /// Packed audio: MPEG audio.
    Mp3,
    /// Subtitles.
    Vtt,
    /// Playlist.
    M3u8,
    /// Key.
    Key,
    /// List of assets.
    Assets,
}

impl Suffix {
    /// Every kind of suffix.
    pub const ALL: [Self; 11] = [
        Self::Ts,
        Self::M4s,
        Self::Mp4,
        Self::Aac,
        Self::Ac3,
        Self::Ec3,
        Self::Mp3,
        Self::Vtt,
        Self::M3u8,
        Self::Key,
        Self::Assets,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ts => "~.ts",
            Self::M4s => "~.m4s",
            Self::Mp4 => "~.mp4",
            Self::Aac => "~.aac",
            Self::Ac3 => "~.ac3",
            Self::Ec3 => "~.ec3",
            Self::Mp3 => "~.mp3",
            Self::Vtt => "~.vtt",
            Self::M3u8 => "~.m3u8",
            Self::Key => "~.key",
            Self::Assets => "~.json",
        }
    }

    fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suffix| path.ends_with(suffix.as_str()))
    }
}

/// The origin's URL in a request target: `/https/host/path?query`, `/https://host/…` or
/// `/https:/host/…`, with at most one marked suffix, which is taken off.
///
/// Path and query keep their percent-encoding byte for byte; dot segments are resolved.
pub fn parse(path_and_query: &str) -> Result<Url, BadUrl> {
    if path_and_query.len() > URL_BYTES_MAX {
        return Err(BadUrl::TooLong);
    }
    let target = path_and_query.split('#').next().unwrap_or_default();
    let (scheme, rest) = split_scheme(target).ok_or(BadUrl::NotHttp)?;
    if rest.starts_with(['/', '\\', '?']) {
        return Err(BadUrl::NotAUrl);
    }
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let path = Suffix::of(path).map_or(path, |suffix| &path[..path.len() - suffix.as_str().len()]);
    Url::parse(&format!("{scheme}://{path}{query}")).map_err(|_| BadUrl::NotAUrl)
}

/// Whether a request's path is one that [`Suffix::Assets`] was put on.
pub fn is_asset_list(path: &str) -> bool {
    Suffix::of(path) == Some(Suffix::Assets)
}

/// The path under which this daemon offers `url`, in the canonical form. With a `suffix` the last
/// path element ends in it; without one, it does so only where the origin's own path ends like a
/// marked suffix and would lose it on the way back. The fragment is left out.
pub fn local_path(url: &Url, suffix: Option<Suffix>) -> String {
    let suffix = suffix.or_else(|| Suffix::of(url.path())).map_or("", Suffix::as_str);
    let authority = &url[url::Position::BeforeUsername..url::Position::AfterPort];
    let query = &url[url::Position::AfterPath..url::Position::AfterQuery];
    format!("/{}/{authority}{}{suffix}{query}", url.scheme(), url.path())
}

/// The absolute URL of `reference`, without a fragment; `None` for what this daemon does not
/// fetch: other schemes, hosts that would end a quoted attribute, and anything that is no URL.
/// Within one origin the user info of `base` goes with it.
pub fn resolve(base: &Url, reference: &str) -> Option<Url> {
    let mut url = base.join(&text::percent_encoded(reference)).ok()?;
    url.set_fragment(None);
    if has_user_info(base) && !has_user_info(&url) && url.origin() == base.origin() {
        // Refused only by URLs without a host, and those have no user info.
        let _ = url.set_username(base.username());
        let _ = url.set_password(base.password());
    }
    let is_http = matches!(url.scheme(), "http" | "https");
    let is_quotable = url.host_str().is_some_and(|host| !host.contains('"'));
    (is_http && is_quotable).then_some(url)
}

fn split_scheme(target: &str) -> Option<(&'static str, &str)> {
    let target = target.strip_prefix('/')?;
    let end = target.find([':', '/'])?;
    let scheme = match &target[..end] {
        s if s.eq_ignore_ascii_case("https") => "https",
        s if s.eq_ignore_ascii_case("http") => "http",
        _ => return None,
    };
    let rest = &target[end..];
    let rest = ["://", ":/", "/"].iter().find_map(|mark| rest.strip_prefix(mark))?;
    Some((scheme, rest))
}

fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form_people_paste() {
        let wanted =
            Url::parse("https://cdn.example.com:8443/a/m.m3u8?t=x%2Fy&u=http://z/").unwrap();
        for path in [
            "/https/cdn.example.com:8443/a/m.m3u8?t=x%2Fy&u=http://z/",
            "/https://cdn.example.com:8443/a/m.m3u8?t=x%2Fy&u=http://z/",
            "/https:/CDN.example.com:8443/a/./b/../m.m3u8?t=x%2Fy&u=http://z/",
            "/HTTPS/cdn.example.com:8443/a/m.m3u8~.ts?t=x%2Fy&u=http://z/#frag",
        ] {
            assert_eq!(parse(path), Ok(wanted.clone()), "{path}");
        }
        assert_eq!(parse("/http/host").unwrap().as_str(), "http://host/");
        assert_eq!(parse("/http/[::1]:80/x").unwrap().as_str(), "http://[::1]/x");
    }

    #[test]
    fn refuses_what_names_no_origin() {
        for (path, why) in [
            ("", BadUrl::NotHttp),
            ("/", BadUrl::NotHttp),
            ("/favicon.ico", BadUrl::NotHttp),
            ("/https", BadUrl::NotHttp),
            ("/ftp/host/x", BadUrl::NotHttp),
            ("/file:///etc/passwd", BadUrl::NotHttp),
            ("/httpsx/host/x", BadUrl::NotHttp),
            ("/https/", BadUrl::NotAUrl),
            ("/https:///host/x", BadUrl::NotAUrl),
            ("/https//host/x", BadUrl::NotAUrl),
            ("/https/?x", BadUrl::NotAUrl),
            ("/https/ho st/x", BadUrl::NotAUrl),
            ("/https/host:99999/x", BadUrl::NotAUrl),
        ] {
            assert_eq!(parse(path), Err(why), "{path}");
        }
        let long = format!("/https/host/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(parse(&long), Err(BadUrl::TooLong));
    }

    #[test]
    fn a_suffix_stands_before_the_query_and_comes_off_again() {
        let url = Url::parse("https://cdn.example.com/seg7.jpg?x=y~.ts").unwrap();
        let path = local_path(&url, Some(Suffix::Ts));
        assert_eq!(path, "/https/cdn.example.com/seg7.jpg~.ts?x=y~.ts");
        assert_eq!(parse(&path), Ok(url));
    }

    #[test]
    fn an_origin_path_that_looks_marked_survives() {
        let url = Url::parse("https://h/x~.ts").unwrap();
        assert_eq!(local_path(&url, None), "/https/h/x~.ts~.ts");
        assert_eq!(parse("/https/h/x~.ts~.ts"), Ok(url));
    }

    #[test]
    fn percent_encoding_survives_byte_for_byte() {
        for text in
            ["http://h/%7e/%2F%2f/a%20b;c=1,2/$&'()*+@:!?q=%zz&a[]=%C3%A9|^`{}", "http://h/?"]
        {
            let url = Url::parse(text).unwrap();
            assert_eq!(parse(&local_path(&url, None)).unwrap().as_str(), url.as_str());
        }
    }

    #[test]
    fn leaves_other_schemes_alone() {
        let base = Url::parse("https://h/a/b.m3u8").unwrap();
        for reference in
            ["data:text/plain,x", "skd://key", "urn:x", "http://[x", "http://%22,a=%22/"]
        {
            assert_eq!(resolve(&base, reference), None, "{reference}");
        }
        assert_eq!(resolve(&base, "//c.example/x#f").unwrap().as_str(), "https://c.example/x");
        assert_eq!(resolve(&base, "?a=b").unwrap().as_str(), "https://h/a/b.m3u8?a=b");
    }

    #[test]
    fn user_info_stays_within_its_origin() {
        let base = parse("/https/u:p%2F@h/a/b.m3u8").unwrap();
        assert_eq!(base.as_str(), "https://u:p%2F@h/a/b.m3u8");
        for (reference, local) in [
            ("x.ts", "/https/u:p%2F@h/a/x.ts"),
            ("https://h:443/x.ts", "/https/u:p%2F@h/x.ts"),
            ("https://v:q@h/x.ts", "/https/v:q@h/x.ts"),
            ("http://h/x.ts", "/http/h/x.ts"),
            ("//c.example/x.ts", "/https/c.example/x.ts"),
        ] {
            assert_eq!(local_path(&resolve(&base, reference).unwrap(), None), local);
        }
    }

    fn any_url() -> impl Strategy<Value = Url> {
        let host = prop_oneof![
            Just("example.com".to_owned()),
            Just("[2001:db8::1]".to_owned()),
            "[a-z]{1,9}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?"
        ];
        let tail =
            prop_oneof![Just(String::new()), Just("~.ts".to_owned()), Just("~.key".to_owned())];
        ("https?", host, "(/[!-~é ]{0,9}){0,4}", tail, "(\\?[!-~]{0,20})?").prop_filter_map(
            "a URL",
            |(scheme, host, path, tail, query)| {
                let mut url = Url::parse(&format!("{scheme}://{host}/{path}{tail}{query}")).ok()?;
                url.set_fragment(None);
                Some(url)
            },
        )
    }

    proptest! {
        #[test]
        fn the_way_there_and_back_is_the_identity(url in any_url(), at in 0..8usize) {
            let suffix = Suffix::ALL.get(at).copied();
            prop_assert_eq!(parse(&local_path(&url, suffix)), Ok(url));
        }

        #[test]
        fn never_panics(text in "\\PC*", tail in "[/:?#~.a-z@\\[\\]%\\\\]{0,20}") {
            let _ = parse(&text);
            let _ = parse(&format!("/https{tail}"));
        }
    }
}

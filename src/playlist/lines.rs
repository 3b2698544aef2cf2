//! A playlist as lines, tags and attributes, and every URI in it as a byte range.
//!
//! Understands no meaning beyond "this is a URI of that kind": no durations, no resolution of
//! relative references, no variables. `rewrite` drives [`uris`], `parse` the rest.

use std::ops::Range;

/// What a playlist as a whole is, which decides what its URI lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// URI lines are media playlists.
    Multivariant,
    /// URI lines are segments.
    Media,
    /// An IPTV list: it has no HLS tag, and its URI lines can be anything.
    ChannelList,
}

/// What a URI leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriKind {
    /// A line of a multivariant playlist.
    Variant,
    /// `EXT-X-MEDIA`.
    Rendition,
    /// `EXT-X-I-FRAME-STREAM-INF`.
    IFramePlaylist,
    /// `EXT-X-RENDITION-REPORT`, which players compare with the playlist URLs they know.
    RenditionReport,
    /// A line of a media playlist.
    Segment,
    /// `EXT-X-MAP`, or the announcement of one.
    Init,
    /// `EXT-X-KEY` and `EXT-X-SESSION-KEY`.
    Key,
    /// `EXT-X-PART`.
    Part,
    /// `EXT-X-PRELOAD-HINT` of a part.
    PreloadHint,
    /// A segment to come, in the tags some live services use.
    Prefetch,
    /// A line of an IPTV list, without the headers that may follow a bar.
    Channel,
    /// In `EXT-X-DATERANGE`: an asset, or what is to be loaded before one.
    Interstitial,
    /// In `EXT-X-DATERANGE`: a list of assets.
    AssetList,
    /// Session data, steering, and `URI` in tags we do not know.
    Other,
    /// No URI but the whole `QUERYPARAM="name"` of `EXT-X-DEFINE`, which speaks of the query of the
    /// playlist's own URL.
    QueryParameter,
}

/// One URI of a playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriSpan {
    /// Where it stands, in bytes; quotes are outside.
    pub range: Range<usize>,
    /// What it leads to.
    pub kind: UriKind,
    /// Whether it is the value of an attribute without the quotes that belong around it.
    pub lacks_quotes: bool,
}

/// One line without its line ending and the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The text.
    pub text: &'a str,
    /// Where the text begins in the playlist, in bytes.
    pub start: usize,
}

/// A tag and what follows its colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// With `EXT`, without `#`.
    pub name: &'a str,
    /// Behind the colon.
    pub value: &'a str,
    /// Where the value begins in the playlist, in bytes.
    pub value_start: usize,
}

/// One `NAME=value` of an attribute list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The name, without blanks.
    pub name: &'a str,
    /// The value, without quotes.
    pub value: &'a str,
    /// Where the name begins in the list, in bytes.
    pub start: usize,
    /// Where the value stands in the list, in bytes.
    pub range: Range<usize>,
    /// Whether it stood in quotes.
    pub is_quoted: bool,
}

/// Every URI of the playlist, in order.
pub fn uris(text: &str) -> impl Iterator<Item = UriSpan> {
    let of_lines = match form(text) {
        Form::Multivariant => UriKind::Variant,
        Form::Media => UriKind::Segment,
        Form::ChannelList => UriKind::Channel,
    };
    lines(text).flat_map(move |line| {
        let of_tag = line.tag().into_iter().flat_map(uris_of_tag);
        uri_of_line(line, of_lines).into_iter().chain(of_tag)
    })
}

/// What the playlist is. A segment tag decides for a media playlist whatever else is there, as
/// players decide; a playlist without any URI is an empty media playlist.
pub fn form(text: &str) -> Form {
    let mut form = Form::ChannelList;
    let mut has_extinf = false;
    for tag in lines(text).filter_map(Line::tag) {
        match tag.name {
            "EXT-X-TARGETDURATION" => return Form::Media,
            "EXTINF" => has_extinf = true,
            "EXT-X-STREAM-INF"
            | "EXT-X-MEDIA"
            | "EXT-X-I-FRAME-STREAM-INF"
            | "EXT-X-SESSION-DATA"
            | "EXT-X-SESSION-KEY"
            | "EXT-X-CONTENT-STEERING" => form = Form::Multivariant,
            name if name.starts_with("EXT-X-") && form == Form::ChannelList => form = Form::Media,
            _ => {}
        }
    }
    if has_extinf && form == Form::Multivariant { Form::Media } else { form }
}

/// The lines of a playlist; LF, CRLF and a lone CR end one.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive(['\n', '\r']).map(move |raw| {
        let trimmed = raw.trim_start_matches([' ', '\t']);
        let line = Line {
            text: trimmed.trim_end_matches(['\n', '\r', ' ', '\t']),
            start: start + raw.len() - trimmed.len(),
        };
        start += raw.len();
        line
    })
}

impl<'a> Line<'a> {
    /// The line as a tag, if it is one.
    pub fn tag(self) -> Option<Tag<'a>> {
        let rest = self.text.strip_prefix('#').filter(|rest| rest.starts_with("EXT"))?;
        let end = rest.find([':', ' ', '\t']).unwrap_or(rest.len());
        let at = (end + 1).min(rest.len());
        Some(Tag { name: &rest[..end], value: &rest[at..], value_start: self.start + 1 + at })
    }

    /// Whether it is a URI: neither blank nor comment nor tag.
    pub fn is_uri(self) -> bool {
        !self.text.is_empty() && !self.text.starts_with('#')
    }
}

impl<'a> Tag<'a> {
    /// The value of an attribute; the last one counts where a name is repeated.
    pub fn attribute(self, name: &str) -> Option<&'a str> {
        attributes(self.value).filter(|attribute| attribute.name == name).last().map(|a| a.value)
    }
}

/// The attributes of a list. What has no `=` is passed over, and a value whose closing quote is
/// missing ends the list.
pub fn attributes(list: &str) -> impl Iterator<Item = Attribute<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &list[at..];
            let end = rest.find(['=', ','])?;
            let name = rest[..end].trim();
            let start = at + rest.len() - rest.trim_start().len();
            at += end + 1;
            if rest.as_bytes()[end] == b',' {
                continue;
            }
            let value = &list[at..];
            let (range, is_quoted) = match value.strip_prefix('"') {
                Some(inner) => (at + 1..at + 1 + inner.find('"')?, true),
                None => (at..at + value.find(',').unwrap_or(value.len()), false),
            };
            at = range.end + usize::from(is_quoted);
            return Some(Attribute { name, value: &list[range.clone()], start, range, is_quoted });
        }
    })
}

fn uri_of_line(line: Line<'_>, kind: UriKind) -> Option<UriSpan> {
    if let Some(tag) = line.tag() {
        let range = tag.value_start..tag.value_start + tag.value.len();
        return is_prefetch(tag).then_some(UriSpan {
            range,
            kind: UriKind::Prefetch,
            lacks_quotes: false,
        });
    }
    let headers = if kind == UriKind::Channel { line.text.find('|') } else { None };
    let end = line.start + headers.unwrap_or(line.text.len());
    line.is_uri().then_some(UriSpan { range: line.start..end, kind, lacks_quotes: false })
}

fn uris_of_tag(tag: Tag<'_>) -> impl Iterator<Item = UriSpan> {
    // Once for the whole list: looking at other attributes for each would be quadratic.
    let (kind, is_preload) = (kind_of_tag(tag), is_preload(tag));
    // The value of a prefetch is one URI, also where it looks like a list.
    let has_list = tag.name.starts_with("EXT-X-") && !is_prefetch(tag);
    let list = if has_list { tag.value } else { "" };
    attributes(list).filter_map(move |attribute| {
        if !is_uri(tag.name, attribute.name, is_preload) {
            return None;
        }
        let mut range = attribute.range;
        let kind = if attribute.name == "X-ASSET-LIST" { UriKind::AssetList } else { kind };
        match (kind, attribute.is_quoted) {
            (UriKind::QueryParameter, true) => range = attribute.start..range.end + 1,
            (UriKind::QueryParameter, false) => return None,
            (_, true) => {}
            (_, false) => range.end = range.start + bare_uri_len(attribute.value)?,
        }
        let range = tag.value_start + range.start..tag.value_start + range.end;
        Some(UriSpan { range, kind, lacks_quotes: !attribute.is_quoted })
    })
}

/// How much of a value without quotes is a URI, as players read it: up to a blank. `None` for none
/// at all, and for quotes that are not closed or not `"`.
fn bare_uri_len(value: &str) -> Option<usize> {
    let len = value.find([' ', '\t']).unwrap_or(value.len());
    (len > 0 && !value[..len].contains(['"', '\''])).then_some(len)
}

fn is_uri(tag: &str, name: &str, is_preload: bool) -> bool {
    match (tag, name) {
        ("EXT-X-DATERANGE", "X-ASSET-URI" | "X-ASSET-LIST") => true,
        // Other classes may use the same name for something that nobody fetches.
        ("EXT-X-DATERANGE", "X-URI") => is_preload,
        ("EXT-X-CONTENT-STEERING", "SERVER-URI") => true,
        ("EXT-X-DEFINE", "QUERYPARAM") => true,
        ("EXT-X-DATERANGE" | "EXT-X-CONTENT-STEERING" | "EXT-X-DEFINE", _) => false,
        (_, name) => name == "URI",
    }
}

fn is_prefetch(tag: Tag<'_>) -> bool {
    matches!(tag.name, "EXT-X-TWITCH-PREFETCH" | "EXT-X-PREFETCH")
}

fn is_preload(tag: Tag<'_>) -> bool {
    tag.name == "EXT-X-DATERANGE" && tag.attribute("CLASS") == Some("com.apple.hls.preload")
}

fn kind_of_tag(tag: Tag<'_>) -> UriKind {
    match tag.name {
        "EXT-X-MEDIA" => UriKind::Rendition,
        "EXT-X-I-FRAME-STREAM-INF" | "EXT-X-IMAGE-STREAM-INF" => UriKind::IFramePlaylist,
        "EXT-X-RENDITION-REPORT" => UriKind::RenditionReport,
        "EXT-X-MAP" => UriKind::Init,
        "EXT-X-KEY" | "EXT-X-SESSION-KEY" => UriKind::Key,
        "EXT-X-PART" => UriKind::Part,
        "EXT-X-PRELOAD-HINT" if tag.attribute("TYPE") == Some("MAP") => UriKind::Init,
        "EXT-X-PRELOAD-HINT" => UriKind::PreloadHint,
        "EXT-X-DATERANGE" => UriKind::Interstitial,
        "EXT-X-DEFINE" => UriKind::QueryParameter,
        _ => UriKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<(&str, UriKind)> {
        uris(text).map(|span| (&text[span.range], span.kind)).collect()
    }

    #[test]
    fn finds_the_uri_of_every_tag() {
        let tags = [
            ("EXT-X-MAP:URI=\"u\",BYTERANGE=\"1@0\"", UriKind::Init),
            ("EXT-X-KEY:METHOD=AES-128, URI=\"u\"", UriKind::Key),
            ("EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"u\"", UriKind::Key),
            ("EXT-X-PART:DURATION=1,URI=\"u\"", UriKind::Part),
            ("EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"u\"", UriKind::PreloadHint),
            ("EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"u\"", UriKind::Init),
            ("EXT-X-RENDITION-REPORT:URI=\"u\",LAST-MSN=1", UriKind::RenditionReport),
            ("EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a,URI=b\",URI=\"u\"", UriKind::Rendition),
            ("EXT-X-I-FRAME-STREAM-INF:URI=\"u\"", UriKind::IFramePlaylist),
            ("EXT-X-IMAGE-STREAM-INF:URI=\"u\"", UriKind::IFramePlaylist),
            ("EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"u\"", UriKind::Other),
            ("EXT-X-CONTENT-STEERING:SERVER-URI=\"u\"", UriKind::Other),
            ("EXT-X-VENDOR:FOO,URI=\"u\"", UriKind::Other),
            ("EXT-X-DATERANGE:ID=\"1\",X-ASSET-URI=\"u\",X-URI=\"no\"", UriKind::Interstitial),
            ("EXT-X-DATERANGE:ID=\"1\",X-ASSET-LIST=\"u\"", UriKind::AssetList),
            ("EXT-X-DATERANGE:X-URI=\"u\",CLASS=\"com.apple.hls.preload\"", UriKind::Interstitial),
            ("EXT-X-MAP:URI=u ,BYTERANGE=\"1@0\"", UriKind::Init),
            ("EXT-X-TWITCH-PREFETCH:u", UriKind::Prefetch),
            ("EXT-X-PREFETCH:u", UriKind::Prefetch),
        ];
        for (tag, kind) in tags {
            assert_eq!(found(&format!("#{tag}\r\n")), [("u", kind)], "{tag}");
        }
    }

    #[test]
    fn passes_over_what_no_player_would_fetch() {
        let define = "#EXT-X-DEFINE: QUERYPARAM=\"a\",B=1\n";
        assert_eq!(found(define), [("QUERYPARAM=\"a\"", UriKind::QueryParameter)]);
        for text in [
            "#EXT-X-KEY:METHOD=NONE\n",
            "#EXT-X-KEY:URI=\"unterminated\n",
            "#EXT-X-MAP:URI='other quotes'\n",
            "#EXT-X-MAP:URI=\n",
            "# a comment URI=\"u\"\n",
            "#EXTVLCOPT:URI=\"u\"\n",
            "#EXT-X-DEFINE:QUERYPARAM=a\n",
            "#EXT-X-DEFINE:NAME=\"a\",URI=\"u\"\n",
            "\n \t\n\r\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn uri_lines_are_what_the_playlist_makes_them() {
        assert_eq!(
            found("#EXT-X-STREAM-INF:BANDWIDTH=1\n#x\n\n v.m3u8 \n"),
            [("v.m3u8", UriKind::Variant)]
        );
        assert_eq!(
            found("#EXT-X-TARGETDURATION:1\r#EXTINF:1,\ra.ts"),
            [("a.ts", UriKind::Segment)]
        );
        assert_eq!(found("#EXTINF:-1,A\nhttp://a/\n"), [("http://a/", UriKind::Channel)]);
        assert_eq!(found("http://a/|A=b&c\n"), [("http://a/", UriKind::Channel)]);
        assert_eq!(form("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1\n"), Form::Media);
        assert_eq!(found("#EXT-X-PREFETCH:a,URI=\"u\"\n"), [("a,URI=\"u\"", UriKind::Prefetch)]);
    }

    #[test]
    fn commas_in_quotes_do_not_end_a_value() {
        let list: Vec<_> =
            attributes("A=\"x,y\", B=1,,junk,C=\"\"").map(|a| (a.name, a.value)).collect();
        assert_eq!(list, [("A", "x,y"), ("B", "1"), ("C", "")]);
    }

    proptest! {
        #[test]
        fn spans_are_in_order_and_inside(
            text in "(#EXT-X-(MAP|KEY|PREFETCH|Y):|URI=|\"|,|\n|\r|a|é|#){0,60}",
        ) {
            let mut end = 0;
            for span in uris(&text) {
                prop_assert!(span.range.start >= end);
                end = span.range.end;
                prop_assert!(text.get(span.range).is_some());
            }
        }
    }
}

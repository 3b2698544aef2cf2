//! Content steering: one stream on several pathways (networks that deliver the same), and which of
//! them is in force.
//!
//! Finds the pathways of a multivariant playlist, what of one is the same as what of another, and
//! leaves one of them in the text that a player gets. `manifest` reads what a steering server
//! says, `course` decides. Nothing here fetches; `http/steering` drives it.

mod course;
mod manifest;
mod pathways;

pub use course::{Course, Heard, PENALTY};
pub use manifest::{BadManifest, MANIFEST_BYTES_MAX, Manifest, PathwayClone, inline};
pub use pathways::{PLAYLISTS_MAX, Pathways, Server};

use std::collections::BTreeSet;

use super::lines::{self, Tag};

/// The tag that this is about.
const TAG: &str = "EXT-X-CONTENT-STEERING";
/// Pathway of a variant that names none.
const UNNAMED: &str = ".";
/// Attributes that name groups of renditions, and those renditions' `TYPE`.
const GROUPS: [&str; 4] = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];
/// Most pathways, those of the playlist and clones together.
pub const PATHWAYS_MAX: usize = 64;

/// A group of renditions: its type and its name.
type Group<'a> = (&'a str, &'a str);

/// Whether a multivariant playlist asks to be steered.
pub fn is_steered(text: &str) -> bool {
    lines::lines(text).filter_map(lines::Line::tag).any(|tag| tag.name == TAG)
}

/// A multivariant playlist without the steering tag and with the variants of one pathway only, and
/// of the renditions those that they refer to or nobody does. All other lines stay as they are.
pub fn only(text: &str, pathway: &str) -> String {
    let is_kept = |tag: Tag<'_>| is_variant(tag) && pathway_of(tag) == pathway;
    filter(text, is_kept, |tag| tag.name == TAG || is_variant(tag) && pathway_of(tag) != pathway)
}

/// A multivariant playlist with some of its variants, and of the renditions those that they refer
/// to or nobody does. All other lines stay as they are.
pub(super) fn keep(text: &str, is_kept: impl Fn(Tag<'_>) -> bool) -> String {
    filter(text, &is_kept, |tag| tag.name == "EXT-X-STREAM-INF" && !is_kept(tag))
}

/// The variants of a multivariant playlist, those for trick play not among them.
pub(super) fn variants(text: &str) -> impl Iterator<Item = Tag<'_>> {
    let tags = lines::lines(text).filter_map(lines::Line::tag);
    tags.filter(|tag| tag.name == "EXT-X-STREAM-INF")
}

fn filter(
    text: &str,
    is_kept: impl Fn(Tag<'_>) -> bool,
    is_left_out: impl Fn(Tag<'_>) -> bool,
) -> String {
    let (mut kept, mut others) = (BTreeSet::new(), BTreeSet::new());
    for tag in lines::lines(text).filter_map(lines::Line::tag).filter(|tag| is_variant(*tag)) {
        let groups = if is_kept(tag) { &mut kept } else { &mut others };
        groups.extend(groups_of(tag));
    }
    let is_dropped = |tag: Tag<'_>| match tag.name {
        "EXT-X-MEDIA" => group_of(tag).is_some_and(|g| others.contains(&g) && !kept.contains(&g)),
        _ => is_left_out(tag),
    };
    let mut out = String::with_capacity(text.len());
    let (mut drops_uri, mut drops_feed) = (false, false);
    for raw in text.split_inclusive(['\n', '\r']) {
        // The second half of a line ending goes with the first.
        if std::mem::take(&mut drops_feed) && raw == "\n" {
            continue;
        }
        let line = lines::lines(raw).next();
        let tag = line.and_then(lines::Line::tag);
        let is_uri = line.is_some_and(lines::Line::is_uri);
        let is_out = tag.is_some_and(is_dropped) || is_uri && drops_uri;
        if let Some(tag) = tag.filter(|tag| tag.name == "EXT-X-STREAM-INF") {
            drops_uri = is_dropped(tag);
        } else if is_uri {
            drops_uri = false;
        }
        if is_out {
            drops_feed = raw.ends_with('\r');
        } else {
            out.push_str(raw);
        }
    }
    out
}

fn is_variant(tag: Tag<'_>) -> bool {
    matches!(tag.name, "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF")
}

fn pathway_of(tag: Tag<'_>) -> &str {
    tag.attribute("PATHWAY-ID").unwrap_or(UNNAMED)
}

/// The groups that a variant refers to.
fn groups_of(tag: Tag<'_>) -> impl Iterator<Item = Group<'_>> {
    GROUPS.into_iter().filter_map(move |kind| Some((kind, tag.attribute(kind)?)))
}

/// The group that a rendition is in.
fn group_of(tag: Tag<'_>) -> Option<Group<'_>> {
    Some((tag.attribute("TYPE")?, tag.attribute("GROUP-ID")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO: &str = "#EXTM3U\r\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/s\",PATHWAY-ID=\"B\"\r\n\
        # a comment\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"a/x\"\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"x\",URI=\"b/x\"\r\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"both\",NAME=\"x\",URI=\"t\"\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"nobody\",NAME=\"x\",URI=\"n\"\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"A\",AUDIO=\"a\",SUBTITLES=\"both\"\r\n\
        #EXT-X-UNKNOWN:1\r\na/v\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\",AUDIO=\"b\",SUBTITLES=\"both\"\r\nb/v\r\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"A\",URI=\"a/i\"\r\n";

    #[test]
    fn a_player_gets_each_variant_once_and_all_other_lines_as_they_were() {
        assert!(is_steered(TWO));
        assert_eq!(
            only(TWO, "B"),
            "#EXTM3U\r\n# a comment\r\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"x\",URI=\"b/x\"\r\n\
            #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"both\",NAME=\"x\",URI=\"t\"\r\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"nobody\",NAME=\"x\",URI=\"n\"\r\n\
            #EXT-X-UNKNOWN:1\r\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\",AUDIO=\"b\",SUBTITLES=\"both\"\r\n\
            b/v\r\n"
        );
    }

    #[test]
    fn variants_that_name_no_pathway_are_in_the_unnamed_one() {
        let text = "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/s\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-STREAM-INF:PATHWAY-ID=\"B\"\nb\n";
        assert_eq!(only(text, UNNAMED), "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n");
    }

    proptest! {
        #[test]
        fn what_is_left_are_lines_of_the_text_in_their_order(
            text in "(#EXT-X-(CONTENT-STEERING|STREAM-INF|MEDIA):(PATHWAY-ID=\"[AB]\",)?\
                (TYPE=AUDIO,GROUP-ID=\"a\"|AUDIO=\"a\")?(\r|\n|\r\n)|[a#é]?(\r|\n|\r\n)){0,30}",
        ) {
            let left = only(&text, "A");
            let mut lines = text.split_inclusive(['\n', '\r']);
            prop_assert!(left.split_inclusive(['\n', '\r']).all(|l| lines.any(|known| known == l)));
            prop_assert_eq!(only(&left, "A"), left);
        }
    }
}

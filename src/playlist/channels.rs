//! Headers that an IPTV list states for its channels, in lines that few players read.
//!
//! Reads `#EXTVLCOPT`, `#EXTHTTP` and `#KODIPROP`; the lines stay in the list for players that do
//! read them. What stands behind a bar in a channel's own URL is not read here: Kodi takes it off
//! and sends it, and of other players `http/session` takes it off. Catch-up sources are templates
//! that a player fills in, and stay as they are. `http/playlist` drives it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use url::form_urlencoded;

use super::lines::{self, Line};

/// Most different sets of headers taken from one list; other channels are left to their players.
pub const SETS_MAX: usize = 128;
/// Most bytes of names and values in one set.
pub const SET_BYTES_MAX: usize = 4 << 10;
/// Most names in one set.
pub const NAMES_MAX: usize = 32;

/// What VLC calls the headers that it can be told.
const VLC_OPTIONS: [(&str, &str); 4] = [
    ("http-referrer", "referer"),
    ("http-referer", "referer"),
    ("http-user-agent", "user-agent"),
    ("http-origin", "origin"),
];

/// What Kodi's inputstream.adaptive calls lists of headers.
const KODI_PROPERTIES: [&str; 3] = [
    "inputstream.adaptive.manifest_headers",
    "inputstream.adaptive.stream_headers",
    "inputstream.adaptive.common_headers",
];

/// Headers by their names in lower case, values unchecked.
pub type Set = BTreeMap<String, String>;

/// The headers of a list's channels.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The different sets, in the order of the list.
    pub sets: Vec<Set>,
    /// Where the lines of channels begin that have one, and which; in the order of the list.
    channels: Vec<(usize, usize)>,
}

impl Headers {
    /// Which set the channel has whose line begins there.
    pub fn set_at(&self, start: usize) -> Option<usize> {
        let found = self.channels.binary_search_by_key(&start, |channel| channel.0).ok()?;
        Some(self.channels[found].1)
    }
}

/// What a list of channels states, in one pass.
pub fn headers(text: &str) -> Headers {
    let (mut found, mut known) = (Headers::default(), BTreeMap::new());
    let mut stated = Stated::default();
    for line in lines::lines(text) {
        if !line.is_uri() {
            stated.read(line);
            continue;
        }
        let set = std::mem::take(&mut stated).into_set();
        let Some(set) = set.filter(|set| known.len() < SETS_MAX || known.contains_key(set)) else {
            continue;
        };
        let at = *known.entry(set).or_insert_with_key(|set: &Set| {
            found.sets.push(set.clone());
            found.sets.len() - 1
        });
        found.channels.push((line.start, at));
    }
    found
}

/// Headers stated for the next channel; `None` for one that is stated in two ways, which is left
/// to the player: it knows which of the lines is meant for it.
#[derive(Default)]
struct Stated {
    headers: BTreeMap<String, Option<String>>,
    bytes: usize,
}

impl Stated {
    fn read(&mut self, line: Line<'_>) {
        let Some((kind, value)) = line.text.split_once(':') else { return };
        match kind {
            "#EXTVLCOPT" => self.vlc_option(value),
            "#EXTHTTP" => self.json(value),
            "#KODIPROP" => self.kodi_property(value),
            _ => {}
        }
    }

    fn vlc_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once('=') else { return };
        let known = VLC_OPTIONS.iter().find(|known| known.0.eq_ignore_ascii_case(name.trim()));
        if let Some((_, header)) = known {
            self.add(header, value);
        }
    }

    fn json(&mut self, json: &str) {
        let headers: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(json).unwrap_or_default();
        for (name, value) in &headers {
            if let Some(value) = value.as_str() {
                self.add(name, value);
            }
        }
    }

    fn kodi_property(&mut self, property: &str) {
        let Some((name, value)) = property.split_once('=') else { return };
        if KODI_PROPERTIES.contains(&name.trim().to_ascii_lowercase().as_str()) {
            for (name, value) in form_urlencoded::parse(value.trim().as_bytes()) {
                self.add(name.trim_start_matches('!'), &value);
            }
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        self.bytes = self.bytes.saturating_add(name.len() + value.len());
        if name.is_empty() || self.headers.len() >= NAMES_MAX || self.bytes > SET_BYTES_MAX {
            return;
        }
        match self.headers.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert(Some(value.to_owned()))),
            Entry::Occupied(mut entry) if entry.get().as_deref() != Some(value) => {
                entry.insert(None);
            }
            Entry::Occupied(_) => {}
        }
    }

    fn into_set(self) -> Option<Set> {
        let is_whole = self.bytes <= SET_BYTES_MAX;
        let sure = self.headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let set: Set = sure.collect();
        (is_whole && !set.is_empty()).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(pairs: &[(&str, &str)]) -> Set {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The set of the first channel.
    fn first(text: &str) -> Option<Set> {
        let uri = lines::lines(text).find(|line| line.is_uri())?;
        let found = headers(text);
        found.set_at(uri.start).map(|at| found.sets[at].clone())
    }

    #[test]
    fn every_way_to_state_headers_is_read() {
        for (lines, wanted) in [
            (
                "#EXTVLCOPT:http-referrer=http://r.test/?a=b\r\n",
                &[("referer", "http://r.test/?a=b")][..],
            ),
            ("#EXTVLCOPT:HTTP-User-Agent = TV 1\n", &[("user-agent", "TV 1")]),
            ("#EXTVLCOPT:http-origin=http://o.test\n", &[("origin", "http://o.test")]),
            ("#EXTHTTP:{\"Cookie\":\"a=b; c=d\",\"n\":1}\n", &[("cookie", "a=b; c=d")]),
            (
                "#KODIPROP:inputstream.adaptive.stream_headers=Referer=http%3A%2F%2Fr&!X-A=b+c\n",
                &[("referer", "http://r"), ("x-a", "b c")],
            ),
            ("#KODIPROP:inputstream.adaptive.manifest_headers=A=1\n#EXTINF:-1,x\n", &[("a", "1")]),
        ] {
            assert_eq!(
                first(&format!("#EXTM3U\n{lines}http://a/\n")),
                Some(set(wanted)),
                "{lines}"
            );
        }
    }

    #[test]
    fn what_states_no_header_is_passed_over() {
        for lines in [
            "#EXTVLCOPT:network-caching=1000\n",
            "#EXTVLCOPT:http-referrer\n",
            "#KODIPROP:inputstream=inputstream.adaptive\n",
            "#KODIPROP:inputstream.adaptive.license_key=Referer=x\n",
            "#EXTHTTP:{\"Cookie\":\n",
            "#EXTHTTP:[\"Cookie\"]\n",
            "#EXTHTTP:{\"Cookie\":{\"a\":\"b\"}}\n",
            "#EXTINF:-1 user-agent=\"x\",#EXTVLCOPT:http-referrer=x\n",
        ] {
            assert_eq!(
                headers(&format!("#EXTM3U\n{lines}http://a/\n")),
                Headers::default(),
                "{lines}"
            );
        }
        let deep = format!("#EXTHTTP:{}\nhttp://a/\n", "[".repeat(100_000));
        assert_eq!(headers(&deep), Headers::default());
    }

    #[test]
    fn a_header_stated_in_two_ways_is_left_to_the_player() {
        let twice = "#EXTVLCOPT:http-user-agent=A\n#EXTHTTP:{\"User-Agent\":\"B\",\"X\":\"y\"}\n\
            #EXTVLCOPT:http-user-agent=A\nhttp://a/\n";
        assert_eq!(first(twice), Some(set(&[("x", "y")])));
        let same = "#EXTVLCOPT:http-user-agent=A\n#EXTHTTP:{\"user-agent\":\"A\"}\nhttp://a/\n";
        assert_eq!(first(same), Some(set(&[("user-agent", "A")])));
    }

    #[test]
    fn headers_are_those_of_the_next_channel_only_and_like_ones_are_one_set() {
        let text = "#EXTVLCOPT:http-user-agent=A\nhttp://a/\nhttp://b/\n\
            #EXTHTTP:{\"User-Agent\":\"A\"}\nhttp://c/\n#EXTVLCOPT:http-user-agent=B\nhttp://d/\n";
        let found = headers(text);
        let at: Vec<_> =
            ["a", "b", "c", "d"].map(|host| text.find(&format!("http://{host}/")).unwrap()).into();
        let sets: Vec<_> = at.iter().map(|at| found.set_at(*at)).collect();
        assert_eq!(sets, [Some(0), None, Some(0), Some(1)]);
        assert_eq!(found.sets, [set(&[("user-agent", "A")]), set(&[("user-agent", "B")])]);
    }

    #[test]
    fn sets_names_and_bytes_are_limited() {
        let channel = |n: usize| format!("#EXTVLCOPT:http-user-agent={n}\nhttp://a/{n}\n");
        let text: String = (0..1000).chain([5]).map(channel).collect();
        let found = headers(&text);
        assert_eq!((found.sets.len(), found.channels.len()), (SETS_MAX, SETS_MAX + 1));
        let long = format!("#EXTVLCOPT:http-user-agent={}\n", "x".repeat(SET_BYTES_MAX));
        assert_eq!(first(&format!("{long}http://a/\n")), None, "not a part of it either");
        let many: String = (0..100).map(|n| format!("#EXTHTTP:{{\"x{n}\":\"y\"}}\n")).collect();
        assert_eq!(first(&format!("{many}http://a/\n")).unwrap().len(), NAMES_MAX);
    }

    proptest! {
        #[test]
        fn any_list_is_read(
            text in "(#EXTVLCOPT:http-user-agent=|#EXTHTTP:|#KODIPROP:inputstream.adaptive.\
                stream_headers=|http://a/|\\{\"|\":\"|\"\\}|A=|&|%|\n|\r|é|\\PC){0,40}",
        ) {
            let found = headers(&text);
            for line in lines::lines(&text).filter(|line| line.is_uri()) {
                prop_assert!(found.set_at(line.start).is_none_or(|at| at < found.sets.len()));
            }
            prop_assert!(found.channels.is_sorted());
        }
    }
}

//! What a player of a low-latency stream asks of a playlist (`_HLS_msn` and its like). PURE.
//!
//! They come in our URL's query and go to the origin in its own: behind what the origin wrote
//! there, which may be signed, and sorted. They are no part of what a playlist is called.

use url::Url;

use super::freshness::Edge;

/// What every directive begins with.
const RESERVED: &str = "_HLS_";

/// The directives of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Names and values as they came, sorted.
    pairs: Vec<String>,
    /// The segment, and the part of it, to wait for.
    awaited: Option<(u64, Option<u64>)>,
}

/// A playlist's URL without directives, and those.
pub fn split(url: &Url) -> (Url, Directives) {
    let query = url.query().unwrap_or_default();
    let (mut pairs, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| pair.starts_with(RESERVED));
    if pairs.is_empty() {
        return (url.clone(), Directives::default());
    }
    pairs.sort_unstable();
    pairs.dedup();
    let mut plain = url.clone();
    plain.set_query((!others.is_empty()).then(|| others.join("&")).as_deref());
    let number = |name: &str| {
        pairs.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let awaited = number("_HLS_msn").map(|msn| (msn, number("_HLS_part")));
    (plain, Directives { pairs: pairs.into_iter().map(str::to_owned).collect(), awaited })
}

impl Directives {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether the origin is asked to answer only once there is more.
    pub fn is_blocking(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether a playlist that reaches `edge` has what is waited for.
    pub fn are_met_by(&self, edge: Edge) -> bool {
        self.awaited.is_none_or(|(msn, part)| match part {
            _ if msn < edge.msn => true,
            Some(part) => msn == edge.msn && part < edge.parts,
            None => false,
        })
    }

    /// The URL to ask the origin for.
    pub fn added_to(&self, plain: &Url) -> Url {
        let mut url = plain.clone();
        if !self.is_empty() {
            let own = plain.query().filter(|query| !query.is_empty()).map(str::to_owned);
            let all: Vec<String> = own.into_iter().chain(self.pairs.iter().cloned()).collect();
            url.set_query(Some(&all.join("&")));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(query: &str) -> Url {
        format!("https://a.test/live.m3u8{query}").parse().unwrap()
    }

    #[test]
    fn directives_go_to_the_origin_sorted_behind_its_own_query() {
        for (came, plain, goes) in [
            ("", "", ""),
            ("?z=1&a=%20", "?z=1&a=%20", "?z=1&a=%20"),
            ("?_HLS_part=2&_HLS_msn=7", "", "?_HLS_msn=7&_HLS_part=2"),
            ("?_HLS_skip=YES&z=1&_HLS_msn=7&a=b", "?z=1&a=b", "?z=1&a=b&_HLS_msn=7&_HLS_skip=YES"),
            ("?a&_HLS_msn=7&_HLS_msn=7", "?a", "?a&_HLS_msn=7"),
        ] {
            let (found, directives) = split(&url(came));
            assert_eq!(found, url(plain), "{came}");
            assert_eq!(directives.added_to(&found), url(goes), "{came}");
        }
    }

    #[test]
    fn what_is_waited_for_is_recognised() {
        let edge = Edge { msn: 8, parts: 2, is_end: false };
        for (query, is_blocking, is_met) in [
            ("", false, true),
            ("?_HLS_skip=YES", false, true),
            ("?_HLS_msn=7", true, true),
            ("?_HLS_msn=8", true, false),
            ("?_HLS_msn=8&_HLS_part=1", true, true),
            ("?_HLS_msn=8&_HLS_part=2", true, false),
            ("?_HLS_msn=7&_HLS_part=99", true, true),
            ("?_HLS_msn=9&_HLS_part=0", true, false),
            ("?_HLS_msn=x", false, true),
            ("?_HLS_part=1", false, true),
            ("?_HLS_msn=99999999999999999999999", false, true),
        ] {
            let (_, directives) = split(&url(query));
            assert_eq!(directives.is_blocking(), is_blocking, "{query}");
            assert_eq!(directives.are_met_by(edge), is_met, "{query}");
        }
    }
}

//! What differs for some streams: in which swarms they are, and where these meet. Rules are found
//! by the host or by the beginning of a stream's URL.
//!
//! Nothing here reads settings or joins anything: `config` brings the owner's rules, and whoever
//! starts a stream asks.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use url::Url;

use super::membership::Generation;
use super::template::Template;

/// Some of the generations of the browser engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generations(BTreeSet<Generation>);

impl Default for Generations {
    fn default() -> Self {
        Self::of(&Generation::ALL)
    }
}

impl Generations {
    /// Those.
    pub fn of(generations: &[Generation]) -> Self {
        Self(generations.iter().copied().collect())
    }

    /// Whether it is one of them.
    pub fn has(&self, generation: Generation) -> bool {
        self.0.contains(&generation)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Generation> + '_ {
        self.0.iter().copied()
    }
}

/// How the browsers that a stream is shared with count the segments of a film up to G2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegmentIds {
    /// From zero.
    #[default]
    HlsJs,
    /// By media sequence number.
    Shaka,
}

/// Streams that a rule holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Those at a host and at the hosts below it.
    Host(String),
    /// Those whose URL begins like this.
    Prefix(Url),
}

/// What holds for a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRule {
    /// In whose swarms it is; the general setting where nothing is said.
    pub generations: Option<Generations>,
    /// What its swarm is called, in place of its URL.
    pub swarm_id: Option<String>,
    /// How its renditions are called.
    pub swarm_template: Option<Template>,
    /// How segments of a film are counted.
    pub segment_ids: SegmentIds,
    /// Where its members meet; the general setting where nothing is said.
    pub trackers: Option<Vec<Url>>,
    /// The hashes of its segments.
    pub hash_list: Option<Url>,
}

impl StreamRule {
    /// In whose swarms it is. A template is what applications of G2 give it.
    pub fn wanted(&self) -> Generations {
        match (&self.generations, &self.swarm_template) {
            (Some(generations), _) => generations.clone(),
            (None, Some(_)) => Generations::of(&[Generation::G2]),
            (None, None) => Generations::default(),
        }
    }
}

/// What holds where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where.
    pub place: Place,
    /// What.
    pub stream: StreamRule,
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    generations: Generations,
    rules: Vec<Rule>,
}

impl Rules {
    /// These, and the generations where none says any.
    pub fn new(generations: Generations, rules: Vec<Rule>) -> Self {
        Self { generations, rules }
    }

    /// What holds for the stream at a URL, its multivariant playlist's if it has one: the rule that
    /// names it most closely holds alone.
    pub fn for_url(&self, url: &Url) -> StreamRule {
        let fitting = self.rules.iter().filter(|rule| rule.place.has(url));
        let closest = fitting.max_by_key(|rule| rule.place.closeness());
        let mut stream = closest.map(|rule| rule.stream.clone()).unwrap_or_default();
        if stream.generations.is_none() && stream.swarm_template.is_none() {
            stream.generations = Some(self.generations.clone());
        }
        stream
    }
}

impl Place {
    fn has(&self, url: &Url) -> bool {
        match self {
            Self::Host(host) => url.host_str().is_some_and(|known| {
                let above = known.strip_suffix(host.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }),
            Self::Prefix(prefix) => url.as_str().starts_with(prefix.as_str()),
        }
    }

    fn closeness(&self) -> (bool, usize) {
        match self {
            Self::Host(host) => (false, host.len()),
            Self::Prefix(prefix) => (true, prefix.as_str().len()),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    /// A URL, or a host.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.contains("://") {
            let url = Url::parse(text).map_err(|_| ())?;
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            return is_http.then_some(Self::Prefix(url)).ok_or(());
        }
        let is_one = !text.contains(['/', '@', '?', '#', ' ', '\\']);
        let has_port = text.contains(':') && !(text.starts_with('[') && text.ends_with(']'));
        // As it is spelt in URLs.
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| ())?;
        let host = url.host_str().filter(|_| is_one && !has_port);
        host.map(|host| Self::Host(host.to_owned())).ok_or(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Prefix(url) => write!(f, "{url}"),
        }
    }
}

impl FromStr for SegmentIds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "hls.js" => Ok(Self::HlsJs),
            "shaka" => Ok(Self::Shaka),
            _ => Err(()),
        }
    }
}

impl fmt::Display for SegmentIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HlsJs => "hls.js",
            Self::Shaka => "shaka",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(place: &str, swarm_id: &str) -> Rule {
        let swarm_id = Some(swarm_id.to_owned());
        let stream = StreamRule { swarm_id, ..StreamRule::default() };
        Rule { place: place.parse().unwrap(), stream }
    }

    fn found(rules: &Rules, url: &str) -> Option<String> {
        rules.for_url(&Url::parse(url).unwrap()).swarm_id
    }

    #[test]
    fn the_rule_that_names_a_stream_most_closely_holds() {
        let rules = Rules::new(
            Generations::of(&[Generation::G2]),
            vec![
                rule("https://a.test/live/one", "one"),
                rule("https://A.test/live/", "live"),
                rule("a.test", "host"),
                rule("eu.a.test", "below"),
            ],
        );
        for (url, wanted) in [
            ("https://a.test/live/one/m.m3u8?t=1", Some("one")),
            ("https://a.test/live/two.m3u8", Some("live")),
            ("http://a.test/live/two.m3u8", Some("host")),
            ("https://eu.a.test:8443/m.m3u8", Some("below")),
            ("https://x.a.test/m.m3u8", Some("host")),
            ("https://ba.test/m.m3u8", None),
            ("https://b.test/a.test/m.m3u8", None),
        ] {
            assert_eq!(found(&rules, url).as_deref(), wanted, "{url}");
        }
        let elsewhere = rules.for_url(&Url::parse("https://c.test/").unwrap());
        assert_eq!(elsewhere.wanted(), Generations::of(&[Generation::G2]));
    }

    #[test]
    fn what_is_no_host_and_no_url_is_refused() {
        for text in ["", "a b", "a/b", "a:80", "u@a", "ftp://a/", "https://", "a?b", "a#b"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert_eq!("EXAMPLE.com".parse::<Place>(), Ok(Place::Host("example.com".to_owned())));
        assert_eq!("127.0.0.1".parse::<Place>(), Ok(Place::Host("127.0.0.1".to_owned())));
    }

    #[test]
    fn a_template_means_the_generation_that_knows_them_unless_another_is_named() {
        let template: Template = "x-{swarm_id}-{type}-{index}".parse().unwrap();
        let mut rule = StreamRule { swarm_template: Some(template), ..StreamRule::default() };
        assert_eq!(rule.wanted(), Generations::of(&[Generation::G2]));
        rule.generations = Some(Generations::of(&[Generation::G1]));
        assert_eq!(rule.wanted(), Generations::of(&[Generation::G1]));
    }
}

//! Settings for some streams: the tables `[[p2p.stream]]`.
//!
//! Reads and prints them; what they mean is `playlist::rules`, which finds the one that holds.

use std::str::FromStr;

use toml::de::{DeTable, DeValue};
use url::Url;

use super::setting::Setting;
use super::tracker_url;
use crate::playlist::membership::Generation;
use crate::playlist::rules::{Generations, Place, Rule, SegmentIds, StreamRule};
use crate::playlist::template::{PLACES, Template};

/// Most tables.
const RULES_MAX: usize = 1000;
/// Longest name of a swarm.
const SWARM_ID_BYTES_MAX: usize = 4096;
const KEYS: &str = "match, generations, swarm_id, swarm_template, segment_ids, trackers, hash_list";

/// The rules of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRules(pub Vec<Rule>);

impl StreamRules {
    /// Leaves what may be shown to anybody.
    pub(super) fn mask(&mut self) {
        let mask = |url: &mut Url| *url = crate::redact::url(url).parse().unwrap_or(url.clone());
        for Rule { place, stream } in &mut self.0 {
            if let Place::Prefix(url) = place {
                mask(url);
            }
            stream.trackers.iter_mut().flatten().for_each(mask);
            stream.hash_list.iter_mut().for_each(mask);
            if let Some(swarm_id) = &mut stream.swarm_id {
                *swarm_id = crate::redact::text(swarm_id);
            }
        }
    }
}

impl Setting for StreamRules {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let tables = value.as_array().filter(|tables| tables.len() <= RULES_MAX);
        let tables =
            tables.ok_or_else(|| format!("at most {RULES_MAX} sections [[p2p.stream]]"))?;
        let read = tables.iter().enumerate().map(|(at, table)| {
            let number = at + 1;
            let rule = table.get_ref().as_table().ok_or_else(|| "a section".to_owned());
            rule.and_then(rule_of)
                .map_err(|allowed| format!("sections [[p2p.stream]]; number {number}: {allowed}"))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let source = format!("rules = {text}");
        let table = DeTable::parse(&source).map_err(|_| "a list of TOML tables".to_owned())?;
        table
            .get_ref()
            .get("rules")
            .map_or_else(|| Ok(Self::default()), |v| Self::from_toml(v.get_ref()))
    }

    fn to_toml(&self) -> String {
        let tables: Vec<_> = self.0.iter().map(table_of).collect();
        format!("[{}]", tables.join(", "))
    }
}

impl Setting for Generations {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let items = value.as_array().ok_or(GENERATIONS)?;
        let read = items.iter().map(|item| match item.get_ref() {
            DeValue::Integer(number) => generation(number.as_str()),
            item => generation(item.as_str().unwrap_or_default()),
        });
        Ok(Self::of(&read.collect::<Result<Vec<_>, _>>()?))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self::of(&names.map(generation).collect::<Result<Vec<_>, _>>()?))
    }

    fn to_toml(&self) -> String {
        let names: Vec<_> = self.iter().map(|g| format!("\"{}\"", g.as_str())).collect();
        format!("[{}]", names.join(", "))
    }
}

const GENERATIONS: &str = "a list of \"G1\", \"G2\" and \"G3\"";

fn generation(name: &str) -> Result<Generation, String> {
    let is_it = |generation: &Generation| {
        let known = generation.as_str();
        name.eq_ignore_ascii_case(known) || name == &known[1..]
    };
    Generation::ALL.into_iter().find(is_it).ok_or_else(|| GENERATIONS.to_owned())
}

fn rule_of(table: &DeTable<'_>) -> Result<Rule, String> {
    let mut place = None;
    let mut stream = StreamRule::default();
    for (key, value) in table {
        let (key, value) = (key.get_ref().as_ref(), value.get_ref());
        match key {
            "match" => place = Some(text::<Place>(key, value, "a host, or how a URL begins")?),
            "generations" => stream.generations = Some(of_key(key, Setting::from_toml(value))?),
            "swarm_id" => {
                let fits = |text: &&str| (1..=SWARM_ID_BYTES_MAX).contains(&text.len());
                let id = value.as_str().filter(fits);
                let id = id.ok_or(format!("{key} must be a text in quotes, not empty"))?;
                stream.swarm_id = Some(id.to_owned());
            }
            "swarm_template" => {
                let allowed = format!("a text that tells renditions apart by {PLACES}");
                stream.swarm_template = Some(text::<Template>(key, value, &allowed)?);
            }
            "segment_ids" => {
                stream.segment_ids = text::<SegmentIds>(key, value, "\"hls.js\" or \"shaka\"")?;
            }
            "trackers" => {
                let texts: Vec<String> = of_key(key, Setting::from_toml(value))?;
                let urls: Option<Vec<_>> = texts.iter().map(|text| tracker_url(text)).collect();
                let urls = urls.ok_or(format!("{key} must be a list of ws:// or wss:// URLs"))?;
                stream.trackers = Some(urls);
            }
            "hash_list" => {
                let list = text::<Url>(key, value, HTTP)?;
                let is_http = matches!(list.scheme(), "http" | "https");
                stream.hash_list =
                    is_http.then_some(Some(list)).ok_or(format!("{key} must be {HTTP}"))?;
            }
            _ => return Err(format!("{key} is unknown; allowed: {KEYS}")),
        }
    }
    let place = place.ok_or("match is missing: a host, or how a URL begins")?;
    Ok(Rule { place, stream })
}

const HTTP: &str = "an http:// or https:// URL";

fn text<T: FromStr>(key: &str, value: &DeValue<'_>, allowed: &str) -> Result<T, String> {
    let read = value.as_str().and_then(|text| text.parse().ok());
    read.ok_or_else(|| format!("{key} must be {allowed}"))
}

fn of_key<T>(key: &str, read: Result<T, String>) -> Result<T, String> {
    read.map_err(|allowed| format!("{key} must be {allowed}"))
}

fn table_of(Rule { place, stream }: &Rule) -> String {
    let quoted = |text: String| text.to_toml();
    let mut entries = vec![format!("match = {}", quoted(place.to_string()))];
    let mut entry = |key: &str, value: Option<String>| {
        entries.extend(value.map(|value| format!("{key} = {value}")));
    };
    entry("generations", stream.generations.as_ref().map(Setting::to_toml));
    entry("swarm_id", stream.swarm_id.clone().map(quoted));
    entry("swarm_template", stream.swarm_template.as_ref().map(|t| quoted(t.to_string())));
    let is_told = stream.segment_ids != SegmentIds::default();
    entry("segment_ids", is_told.then(|| quoted(stream.segment_ids.to_string())));
    let trackers = stream.trackers.as_ref();
    entry(
        "trackers",
        trackers.map(|urls| urls.iter().map(Url::to_string).collect::<Vec<_>>().to_toml()),
    );
    entry("hash_list", stream.hash_list.as_ref().map(|list| quoted(list.to_string())));
    format!("{{ {} }}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Config, String> {
        Config::from_toml(text, Path::new("c.toml")).map_err(|error| error.to_string())
    }

    const ALL: &str = "[p2p]\ngenerations = [1, \"g3\"]\n\n\
        [[p2p.stream]]\nmatch = \"video.test\"\ngenerations = [2]\nswarm_id = \"own\"\n\
        swarm_template = \"pt-v2-{swarm_id}-{type}-default-{height}\"\nsegment_ids = \"shaka\"\n\
        trackers = [\"wss://video.test/tracker/socket\"]\n\
        hash_list = \"https://video.test/list.json?key=s3cret\"\n\n\
        [[p2p.stream]]\nmatch = \"https://a.test/live/?token=s3cret\"\n";

    #[test]
    fn rules_are_read_and_printed_so_that_they_can_be_read_again() {
        let config = read(ALL).unwrap();
        let wanted = Generations::of(&[Generation::G1, Generation::G3]);
        assert_eq!(config.p2p.generations, wanted);
        let [first, second] = &config.p2p.stream.0[..] else { panic!("two rules") };
        assert_eq!(first.place, Place::Host("video.test".to_owned()));
        assert_eq!(first.stream.wanted(), Generations::of(&[Generation::G2]));
        assert_eq!(first.stream.segment_ids, SegmentIds::Shaka);
        assert_eq!(first.stream.trackers.as_ref().unwrap().len(), 1);
        assert_eq!(second.stream, StreamRule::default());
        assert_eq!(read(&config.to_toml(false)).unwrap(), config);
        let mut by_text = StreamRules::from_text(&config.p2p.stream.to_toml()).unwrap();
        assert_eq!(by_text, config.p2p.stream);
        by_text.mask();
        assert!(!by_text.to_toml().contains("s3cret"), "{}", by_text.to_toml());
    }

    #[test]
    fn an_error_says_which_rule_and_what_is_allowed() {
        let many = "[[p2p.stream]]\nmatch = \"a\"\n".repeat(RULES_MAX + 1);
        for (text, message) in [
            ("[p2p]\ngenerations = [4]\n", "c.toml:2: p2p.generations: must be a list of \"G1\""),
            ("[p2p]\ngenerations = 1\n", "c.toml:2: p2p.generations: must be a list of \"G1\""),
            ("[p2p]\nstream = 1\n", "c.toml:2: p2p.stream: must be at most 1000 sections"),
            (&many, "c.toml:1: p2p.stream: must be at most 1000 sections"),
            (
                "[p2p]\nstream = [1]\n",
                "c.toml:2: p2p.stream: must be sections [[p2p.stream]]; \
                number 1: a section",
            ),
            (
                "[[p2p.stream]]\nmatsch = \"a\"\n",
                "c.toml:1: p2p.stream: must be sections \
                [[p2p.stream]]; number 1: matsch is unknown; allowed: match, generations",
            ),
            (
                "[[p2p.stream]]\nmatch = \"a\"\n[[p2p.stream]]\n",
                "c.toml:1: p2p.stream: must be \
                sections [[p2p.stream]]; number 2: match is missing",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(message), "{error}\n{message}");
            assert!(!error.contains('\n'), "one line: {error}");
        }
        for line in [
            "match = \"a b\"",
            "generations = [\"G4\"]",
            "swarm_id = \"\"",
            "swarm_id = 5",
            "swarm_template = \"{type}\"",
            "segment_ids = \"hlsjs\"",
            "trackers = [\"http://a.test/\"]",
            "hash_list = \"list.json\"",
            "hash_list = \"ftp://a/list.json\"",
        ] {
            let key = line.split(' ').next().unwrap();
            let error = read(&format!("[[p2p.stream]]\n{line}\n")).unwrap_err();
            assert!(error.contains(&format!("number 1: {key} must be ")), "{line}: {error}");
        }
    }
}

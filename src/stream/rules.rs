//! How single streams are shared and proved, where somebody knows better than the settings.
//!
//! A publisher's rule belongs to the playlist that players open and holds for everything it leads
//! to. Whoever asks publishers for their rules sets them; the registry looks them up. Elsewhere the
//! owner's rules hold.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use url::{Position, Url};

use crate::playlist::Multivariant;
use crate::playlist::identity::{RenditionIdentity, StreamKind};
use crate::playlist::membership::{
    Generation, InSwarms, Swarm, direct, first_generation, renditions,
};
use crate::playlist::rules::{Rules as Settings, StreamRule};
use crate::tracker::session::TrackerSession;

/// Playlists with a rule; beyond it the one used least recently is played by the settings.
const RULES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// What a publisher says of one playlist.
#[derive(Clone)]
pub struct Rule {
    /// What its swarms are named by, all in the first generation of the browser engine.
    pub swarm_id: String,
    /// How many variants its trackers know the swarms of, besides that of one audio rendition.
    pub variants: usize,
    /// Where its viewers meet, and nowhere else; nothing is shared without any.
    pub trackers: Vec<TrackerSession>,
    /// The list of hashes that every segment has to be in, whoever sends it.
    pub list: Option<Url>,
}

/// What is known of a media playlist before it is read.
pub struct Known {
    /// What it is.
    pub identity: RenditionIdentity,
    /// The swarms that it has.
    pub swarms: Vec<Swarm>,
    /// What its owner says.
    pub settings: StreamRule,
    /// What its publisher says.
    pub rule: Option<Arc<Rule>>,
    /// Whether it may be announced.
    pub may_share: bool,
}

/// The rules that hold.
pub struct Rules {
    settings: Settings,
    of_publishers: Mutex<LruCache<String, Arc<Rule>>>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        let names = |rule: &Self| -> Vec<String> {
            rule.trackers.iter().map(|tracker| tracker.url().to_owned()).collect()
        };
        (&self.swarm_id, self.variants, &self.list)
            == (&other.swarm_id, other.variants, &other.list)
            && names(self) == names(other)
    }
}

impl Rules {
    /// Those of the settings only.
    pub fn new(settings: Settings) -> Self {
        Self { settings, of_publishers: Mutex::new(LruCache::new(RULES_MAX)) }
    }

    /// Sets the rule of the playlist at a URL; whether that changes anything.
    pub fn set(&self, playlist: &Url, rule: Rule) -> bool {
        let mut rules = self.lock();
        let key = key(playlist);
        let is_new = rules.get(&key).is_none_or(|known| **known != rule);
        // Its trackers may be new although they are at the same places.
        rules.put(key, Arc::new(rule));
        is_new
    }

    /// What all playlists are that a multivariant one leads to, asked for at `requested`.
    pub fn all(&self, list: &Multivariant, requested: &Url, final_url: &Url) -> Vec<Known> {
        let settings = self.settings.for_url(requested);
        let Some(rule) = self.of(requested) else {
            let all = renditions(list, requested, final_url, &settings).into_iter();
            return all.map(|found| Known::unruled(found, settings.clone())).collect();
        };
        let is_wanted = settings.wanted().has(Generation::G1) && !rule.trackers.is_empty();
        let all = first_generation(list, final_url, &rule.swarm_id).into_iter();
        all.map(|(identity, position)| {
            let is_expected = match identity.kind {
                StreamKind::Main => position < rule.variants,
                StreamKind::Secondary => position == 0,
            };
            let swarm = Swarm { generation: Generation::G1, info_hash: identity.info_hash };
            Known {
                identity,
                swarms: vec![swarm],
                settings: settings.clone(),
                rule: Some(rule.clone()),
                may_share: is_expected && is_wanted,
            }
        })
        .collect()
    }

    /// What a media playlist is that no other has led to.
    pub fn direct(&self, requested: &Url, final_url: &Url) -> Known {
        let settings = self.settings.for_url(requested);
        let known = Known::unruled(direct(requested, final_url, &settings), settings);
        let rule = self.of(requested);
        // No publisher that has rules expects viewers of such a playlist.
        Known { may_share: rule.is_none(), rule, ..known }
    }

    fn of(&self, playlist: &Url) -> Option<Arc<Rule>> {
        self.lock().get(&key(playlist)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Arc<Rule>>> {
        self.of_publishers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Without a publisher who says anything.
    fn unruled(found: InSwarms, settings: StreamRule) -> Self {
        let InSwarms { identity, swarms } = found;
        Self { identity, swarms, settings, rule: None, may_share: true }
    }
}

/// Without what players may add to it.
fn key(playlist: &Url) -> String {
    let (scheme, rest) = (playlist.scheme(), &playlist[Position::BeforeHost..Position::AfterPath]);
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{self, Definitions, Playlist};

    fn rule(variants: usize) -> Rule {
        let swarm_id = "https://tube.test/m.m3u8".to_owned();
        Rule { swarm_id, variants, trackers: Vec::new(), list: None }
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_holds_for_its_playlist_whatever_the_query() {
        let rules = Rules::new(Settings::default());
        assert!(rules.set(&url("https://tube.test/m.m3u8"), rule(1)));
        assert!(!rules.set(&url("https://tube.test/m.m3u8?v=2"), rule(1)), "nothing new");
        assert!(rules.set(&url("https://tube.test/m.m3u8"), rule(2)));
        let known = rules.direct(&url("https://tube.test/m.m3u8?t=1#a"), &url("https://x.test/"));
        assert!(known.rule.is_some_and(|rule| rule.variants == 2) && !known.may_share);
        for other in ["http://tube.test/m.m3u8", "https://tube.test/n.m3u8"] {
            let known = rules.direct(&url(other), &url("https://x.test/"));
            assert!(known.rule.is_none() && known.may_share, "{other}");
        }
    }

    #[test]
    fn the_number_of_rules_is_limited() {
        let rules = Rules::new(Settings::default());
        let at = |n: usize| url(&format!("https://tube.test/{n}.m3u8"));
        for n in 0..=RULES_MAX.get() {
            rules.set(&at(n), rule(1));
        }
        assert!(rules.of(&at(0)).is_none() && rules.of(&at(1)).is_some());
    }

    #[test]
    fn swarms_are_named_as_peertubes_own_players_name_them() {
        let rules = Rules::new(Settings::default());
        let at = url("https://tube.example/static/streaming-playlists/hls/\
             9c9de5e8-0a1e-484a-b099-e80766180a6d/2f1c-master.m3u8");
        rules.set(&at, Rule { swarm_id: at.to_string(), ..rule(2) });
        let text = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio\",URI=\"audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=3,CODECS=\"avc1.64002a,mp4a.40.2\",AUDIO=\"audio\"\n1\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"avc1.64002a,mp4a.40.2\",AUDIO=\"audio\"\n2\n";
        let Ok(Playlist::Multivariant(list)) = playlist::read(text, &at, &Definitions::default())
        else {
            panic!("not multivariant")
        };
        // Where it is found after redirects does not count.
        let all = rules.all(&list, &at, &url("https://cdn.example/x.m3u8"));
        let hashes: Vec<_> = all.iter().map(|known| known.identity.info_hash.0).collect();
        let expected = [b"eeVw966bpFQXmq/jqLcl", b"qbLNs3Xake73VwpCn9kt", b"8YZWjwSCS/pJm8cjWwxB"];
        assert_eq!(hashes, expected.map(|hash| *hash));
    }

    #[test]
    fn without_trackers_nothing_may_be_shared_and_swarms_have_the_publishers_names() {
        let rules = Rules::new(Settings::default());
        let at = url("https://cdn.test/m.m3u8");
        rules.set(&at, Rule { swarm_id: "pt".to_owned(), ..rule(1) });
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64002a,mp4a.40.2\"\na\n";
        let Ok(Playlist::Multivariant(list)) = playlist::read(text, &at, &Definitions::default())
        else {
            panic!("not multivariant")
        };
        let all = rules.all(&list, &at, &at);
        assert!(all.len() == 1 && all.iter().all(|known| !known.may_share && known.rule.is_some()));
        let elsewhere = rules.all(&list, &url("https://cdn.test/other.m3u8"), &at);
        assert_ne!(all[0].identity.info_hash, elsewhere[0].identity.info_hash);
        assert!(elsewhere[0].may_share);
    }
}

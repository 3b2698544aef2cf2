//! What an instance says of itself, and of a live stream: whether viewers are to share, and which
//! hashes its tracker knows. PURE.
//!
//! A tracker of PeerTube blocks the address of whoever announces a hash that it does not know, so
//! whatever is not certain here means that nothing is shared.

use serde::Deserialize;
use url::Url;

/// Versions whose players name swarms as p2p-media-loader's first generation does: from here
const FIRST: (u32, u32) = (7, 1);
/// to here. Earlier ones have another engine, later ones name swarms in a way of their own.
const LAST: (u32, u32) = (8, 2);
/// `latencyMode` of a live stream that is to arrive at once, which PeerTube does not share.
const SMALL_LATENCY: u64 = 3;

/// An instance's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    version: (u32, u32),
    has_tracker: bool,
    shares_pages: bool,
    shares_embedded: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    server_version: String,
    tracker: Switch,
    defaults: Defaults,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Defaults {
    p2p: Places,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Places {
    webapp: Switch,
    embed: Switch,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Live {
    latency_mode: Option<u64>,
}

impl Instance {
    /// Reads `/api/v1/config`; what cannot be read shares nothing.
    pub fn read(answer: &[u8]) -> Self {
        let Ok(settings) = serde_json::from_slice::<Settings>(answer) else {
            return Self::default();
        };
        Self {
            version: version(&settings.server_version).unwrap_or_default(),
            has_tracker: settings.tracker.enabled,
            shares_pages: settings.defaults.p2p.webapp.enabled,
            shares_embedded: settings.defaults.p2p.embed.enabled,
        }
    }

    /// Whether visitors who have changed nothing share what they watch here.
    pub fn shares(&self, is_embedded: bool) -> bool {
        if is_embedded { self.shares_embedded } else { self.shares_pages }
    }

    /// Whether its tracker is there, and its players name swarms as we do.
    pub fn is_understood(&self) -> bool {
        self.has_tracker && (FIRST..=LAST).contains(&self.version)
    }
}

/// The instance whose tracker that is.
pub fn home(tracker: &Url) -> Url {
    let scheme = if tracker.scheme() == "ws" { "http" } else { "https" };
    let authority = &tracker[url::Position::BeforeHost..url::Position::AfterPort];
    // A host and port are as good under the other scheme.
    Url::parse(&format!("{scheme}://{authority}/")).unwrap_or_else(|_| tracker.clone())
}

/// Whether a live stream is too quick to be shared, by what `/api/v1/videos/live/ID` says.
pub fn is_quick(answer: &[u8]) -> bool {
    let live = serde_json::from_slice::<Live>(answer);
    live.map_or(true, |live| live.latency_mode == Some(SMALL_LATENCY))
}

/// The first two numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(version: &str, webapp: bool, embed: bool) -> Instance {
        let text = format!(
            r#"{{"serverVersion":"{version}","tracker":{{"enabled":true}},"x":[1],
                "defaults":{{"p2p":{{"webapp":{{"enabled":{webapp}}},
                                     "embed":{{"enabled":{embed}}}}}}}}}"#
        );
        Instance::read(text.as_bytes())
    }

    #[test]
    fn pages_and_embedded_players_have_a_switch_each() {
        let instance = config("8.1.0", true, false);
        assert!(instance.shares(false) && !instance.shares(true));
        let instance = config("8.1.0", false, true);
        assert!(!instance.shares(false) && instance.shares(true));
    }

    #[test]
    fn only_versions_that_name_swarms_as_we_do_are_understood() {
        for (version, is_understood) in [
            ("7.1.0", true),
            ("7.1.0-rc.1", true),
            ("7.3.0", true),
            ("8.0.0", true),
            ("8.2.3", true),
            ("7.0.1", false),
            ("6.3.3", false),
            ("8.3.0", false),
            ("9.0.0", false),
            ("10.1.0", false),
            ("", false),
            ("nightly", false),
            ("8", false),
            ("8.x", false),
            ("99999999999.1", false),
        ] {
            assert_eq!(config(version, true, true).is_understood(), is_understood, "{version}");
        }
        let without = br#"{"serverVersion":"8.1.0","tracker":{"enabled":false}}"#;
        assert!(!Instance::read(without).is_understood());
    }

    #[test]
    fn what_cannot_be_read_shares_nothing() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "null",
            "[]",
            "<html>",
            r#"{"defaults":7}"#,
            r#"{"tracker":{"enabled":"yes"}}"#,
            r#"{"serverVersion":8.1}"#,
            &deep,
        ] {
            let instance = Instance::read(text.as_bytes());
            assert_eq!(instance, Instance::default(), "{text:.40}");
            assert!(!instance.shares(false) && !instance.shares(true) && !instance.is_understood());
        }
    }

    #[test]
    fn a_tracker_is_its_instances() {
        for (tracker, instance) in [
            ("wss://tube.test/tracker/socket", "https://tube.test/"),
            ("ws://u:p@127.0.0.1:9000/tracker/socket?x#y", "http://127.0.0.1:9000/"),
            ("wss://[::1]:8443/", "https://[::1]:8443/"),
        ] {
            assert_eq!(home(&tracker.parse().unwrap()).as_str(), instance);
        }
    }

    #[test]
    fn a_live_stream_is_quick_when_it_says_so_or_nothing() {
        for (text, expected) in [
            (r#"{"latencyMode":1,"permanentLive":true}"#, false),
            (r#"{"latencyMode":2}"#, false),
            (r#"{"latencyMode":3}"#, true),
            ("{}", false),
            ("", true),
            ("<html>", true),
            (r#"{"latencyMode":"3"}"#, true),
        ] {
            assert_eq!(is_quick(text.as_bytes()), expected, "{text}");
        }
    }
}

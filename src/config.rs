//! The configuration: sections of settings, read from a TOML file and the environment.
//!
//! A setting, its default, unit, range and explanation stand on one field below;
//! `config.example.toml` is generated from these fields. Command line flags are applied by `cli`,
//! nothing here opens sockets or knows what a setting does.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::de::{DeTable, DeValue};
use url::Url;

mod rules;
pub mod setting;

use crate::http::delay::LiveDelay;
use crate::origin::proxy::{HostProxy, Proxy};
use crate::playlist::quality::Quality;
use crate::playlist::rules::Generations;
use crate::verify::hash_list::ListPlace;
use crate::verify::ladder::Mode;
pub use rules::StreamRules;
use setting::{Described, settings};

/// The largest configuration file that is read.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Every setting of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[http]`
    pub http: HttpConfig,
    /// `[cache]`
    pub cache: CacheConfig,
    /// `[origin]`
    pub origin: OriginConfig,
    /// `[p2p]`
    pub p2p: P2pConfig,
}

settings! {
    /// The local HTTP server that players talk to.
    pub struct HttpConfig {
        /// Address and port to listen on. Anything but loopback opens the daemon to the network.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4570));
        /// Further host names it answers to, besides localhost and its own addresses.
        hosts: Vec<String> = Vec::new();
        /// Web origins whose pages may use the daemon, such as `https://video.example.com`.
        allowed_origins: Vec<String> = Vec::new();
        /// Which variants players get to choose from, so that viewers gather in one swarm: "auto"
        /// (all), "max", "min", or a height such as 720 (the best of at most that many lines).
        quality: Quality = Quality::Automatic;
    }
}

settings! {
    /// Segments held in memory.
    pub struct CacheConfig {
        /// Bytes of segments kept, least recently used dropped first (0 to 1 TiB).
        bytes_max: u64 = 256 * 1024 * 1024, in 0..=1 << 40;
        /// Bytes of downloads under way that are kept for further readers (8 MiB to 1 TiB);
        /// beyond it a download goes through to its reader without being kept.
        in_flight_bytes_max: u64 = 256 * 1024 * 1024, in 8 << 20..=1 << 40;
        /// The largest segment that is kept or shared (1 MiB to 1 GiB); a larger one goes through.
        segment_bytes_max: u64 = 64 * 1024 * 1024, in 1 << 20..=1 << 30;
    }
}

settings! {
    /// Requests to the upstream servers.
    pub struct OriginConfig {
        /// Milliseconds to wait for a connection (100 to 60,000).
        connect_timeout_ms: u64 = 5_000, in 100..=60_000;
        /// Milliseconds to wait for the head of an answer (100 to 120,000); after 3 seconds of
        /// silence the same is asked for over a new connection, too.
        head_timeout_ms: u64 = 60_000, in 100..=120_000;
        /// Milliseconds without a byte after which a download is given up (100 to 120,000).
        idle_timeout_ms: u64 = 10_000, in 100..=120_000;
        /// Connections in use to one host; further requests wait for one (1 to 1,000).
        connections_per_host_max: u64 = 32, in 1..=1000;
        /// Proxy for all hosts, "http://host:port" or "socks5://host:port" ("socks5h://" lets it
        /// look names up), "user:password@" before the host if it wants that; empty means none.
        proxy: Proxy = Proxy::default();
        /// Proxies for some hosts and those below them, such as "example.com=http://host:port";
        /// "example.com=direct" uses none.
        proxy_hosts: Vec<HostProxy> = Vec::new();
    }
}

settings! {
    /// Sharing with other viewers. Nothing is shared while no tracker is named, here or, for its
    /// own videos, by an instance of PeerTube.
    pub struct P2pConfig {
        /// Whether to share at all.
        enabled: bool = true;
        /// WebTorrent trackers, "ws://…" or "wss://…"; they and the peers learn your address.
        trackers: Vec<String> = Vec::new(), all are_trackers;
        /// Versions of p2p-media-loader in whose swarms streams are: "G1" (1.0.3 to 2.2.2), "G2"
        /// (2.3 to 4.x), "G3" (5.0 and later). They do not see each other; what comes from one is
        /// given to the others, too.
        generations: Generations = Generations::default();
        /// What differs for some streams, each a section [[p2p.stream]]: match (a host, or how the
        /// URL begins), generations, swarm_id, swarm_template (how a rendition's swarm is called,
        /// with {swarm_id}, {type}, {index}, {identity} and {height} in it), segment_ids ("hls.js"
        /// counts the segments of a film, "shaka" takes their numbers), trackers, hash_list.
        stream: StreamRules = StreamRules::default();
        /// Whether to give segments to peers; false still takes them.
        upload: bool = true;
        /// Uploads at the same time, for each stream (1 to 100).
        uploads_max: u64 = 8, in 1..=100;
        /// Bytes per second given to peers, over all streams (0 for no limit, or 64 KiB to 10 GiB).
        upload_rate_max: u64 = 0, all is_upload_rate;
        /// Whether that limit holds for peers on the local network, too.
        upload_rate_on_lan: bool = false;
        /// Connections to peers, for each stream (1 to 200).
        peers_max: u64 = 20, in 1..=200;
        /// Longest wait in milliseconds, when a stream starts and its swarm has other members, for
        /// one of them to answer before the origin is asked (0 to 5,000; 0 asks at once).
        join_wait_ms: u64 = 0, in 0..=5_000;
        /// Seconds by which players of a live stream are kept behind its edge, so that peers have
        /// the time to get what they ask for (0 to 120; 0 turns it off). "auto" is two target
        /// durations while there are peers.
        live_delay_s: LiveDelay = LiveDelay::Automatic;
        /// Seconds for which a stream is still shared after its last player (0 to 86,400).
        linger_s: u64 = 30, in 0..=86_400;
        /// What has to prove that a peer's segment is the origin's. "ladder": the strongest of a
        /// hash list of the publisher, agreement of members, and slices compared with the origin's.
        /// "head": the origin is asked for a digest of each segment, too. "strict": only hash lists
        /// and digests count, and of a stream that has neither nothing is taken from peers.
        verify: Mode = Mode::Ladder;
        /// Hash lists, each "playlists=list": how the URLs of playlists begin, and the list's URL,
        /// such as `https://example.com/live/=https://example.com/hashes.json`. Otherwise
        /// segments-sha256.json is looked for beside the playlist.
        hash_lists: Vec<ListPlace> = Vec::new();
        /// Local IP addresses to connect from; empty means every network interface, and loopback
        /// too when a tracker is on this machine.
        bind: Vec<IpAddr> = Vec::new();
        /// Whether to ask the local network for the addresses that browsers hide behind ".local"
        /// names. Not done where "bind" has no address of a local network.
        mdns: bool = true;
        /// STUN servers ("stun:host:port") that find your public address; each learns of every
        /// session.
        stun: Vec<String> = Vec::new();
    }
}

/// The address of a tracker, if the text is one.
pub fn tracker_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host())
}

fn are_trackers(texts: &[String]) -> Result<(), String> {
    let allowed = || "a list of ws:// or wss:// URLs".to_owned();
    texts.iter().all(|text| tracker_url(text).is_some()).then_some(()).ok_or_else(allowed)
}

/// Less than a message of the protocol a second would look like a peer that has gone.
const UPLOAD_RATE_MIN: u64 = 64 << 10;

fn is_upload_rate(rate: &u64) -> Result<(), String> {
    let is_allowed = *rate == 0 || (UPLOAD_RATE_MIN..=10 << 30).contains(rate);
    is_allowed.then_some(()).ok_or_else(|| "0, or a number from 65536 to 10737418240".to_owned())
}

/// A section of the file: settings that can be set by name and described.
pub trait Section {
    /// Lines that explain the section.
    fn about(&self) -> Vec<&'static str>;
    /// The keys of the section.
    fn keys(&self) -> Vec<&'static str>;
    /// Sets one key from TOML; the error says what is allowed.
    fn set_toml(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String>;
    /// Sets one key from text; the error says what is allowed.
    fn set_text(&mut self, key: &str, text: &str) -> Result<(), String>;
    /// Every setting with its present value.
    fn describe(&self) -> Vec<Described>;
}

/// Why settings could not be read: one line that names the place and what is allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is larger than [`CONFIG_BYTES_MAX`].
    #[error("{}: larger than {CONFIG_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is not allowed.
    #[error("{}:{line}: {key}: {allowed}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Key, with its section.
        key: String,
        /// What is wrong and what is allowed.
        allowed: String,
    },
    /// An environment variable has a value that is not allowed.
    #[error("environment variable {name}: {allowed}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong and what is allowed.
        allowed: String,
    },
}

impl Config {
    /// Reads the file that applies (`explicit`, else `$HLSWARM_CONFIG`, else the user's, else the
    /// system's, else none) and the `HLSWARM_SECTION_KEY` variables of `environment`.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that cannot be read or is not allowed.
    pub fn load(
        explicit: Option<&Path>,
        environment: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let mut config = match find_file(explicit, environment) {
            Some(path) => Self::from_file(&path)?,
            None => Self::default(),
        };
        config.apply_environment(environment)?;
        Ok(config)
    }

    /// Reads one file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that cannot be read or is not allowed.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
        if std::fs::metadata(path).map_err(unreadable)?.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::from_toml(&text, path)
    }

    /// Reads TOML over the defaults; `path` is only for messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for the first thing that is not allowed.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let invalid = |offset: usize, key: String, allowed: String| ConfigError::Invalid {
            path: path.to_owned(),
            line: text[..offset.min(text.len())].matches('\n').count() + 1,
            key,
            allowed,
        };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            invalid(offset, "syntax".to_owned(), error.message().to_owned())
        })?;
        let mut config = Self::default();
        for (name, section) in table.get_ref() {
            let at = name.span().start;
            let Some(target) = config.section(name.get_ref()) else {
                let allowed = "unknown section; allowed: http, cache, origin, p2p".to_owned();
                return Err(invalid(at, name.get_ref().to_string(), allowed));
            };
            let DeValue::Table(keys) = section.get_ref() else {
                let allowed = format!("must be a section: [{}]", name.get_ref());
                return Err(invalid(at, name.get_ref().to_string(), allowed));
            };
            for (key, value) in keys {
                let known = target.keys().contains(&key.get_ref().as_ref());
                target.set_toml(key.get_ref(), value.get_ref()).map_err(|allowed| {
                    let key_name = format!("{}.{}", name.get_ref(), key.get_ref());
                    invalid(key.span().start, key_name, problem(known, &allowed))
                })?;
            }
        }
        Ok(config)
    }

    /// The settings in force as TOML; without `comments` only the values.
    pub fn to_toml(&self, comments: bool) -> String {
        let mut text = String::new();
        let sections: [(&str, &dyn Section); 4] = [
            ("http", &self.http),
            ("cache", &self.cache),
            ("origin", &self.origin),
            ("p2p", &self.p2p),
        ];
        for (name, section) in sections {
            if !text.is_empty() {
                text.push('\n');
            }
            if comments {
                for line in section.about() {
                    text.push_str(&format!("#{line}\n"));
                }
            }
            text.push_str(&format!("[{name}]\n"));
            for setting in section.describe() {
                if comments {
                    for line in &setting.explanation {
                        text.push_str(&format!("#{line}\n"));
                    }
                }
                text.push_str(&format!("{} = {}\n", setting.key, setting.value));
            }
        }
        text
    }

    /// The same settings as they may be shown to anybody.
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        for tracker in &mut masked.p2p.trackers {
            *tracker = crate::redact::text(tracker);
        }
        for place in &mut masked.p2p.hash_lists {
            *place = place.masked();
        }
        masked.p2p.stream.mask();
        masked
    }

    fn section(&mut self, name: &str) -> Option<&mut dyn Section> {
        Some(match name {
            "http" => &mut self.http,
            "cache" => &mut self.cache,
            "origin" => &mut self.origin,
            "p2p" => &mut self.p2p,
            _ => return None,
        })
    }

    fn apply_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix("HLSWARM_") else { continue };
            let Some((section, key)) = rest.split_once('_') else { continue };
            let Some(section) = self.section(&section.to_ascii_lowercase()) else { continue };
            let key = key.to_ascii_lowercase();
            let known = section.keys().contains(&key.as_str());
            section.set_text(&key, value).map_err(|allowed| ConfigError::Environment {
                name: name.clone(),
                allowed: problem(known, &allowed),
            })?;
        }
        Ok(())
    }
}

/// What is wrong with a key, in words.
fn problem(is_known: bool, allowed: &str) -> String {
    let problem = if is_known { "must be" } else { "unknown key; allowed:" };
    format!("{problem} {}", allowed.trim_start_matches("one of: "))
}

/// The first configuration file that applies; a file that was asked for need not exist (reading it
/// then says so), the usual places are passed over silently.
pub fn find_file(explicit: Option<&Path>, environment: &[(String, String)]) -> Option<PathBuf> {
    let variable = |name: &str| {
        environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| PathBuf::from(v))
    };
    if let Some(path) = explicit.map(Path::to_owned).or_else(|| variable("HLSWARM_CONFIG")) {
        return Some(path);
    }
    let user = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
        .map(|base| base.join("hlswarm/config.toml"));
    user.into_iter().chain([PathBuf::from("/etc/hlswarm/config.toml")]).find(|path| path.exists())
}

#[cfg(test)]
mod tests;

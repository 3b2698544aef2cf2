//! How playlists reach players: through which links, in which form, how fresh.

mod alternates;
mod channels;
mod cookies;
mod encodings;
mod identity;
mod interstitials;
mod kinds;
mod links;
mod lists;
mod live;
mod low_latency;
mod low_latency_parts;
mod odd_segments;
mod quality;
mod ranges;
mod steering;
mod suffixes;
mod transitions;

use hlswarm::config::Config;
use hlswarm::daemon::Daemon;

/// A daemon that shares with nobody.
async fn daemon() -> Daemon {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.p2p.enabled = false;
    Daemon::start(&config).await.unwrap()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The lines of a playlist that are no tags.
fn uris(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

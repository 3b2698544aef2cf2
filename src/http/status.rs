//! What people, scripts and dashboards see of the daemon: statistics, health, metrics, one page.
//!
//! Only reads; every URL shown has the values of its query masked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::Front;
use super::body::{self, Body};
use crate::cache::Cache;
use crate::ids::PeerId;
use crate::metrics::{Counters, Meter};
use crate::playlist::membership::Swarm;
use crate::redact;
use crate::stream::{Figures, StreamHandle, Trackers};
use crate::tracker::session::{TrackerSession, TrackerState};

/// What statistics are made of.
pub struct Status {
    /// Our id towards trackers.
    pub me: PeerId,
    /// When the daemon began.
    pub began: Instant,
    /// The daemon's counters.
    pub counters: Arc<Counters>,
    /// Counts what belongs to no stream.
    pub meter: Meter,
    /// The cache.
    pub cache: Arc<Cache>,
    /// The trackers.
    pub trackers: Arc<Trackers>,
    /// Whether the daemon is about to end.
    pub is_draining: AtomicBool,
}

/// `GET /api/v1/stats`
pub async fn stats(front: &Front) -> Response<Body> {
    typed("application/json", json_of(front).await.to_string())
}

/// `GET /api/v1/health`
pub fn health(front: &Front) -> Response<Body> {
    let is_draining = front.status.is_draining.load(Ordering::Relaxed);
    let (status, word) = if is_draining {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ok")
    };
    let mut response = typed("application/json", json!({ "status": word }).to_string());
    *response.status_mut() = status;
    response
}

/// `GET /metrics`
pub async fn metrics(front: &Front) -> Response<Body> {
    let stats = json_of(front).await;
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, help: &str, value: &Value| {
        text.push_str(&format!(
            "# HELP hlswarm_{name} {help}\n# TYPE hlswarm_{name} {kind}\nhlswarm_{name} {value}\n"
        ));
    };
    for (name, help) in [
        ("origin_bytes", "Body bytes received from origins."),
        ("peer_bytes", "Segment bytes received from peers."),
        ("cache_bytes", "Body bytes given to players that were already held."),
        ("upload_bytes", "Segment bytes given to peers."),
        ("served_bytes", "Body bytes given to players."),
        ("origin_requests", "Requests made to origins."),
        ("peer_segments", "Segments that came wholly from peers."),
        ("rejected_segments", "Segments from peers that failed verification."),
    ] {
        line(&format!("{name}_total"), "counter", help, &stats["totals"][name]);
    }
    for (name, kind, help) in [
        ("bytes", "gauge", "Bytes of segments held in memory."),
        ("capacity_bytes", "gauge", "Bytes of segments that may be held."),
        ("entries", "gauge", "Segments held."),
        ("hits", "counter", "Look-ups that found a segment."),
        ("misses", "counter", "Look-ups that did not."),
        ("evictions", "counter", "Segments dropped to make room."),
    ] {
        let suffix = if kind == "counter" { "_total" } else { "" };
        line(&format!("cache_{name}{suffix}"), kind, help, &stats["cache"][name]);
    }
    let count = |what: &str| Value::from(stats[what].as_array().map_or(0, Vec::len));
    line("streams", "gauge", "Streams being handled.", &count("streams"));
    line("peers", "gauge", "Connected peers.", &count("peers"));
    line("uptime_seconds", "gauge", "Seconds since the start.", &stats["uptime_s"]);
    typed("text/plain; version=0.0.4", text)
}

/// `GET /`
pub fn dashboard() -> Response<Body> {
    let mut response = typed("text/html; charset=utf-8", include_str!("dashboard.html"));
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; frame-ancestors 'none'",
        ),
    );
    response
}

async fn json_of(front: &Front) -> Value {
    let status = &front.status;
    let (mut streams, mut peers) = (Vec::new(), Vec::new());
    for stream in front.registry.streams() {
        let figures = stream.figures().await;
        peers.extend(peers_json(&stream, &figures));
        streams.push(stream_json(&stream, &figures));
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": (status.began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "peer_id": status.me.to_string(),
        "totals": status.counters.snapshot(),
        "cache": status.cache.figures(),
        "streams": streams,
        "peers": peers,
        "trackers": status.trackers.all().iter().map(tracker_json).collect::<Vec<_>>(),
    })
}

fn stream_json(stream: &StreamHandle, figures: &Figures) -> Value {
    let profile = stream.profile();
    let counters = profile.counters.snapshot();
    json!({
        "id": profile.info_hash.to_string(),
        "url": profile.url,
        "kind": if profile.is_live.load(Ordering::Relaxed) { "live" } else { "vod" },
        "rendition": profile.rendition,
        "swarms": profile.swarms.iter().map(swarm_json).collect::<Vec<_>>(),
        "peers": figures.peers.len(),
        "segments_held": figures.segments_held,
        "segments_listed": figures.segments_listed,
        "seeded": profile.is_seeded.load(Ordering::Relaxed),
        "origin_bytes": counters.origin_bytes,
        "peer_bytes": counters.peer_bytes,
        "cache_bytes": counters.cache_bytes,
        "upload_bytes": counters.upload_bytes,
        "served_bytes": counters.served_bytes,
        "checked_by": counters.checked_by,
        "live_delay_s": profile.live_delay_ms.load(Ordering::Relaxed) as f64 / 1000.0,
        "active_players": profile.active_players.load(Ordering::Relaxed),
    })
}

fn swarm_json(swarm: &Swarm) -> Value {
    json!({ "generation": swarm.generation.as_str(), "info_hash": swarm.info_hash.to_string() })
}

fn peers_json(stream: &StreamHandle, figures: &Figures) -> Vec<Value> {
    let of_peer = |peer: &crate::stream::PeerFigures| {
        json!({
            "id": peer.id.to_string(),
            "client": peer.id.client(),
            "stream": stream.profile().info_hash.to_string(),
            "path": peer.path.to_string(),
            "rtt_ms": peer.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            "down_bytes": peer.down_bytes,
            "up_bytes": peer.up_bytes,
            "segments_held": peer.segments_held,
        })
    };
    figures.peers.iter().map(of_peer).collect()
}

fn tracker_json(tracker: &TrackerSession) -> Value {
    let (state, error) = match tracker.state() {
        TrackerState::Connected => ("connected", None),
        TrackerState::Connecting => ("connecting", None),
        TrackerState::Failed { error } => ("failed", Some(error)),
    };
    // What cannot be parsed never became a tracker.
    let shown = url::Url::parse(tracker.url()).map_or_else(|_| String::new(), |u| redact::url(&u));
    json!({ "url": shown, "state": state, "error": error })
}

fn typed(content_type: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

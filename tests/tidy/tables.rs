//! The house rules as figures and tables: limits, who may use whom, and what is pure.

pub const FILE_LINES_MAX: usize = 400;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const COLUMNS_MAX: usize = 100;
pub const CRATE_DOC_LINES_MAX: usize = 90;

/// Modules anybody may use: vocabulary and bookkeeping without behaviour of their own.
pub const COMMON: &[&str] = &["ids", "limits", "metrics", "redact"];

/// Who may use whom, besides [`COMMON`]: `main -> daemon -> http -> stream -> {shells, core}`.
/// The swarm and the playlists are the core and use nothing above `ids`. The shells (`origin`,
/// `rtc`, `tracker`) never name each other.
pub const MAY_USE: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("limits", &[]),
    ("metrics", &[]),
    ("redact", &[]),
    ("shutdown", &[]),
    ("swarm", &[]),
    ("playlist", &[]),
    ("verify", &[]),
    ("peertube", &[]),
    // What the blocks of a segment are is kept with it.
    ("cache", &["verify"]),
    ("origin", &[]),
    ("rtc", &[]),
    ("tracker", &[]),
    ("stream", &["swarm", "verify", "playlist", "cache", "origin", "rtc", "tracker"]),
    // The tracker only for its state, which the statistics show.
    ("http", &["stream", "playlist", "peertube", "cache", "origin", "tracker"]),
    (
        "config",
        &["http", "playlist", "stream", "swarm", "verify", "cache", "origin", "rtc", "tracker"],
    ),
    ("seed", &["http", "stream", "playlist"]),
    (
        "daemon",
        &[
            "config", "shutdown", "http", "seed", "stream", "playlist", "swarm", "verify", "cache",
            "origin", "rtc", "tracker",
        ],
    ),
    ("demo", &["cli", "daemon", "config", "shutdown", "playlist", "origin", "tracker"]),
    ("cli", &["config"]),
    (
        "run",
        &[
            "cli", "config", "daemon", "demo", "seed", "shutdown", "origin", "peertube",
            "playlist", "tracker",
        ],
    ),
];

/// Files and directories that know no clock, socket, task or order of hash tables.
pub const PURE: &[&str] = &[
    "src/peertube/",
    "src/playlist/",
    "src/swarm/",
    "src/verify/",
    "src/tracker/message",
    "src/tracker/relay.rs",
    "src/http/cookies",
    "src/http/decode.rs",
    "src/http/delay.rs",
    "src/http/directives.rs",
    "src/http/freshness.rs",
    "src/http/held.rs",
    "src/http/route.rs",
    "src/http/range.rs",
    "src/http/guard.rs",
    "src/http/headers.rs",
    "src/http/session.rs",
    "src/origin/cookies",
    "src/origin/media.rs",
    "src/origin/retry.rs",
    "src/rtc/ice.rs",
    "src/rtc/mdns.rs",
    "src/redact.rs",
    "src/ids.rs",
];

/// What a pure file does not name, and why.
pub const IMPURE: &[(&str, &str)] = &[
    ("tokio", "tasks belong to the shells"),
    ("hyper", "sockets belong to the shells"),
    ("reqwest", "sockets belong to the shells"),
    ("webrtc", "sockets belong to the shells"),
    ("tungstenite", "sockets belong to the shells"),
    ("std::net::Tcp", "sockets belong to the shells"),
    ("std::net::Udp", "sockets belong to the shells"),
    ("std::fs", "files belong to the shells"),
    ("std::env", "settings are an input of the core"),
    ("std::thread", "tasks belong to the shells"),
    ("Instant::now", "time is an input of the core"),
    ("SystemTime", "time is an input of the core"),
    ("HashMap", "its order differs between runs; use BTreeMap"),
    ("HashSet", "its order differs between runs; use BTreeSet"),
    ("getrandom", "everything random comes from a seed"),
    ("rand::", "everything random comes from a seed"),
];

/// What a pure file names all the same, and why that is harmless.
pub const IMPURE_EXCEPT: &[(&str, &str, &str)] = &[
    ("src/ids.rs", "getrandom", "only shells draw ids; the core is handed them"),
    ("src/playlist/parse.rs", "HashMap", "m3u8-rs keeps attributes in one; never iterated"),
];

/// Crates that few files may name, so that replacing one touches only those.
pub const OWNED: &[(&str, &[&str])] = &[
    ("m3u8_rs", &["src/playlist/parse.rs"]),
    ("webrtc", &["src/rtc/"]),
    ("reqwest", &["src/origin/"]),
    ("tokio_tungstenite", &["src/tracker/"]),
];

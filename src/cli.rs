//! The command line: subcommands and flags, and what of them becomes configuration.
//!
//! Parses and decides nothing else; `run` carries the commands out.

mod seed;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
pub use seed::Seed;

/// A local proxy that makes any HLS player a member of a peer-to-peer swarm.
#[derive(Debug, Parser)]
#[command(name = "hlswarm", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `serve` when nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Serve(Serve),
    /// Play a stream through the daemon
    Play(Play),
    /// Keep streams in the cache and share them, without a player
    Seed(Seed),
    /// Print the localhost URL of a stream's URL
    Url {
        /// URL of the stream.
        url: String,
        /// Where the settings come from.
        #[command(flatten)]
        common: Common,
    },
    /// Show what the running daemon is doing
    Status {
        /// Print the statistics as JSON.
        #[arg(long)]
        json: bool,
        /// Print again every second.
        #[arg(long)]
        watch: bool,
        /// Where the settings come from.
        #[command(flatten)]
        common: Common,
    },
    /// Run a WebTorrent tracker, for a home or a test
    Tracker {
        /// Address and port to listen on.
        #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDR")]
        listen: SocketAddr,
        /// How much is logged.
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Show a swarm at work on this machine, with a bundled stream
    Demo(Demo),
    /// Print the settings in force, secrets masked
    Config {
        /// Only say whether they are valid.
        #[arg(long)]
        check: bool,
        /// Where the settings come from.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct Serve {
    /// Tracker to meet peers at, ws:// or wss:// (repeatable; replaces the configured ones).
    #[arg(long = "tracker", value_name = "URL")]
    pub trackers: Vec<String>,
    /// Share nothing.
    #[arg(long)]
    pub no_p2p: bool,
    /// Where the settings come from.
    #[command(flatten)]
    pub common: Common,
    /// How much is logged.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

/// Where the settings come from and where the daemon is.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port the daemon listens on.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// How much is logged.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Verbosity {
    /// Log more (-v decisions, -vv every message).
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log only warnings and errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Flags of `play`.
#[derive(Args, Clone, Debug)]
pub struct Play {
    /// URL of the stream.
    pub url: String,
    /// Player to start; the first of mpv, vlc and ffplay that is installed when not given.
    #[arg(long, value_name = "NAME")]
    pub player: Option<String>,
    /// Arguments for the player.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// Flags for the daemon, where none is running.
    #[command(flatten)]
    pub serve: Serve,
}

/// Flags of `demo`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Demo {
    /// Number of viewers, each a daemon of its own.
    #[arg(long, default_value_t = 5, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub viewers: u32,
    /// Seconds to play.
    #[arg(long, default_value_t = 30, value_name = "S")]
    #[arg(value_parser = clap::value_parser!(u32).range(4..=3600))]
    pub seconds: u32,
    /// A live stream instead of a film.
    #[arg(long)]
    pub live: bool,
    /// End with one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
    /// How much is logged.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

impl Serve {
    /// Puts the flags over the configuration.
    pub fn apply(&self, config: &mut Config) {
        self.common.apply(config);
        if !self.trackers.is_empty() {
            config.p2p.trackers.clone_from(&self.trackers);
        }
        if self.no_p2p {
            config.p2p.enabled = false;
        }
    }
}

impl Common {
    /// Puts the flags over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
    }
}

impl Verbosity {
    /// Only warnings unless more is asked for: for commands whose own output matters.
    pub fn hushed(self) -> Self {
        Self { quiet: self.verbose == 0, ..self }
    }

    /// The filter for logs where `RUST_LOG` says nothing.
    pub fn filter(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "warn,hlswarm=info",
            (false, 1) => "warn,hlswarm=debug",
            (false, _) => "info,hlswarm=trace",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_subcommand() {
        let cli = Cli::parse_from(["hlswarm", "--listen", "127.0.0.1:1", "--tracker", "ws://a"]);
        assert!(cli.command.is_none());
        let mut config = Config::default();
        config.p2p.trackers = vec!["ws://configured".to_owned()];
        cli.serve.apply(&mut config);
        assert_eq!(config.http.listen.port(), 1);
        assert_eq!(config.p2p.trackers, ["ws://a"]);
    }

    #[test]
    fn arguments_behind_two_dashes_are_the_players() {
        let cli = Cli::parse_from(["hlswarm", "play", "http://a/x.m3u8", "--", "--vo=null"]);
        let Some(Command::Play(play)) = cli.command else { panic!("not play") };
        assert_eq!(
            (play.url.as_str(), play.args.as_slice()),
            ("http://a/x.m3u8", &["--vo=null".to_owned()][..])
        );
    }
}

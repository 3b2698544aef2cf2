//! Flags of `seed`, and what of them becomes configuration.
//!
//! What is allowed is said by the settings that they stand for.

use clap::Args;

use super::{Common, Verbosity};
use crate::config::{Config, Section};

/// Flags of `seed`.
#[derive(Args, Clone, Debug)]
pub struct Seed {
    /// URLs of the streams, films or live.
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// Renditions to seed, where there is a choice: all, max, min, or a height such as 720.
    #[arg(long, value_name = "WHICH")]
    pub variant: Option<String>,
    /// Most bytes per second given to peers, such as 2M (0 for no limit).
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub upload_rate: Option<u64>,
    /// Most bytes of segments held in memory, such as 4G.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub cache: Option<u64>,
    /// Tracker to meet peers at, ws:// or wss:// (repeatable; replaces the configured ones).
    #[arg(long = "tracker", value_name = "URL")]
    pub trackers: Vec<String>,
    /// Where the settings come from.
    #[command(flatten)]
    pub common: Common,
    /// How much is logged.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

impl Seed {
    /// Puts the flags over the configuration.
    ///
    /// # Errors
    /// A line that names the flag and says what is allowed.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        self.common.apply(config);
        if !self.trackers.is_empty() {
            config.p2p.trackers.clone_from(&self.trackers);
        }
        let named = |flag: &str, allowed: String| format!("{flag}: must be {allowed}");
        if let Some(variant) = &self.variant {
            let quality = if variant == "all" { "auto" } else { variant };
            let set = config.http.set_text("quality", quality);
            set.map_err(|allowed| named("--variant", allowed.replace("auto", "all")))?;
        }
        if let Some(rate) = self.upload_rate {
            let set = config.p2p.set_text("upload_rate_max", &rate.to_string());
            set.map_err(|allowed| named("--upload-rate", allowed))?;
        }
        if let Some(size) = self.cache {
            let set = config.cache.set_text("bytes_max", &size.to_string());
            set.map_err(|allowed| named("--cache", allowed))?;
        }
        Ok(())
    }
}

/// Bytes, with an optional unit: k, M, G or T, each 1024 of the one before.
fn bytes(text: &str) -> Result<u64, &'static str> {
    let wrong = "must be a number of bytes, such as 65536, 512k, 2M or 4G";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let power = match &text[digits.len()..] {
        "" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return Err(wrong),
    };
    let number = digits.parse::<u64>().map_err(|_| wrong)?;
    number.checked_mul(1 << (10 * power)).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Seed, clap::Error> {
        let cli = Cli::try_parse_from([&["hlswarm", "seed"], arguments].concat())?;
        match cli.command {
            Some(Command::Seed(seed)) => Ok(seed),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn flags_go_over_the_settings() {
        let flags = ["--upload-rate", "2M", "--cache", "1G", "--variant", "720", "http://a/"];
        let mut config = Config::default();
        parsed(&flags).unwrap().apply(&mut config).unwrap();
        assert_eq!((config.p2p.upload_rate_max, config.cache.bytes_max), (2 << 20, 1 << 30));
        assert_eq!(config.http.quality.to_string(), "720");
        let all = parsed(&["--variant", "all", "http://a/", "http://b/"]).unwrap();
        all.apply(&mut config).unwrap();
        assert_eq!((config.http.quality.to_string().as_str(), all.urls.len()), ("auto", 2));
    }

    #[test]
    fn what_is_not_allowed_is_said() {
        for flags in [
            &["--cache", "4X", "http://a/"][..],
            &["--cache", "G", "http://a/"],
            &["--cache", "99999999999T", "http://a/"],
            &[],
        ] {
            assert!(parsed(flags).is_err(), "{flags:?}");
        }
        let slow = parsed(&["--upload-rate", "1k", "http://a/"]).unwrap();
        let error = slow.apply(&mut Config::default()).unwrap_err();
        assert!(error.starts_with("--upload-rate: must be 0, or a number from 65536"), "{error}");
        let best = parsed(&["--variant", "best", "http://a/"]).unwrap();
        let error = best.apply(&mut Config::default()).unwrap_err();
        assert!(error.starts_with("--variant: must be \"all\", \"max\""), "{error}");
        let large = parsed(&["--cache", "2T", "http://a/"]).unwrap();
        assert!(large.apply(&mut Config::default()).unwrap_err().starts_with("--cache: must be"));
    }
}

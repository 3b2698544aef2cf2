//! What the command line asks for.

use crate::world::plan::{Mode, Plan};

/// The options.
pub struct Options {
    pub viewers: Vec<usize>,
    pub modes: Vec<Mode>,
    pub seed: u64,
    pub is_json: bool,
    leechers: f64,
    is_poor: bool,
    mutes: f64,
    measured_s: Option<u64>,
}

impl Options {
    /// Reads them; what is wrong, in words.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            viewers: vec![10, 100, 1000, 5000],
            modes: vec![Mode::Live, Mode::Vod],
            seed: 1,
            is_json: false,
            leechers: 0.0,
            is_poor: false,
            mutes: 0.0,
            measured_s: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // `cargo bench` adds it.
                "--bench" => {}
                "--json" => options.is_json = true,
                "--poor" => options.is_poor = true,
                "--seed" => options.seed = number(&value()?)?,
                "--leechers" => options.leechers = number(&value()?)?,
                "--mutes" => options.mutes = number(&value()?)?,
                "--seconds" => options.measured_s = Some(number(&value()?)?),
                "--viewers" => {
                    options.viewers = value()?.split(',').map(number).collect::<Result<_, _>>()?;
                }
                "--mode" => options.modes = modes(&value()?)?,
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        if options.viewers.contains(&0) {
            return Err("nobody watches".to_owned());
        }
        Ok(options)
    }

    /// What to run: each with peers, and then without.
    pub fn plans(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for mode in &self.modes {
            for viewers in &self.viewers {
                let mut plan = Plan::new(*mode, *viewers, self.seed);
                plan.leechers = self.leechers;
                plan.is_poor = self.is_poor;
                plan.mutes = self.mutes;
                if let Some(seconds) = self.measured_s {
                    plan.measured_us = seconds * crate::world::plan::S;
                }
                plans.push(plan);
                plans.push(Plan { has_peers: false, ..plan });
            }
        }
        plans
    }
}

/// What a mode is called.
pub fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Vod => "vod",
    }
}

fn modes(text: &str) -> Result<Vec<Mode>, String> {
    match text {
        "live" => Ok(vec![Mode::Live]),
        "vod" => Ok(vec![Mode::Vod]),
        "both" => Ok(vec![Mode::Live, Mode::Vod]),
        _ => Err(format!("{text} is neither live, vod nor both")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits"))
}

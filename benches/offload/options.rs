//! What the command line asks for.

use crate::world::liars::Lies;
use crate::world::plan::{Mode, Plan, Publisher, S};

/// Share of the viewers that lie, where any do.
const LIARS: f64 = 0.1;
/// Share of the viewers that give nothing, where any do.
const LEECHERS: f64 = 0.5;
/// What all uplinks carry of what all watch, where that is too little.
const THIN_UPLINK_SHARE: f64 = 0.94;

/// The options.
pub struct Options {
    pub viewers: Vec<usize>,
    pub modes: Vec<Mode>,
    pub seed: u64,
    pub is_json: bool,
    scenarios: Vec<Scenario>,
    leechers: Option<f64>,
    is_poor: bool,
    mutes: f64,
    measured_s: Option<u64>,
    swarms: Option<u64>,
    is_whole: bool,
}

/// Who the viewers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everybody gives what they can.
    Usual,
    /// Half of them give nothing.
    Leeches,
    /// Half of them give nothing, on lines so poor that all uplinks together carry 0.94 of what
    /// all watch, whatever the seed.
    Thin,
    /// A tenth of them lie, each in its own way.
    Lying { lies: Lies, publisher: Publisher },
}

/// The scenarios and what they are called.
const SCENARIOS: [(&str, Scenario); 9] = [
    ("usual", Scenario::Usual),
    ("leeches", Scenario::Leeches),
    ("thin", Scenario::Thin),
    ("polluters", Scenario::Lying { lies: Lies::Alone, publisher: Publisher::Silent }),
    ("colluders", Scenario::Lying { lies: Lies::Together, publisher: Publisher::Silent }),
    ("flippers", Scenario::Lying { lies: Lies::Flips, publisher: Publisher::Silent }),
    ("quiet-flippers", Scenario::Lying { lies: Lies::QuietFlips, publisher: Publisher::Silent }),
    ("listed-flippers", Scenario::Lying { lies: Lies::QuietFlips, publisher: Publisher::Lists }),
    ("head-flippers", Scenario::Lying { lies: Lies::QuietFlips, publisher: Publisher::States }),
];

/// Swarms that are simulated with peers, and the same without.
pub struct Pair {
    pub scenario: Scenario,
    /// The first of them.
    pub plan: Plan,
    pub swarms: u64,
}

impl Options {
    /// Reads them; what is wrong, in words.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            viewers: vec![10, 100, 1000, 5000],
            modes: vec![Mode::Live, Mode::Vod],
            seed: 1,
            is_json: false,
            scenarios: vec![Scenario::Usual],
            leechers: None,
            is_poor: false,
            mutes: 0.0,
            measured_s: None,
            swarms: None,
            is_whole: false,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // `cargo bench` adds it.
                "--bench" => {}
                "--json" => options.is_json = true,
                "--poor" => options.is_poor = true,
                // Of a film everything, where many would see a part of it only.
                "--whole" => options.is_whole = true,
                "--seed" => options.seed = number(&value()?)?,
                "--leechers" => options.leechers = Some(number(&value()?)?),
                "--mutes" => options.mutes = number(&value()?)?,
                "--seconds" => options.measured_s = Some(number(&value()?)?),
                "--swarms" => options.swarms = Some(number(&value()?)?),
                "--viewers" => {
                    options.viewers = value()?.split(',').map(number).collect::<Result<_, _>>()?;
                }
                "--mode" => options.modes = modes(&value()?)?,
                "--scenario" => {
                    options.scenarios =
                        value()?.split(',').map(scenario).collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        if options.viewers.contains(&0) || options.swarms == Some(0) {
            return Err("nobody watches".to_owned());
        }
        Ok(options)
    }

    /// What to run.
    pub fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for scenario in &self.scenarios {
            for mode in &self.modes {
                for viewers in &self.viewers {
                    let plan = self.plan(*scenario, *mode, *viewers);
                    let swarms = self.swarms.unwrap_or_else(|| swarms(*viewers));
                    pairs.push(Pair { scenario: *scenario, plan, swarms });
                }
            }
        }
        pairs
    }

    fn plan(&self, scenario: Scenario, mode: Mode, viewers: usize) -> Plan {
        let mut plan = Plan::new(mode, viewers, self.seed);
        plan.is_whole = self.is_whole;
        plan.is_poor = self.is_poor || scenario == Scenario::Thin;
        plan.mutes = self.mutes;
        if matches!(scenario, Scenario::Leeches | Scenario::Thin) {
            plan.leechers = LEECHERS;
        }
        if let Scenario::Lying { lies, publisher } = scenario {
            (plan.liars, plan.lies, plan.publisher) = (LIARS, lies, publisher);
        }
        plan.leechers = self.leechers.unwrap_or(plan.leechers);
        plan.measured_us = self.measured_s.map_or(plan.measured_us, |seconds| seconds * S);
        if scenario == Scenario::Thin { plan.with_uplink_share(THIN_UPLINK_SHARE) } else { plan }
    }
}

impl Pair {
    /// The runs: of each swarm one with peers and one without.
    pub fn all(&self) -> impl Iterator<Item = Plan> {
        let swarms = (0..self.swarms).map(|number| self.plan.another(number));
        swarms.flat_map(|plan| [plan, Plan { has_peers: false, ..plan }])
    }
}

impl Scenario {
    /// What it is called.
    pub fn name(self) -> &'static str {
        SCENARIOS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// Of so many viewers: the fewer there are, the more chance decides.
fn swarms(viewers: usize) -> u64 {
    match viewers {
        0..20 => 8,
        20..200 => 3,
        _ => 1,
    }
}

/// What a mode is called.
pub fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Vod => "vod",
    }
}

fn scenario(text: &str) -> Result<Scenario, String> {
    let known = SCENARIOS.iter().find(|(name, _)| *name == text);
    known.map(|(_, scenario)| *scenario).ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        format!("{text} is none of {}", names.join(", "))
    })
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

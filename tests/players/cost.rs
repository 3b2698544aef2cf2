//! What process groups cost, from Linux's `/proc`: CPU time and memory.

use std::fs;

/// Clock ticks of `/proc` in a second, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU time of a process group, with those of its children that have ended.
pub fn cpu_s(group: u32) -> f64 {
    let ticks = |stat: &Stat| stat.fields[11..15].iter().sum::<u64>();
    members(group).iter().map(ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// Memory of a process group: what its processes share with others counts in proportion.
pub fn memory_kb(group: u32) -> u64 {
    let of = |stat: &Stat| {
        let path = format!("/proc/{}/smaps_rollup", stat.id);
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
    };
    members(group).iter().map(of).sum::<u64>()
}

struct Stat {
    id: String,
    /// What follows the name and the state, as numbers; negative ones as 0.
    fields: Vec<u64>,
}

fn members(group: u32) -> Vec<Stat> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let stats = ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).filter_map(|id| {
        // It may have ended since; its name may hold anything, parentheses too.
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(") ")?;
        let fields = rest.split(' ').map(|word| word.trim().parse().unwrap_or(0)).collect();
        Some(Stat { id, fields })
    });
    stats.filter(|stat| stat.fields[2] == u64::from(group)).collect()
}

//! The processor time that a process and its children have used, from `/proc`.

use std::fs;

/// Clock ticks per second of `/proc/<pid>/stat`: 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time of a process.
pub fn seconds_of(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.seconds)
}

/// Seconds of processor time of a process and its children, as PostgreSQL's backends are.
pub fn seconds_of_all(parent: u32) -> f64 {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0.0;
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .filter(|stat| stat.pid == parent || stat.parent == parent)
        .map(|stat| stat.seconds)
        .sum()
}

struct Stat {
    pid: u32,
    parent: u32,
    seconds: f64,
}

/// Fields 4 (parent), 14 to 17 (user and system time, own and of waited-for children), counted after the command's name.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        seconds: ticks / TICKS_PER_SECOND,
    })
}

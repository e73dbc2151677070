//! What the processes of groups use, from the kernel's tables (proc(5)).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::time::Duration;

use rustix::process::Pid;

/// The unit of processor time in `/proc` (`USER_HZ`), the same on all processors that Linux has
/// today but alpha and ia64.
const TICK: Duration = Duration::from_millis(10);

/// More than a process's status has on most machines.
const STATUS_BYTES: usize = 4096;

/// What a group uses.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Memory that is its own: not files that could be read again.
    pub(super) memory_bytes: u64,
    /// Processes and threads.
    pub(super) tasks: u64,
    /// Processor time since its start, that of ended children included.
    pub(super) cpu: Duration,
    /// The processes.
    pub(super) members: Vec<i32>,
}

/// What one process has in use.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) bytes: u64,
    /// The most that it had; files that it has mapped now are not counted.
    pub(super) peak_bytes: u64,
}

/// What these groups use, in one walk over all processes.
pub(super) fn of(groups: impl Iterator<Item = Pid>) -> HashMap<Pid, Usage> {
    let mut all: HashMap<Pid, Usage> = groups.map(|group| (group, Usage::default())).collect();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else {
            continue;
        };
        if let Some(stat) = Stat::parse(&stat)
            && let Some(usage) = all.get_mut(&stat.group)
            && let Some(pid) = Pid::from_raw(process)
        {
            usage.memory_bytes += memory(pid).map_or(0, |memory| memory.bytes);
            usage.tasks += stat.threads;
            usage.cpu += stat.cpu;
            usage.members.push(process);
        }
    }
    all
}

struct Stat {
    group: Pid,
    threads: u64,
    cpu: Duration,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // After the name in brackets, which may hold anything: state, parent, group, …
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(2);
        let group = Pid::from_raw(fields.next()?.parse().ok()?)?;
        // session, tty, its group, flags, four counts of faults; then user, system, and both again
        // of children that were waited for.
        let mut fields = fields.skip(8);
        let mut ticks = 0_u32;
        for _ in 0..4 {
            ticks = ticks.saturating_add(fields.next()?.parse().ok()?);
        }
        // priority, nice
        let threads = fields.nth(2)?.parse().ok()?;
        Some(Self {
            group,
            threads,
            cpu: TICK * ticks,
        })
    }
}

/// What a process has in use; none once it has ended.
pub(super) fn memory(process: Pid) -> Option<Memory> {
    let path = format!("/proc/{}/status", process.as_raw_nonzero());
    // With room from the start: of a file whose size is not known little is read at a time.
    let mut status = Vec::with_capacity(STATUS_BYTES);
    File::open(path).ok()?.read_to_end(&mut status).ok()?;
    let status = String::from_utf8_lossy(&status);
    let field = |name| field(&status, name);
    let bytes = field("RssAnon:")? + field("RssShmem:")? + field("VmSwap:").unwrap_or(0);
    let most = field("VmHWM:")?.saturating_sub(field("RssFile:")?);
    Some(Memory {
        bytes,
        peak_bytes: most.max(bytes),
    })
}

/// What processes have in use together, each page once. It takes longer than [`memory`]; none where
/// the kernel does not say.
pub(super) fn proportional(members: &[i32]) -> Option<u64> {
    let mut bytes = 0;
    for member in members {
        let path = format!("/proc/{member}/smaps_rollup");
        let rollup = match fs::read_to_string(path) {
            Ok(rollup) => rollup,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            // It has ended.
            Err(_) => continue,
        };
        let field = |name| field(&rollup, name).unwrap_or(0);
        bytes += field("Pss_Anon:") + field("Pss_Shmem:") + field("SwapPss:");
    }
    (bytes > 0).then_some(bytes)
}

/// A size in bytes, from a line like `VmSwap:  12 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let stat = "71 (a ) b) S 1 70 70 0 -1 4194304 9 8 7 6 100 20 3 4 20 0 5 0 99 1000 200";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!(stat.group, Pid::from_raw(70).unwrap());
        assert_eq!(stat.threads, 5);
        assert_eq!(stat.cpu, Duration::from_millis(1270));
        assert!(Stat::parse("71 (short) S 1").is_none());
    }

    #[test]
    fn sees_its_own_process() {
        let group = rustix::process::getpgrp();
        let all = of(std::iter::once(group));
        let usage = &all[&group];
        assert!(usage.members.contains(&std::process::id().cast_signed()));
        assert!(usage.memory_bytes > 0 && usage.tasks > 0, "{usage:?}");
        assert!(proportional(&usage.members).is_some());
    }
}

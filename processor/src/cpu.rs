//! How much CPU time this process has used, and how much it may use.

use std::{fs, thread, time::Duration};

use contract::CpuLoad;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

/// Where a container finds its CPU limit. Source: cgroup v2, "CPU Interface Files".
const LIMIT_FILE: &str = "/sys/fs/cgroup/cpu.max";

/// The CPU time of this process; `None` where the system does not tell. The limit is read anew each time, because that of a
/// running container can be changed.
pub(crate) fn load() -> Option<CpuLoad> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let used_seconds = seconds(usage.user_time()) + seconds(usage.system_time());
    let available = match fs::read_to_string(LIMIT_FILE).ok().and_then(|text| limit(&text)) {
        Some(limit) => limit,
        None => f64::from(u32::try_from(thread::available_parallelism().ok()?.get()).ok()?),
    };
    Some(CpuLoad { used_seconds, available })
}

fn seconds(time: TimeVal) -> f64 {
    let micros = |micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default());
    let whole = Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or_default());
    (whole + micros(time.tv_usec())).as_secs_f64()
}

/// How many CPUs may be used at once: microseconds in each period of so many; `None` when there is no limit.
fn limit(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let [quota, period] = [quota, period].map(str::parse::<f64>);
    Some(quota.ok()? / period.ok().filter(|period| *period > 0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_part_of_each_period() {
        assert_eq!(limit("50000 100000\n"), Some(0.5));
        assert_eq!(limit("150000 100000\n"), Some(1.5));
        assert_eq!(limit("250000 100000\n"), Some(2.5));
        for none in ["max 100000\n", "", "50000", "50000 0"] {
            assert_eq!(limit(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_this_process_uses_adds_up() {
        let before = load().expect("Linux tells");
        let mut sum = 0_u64;
        while load().is_some_and(|load| load.used_seconds <= before.used_seconds) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(before.available > 0.0 && sum < u64::MAX);
    }
}

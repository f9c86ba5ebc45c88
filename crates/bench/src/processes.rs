//! What processes and the machine have used, from /proc (Linux only). Source of the formats: proc(5).

use std::{collections::BTreeMap, ffi::OsStr, fs, process};

use anyhow::Context;
use serde::Serialize;

/// Ticks per second in /proc: USER_HZ, which is 100 on every architecture that Rust has Linux for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Whose use is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The way in.
    SmsApi,
    /// The way out.
    Processor,
    /// The postmaster; its children count as it.
    Postgres,
    /// The broker.
    Kafka,
    /// The control plane.
    Operator,
    /// This program.
    LoadGenerator,
    /// Everything else on the machine, the kernel's own threads and interrupts included.
    Others,
}

/// The programs that run besides this one, and their process ids.
pub type Watched = Vec<(Program, u32)>;

/// CPU time in seconds, by program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuSeconds(BTreeMap<Program, f64>);

/// Memory of a process in MB (1,000,000 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// In RAM now.
    pub resident_mb: f64,
    /// In RAM at most so far.
    pub peak_mb: f64,
}

/// How busy the machine has been lately, over 1, 5 and 15 minutes; told on the screen as well.
pub fn load_average() -> anyhow::Result<[f64; 3]> {
    let averages = parse_load_average(&read("/proc/loadavg")?).context("/proc/loadavg has no averages")?;
    println!("load average before the start: {}", averages.map(|average| format!("{average:.2}")).join(" "));
    Ok(averages)
}

impl Program {
    /// Its name, for people.
    pub fn title(self) -> &'static str {
        match self {
            Program::SmsApi => "sms-api",
            Program::Processor => "processor",
            Program::Postgres => "PostgreSQL",
            Program::Kafka => "Kafka",
            Program::Operator => "operator",
            Program::LoadGenerator => "load generator",
            Program::Others => "others",
        }
    }
}

impl CpuSeconds {
    /// What was used up to now.
    pub fn so_far(watched: &[(Program, u32)]) -> anyhow::Result<CpuSeconds> {
        let machine = parse_machine(&read("/proc/stat")?).context("/proc/stat has no sum over all CPUs")?;
        let stats = all_stats()?;
        let alone = |id: u32| -> f64 { stats.iter().filter(|stat| stat.id == id).map(|stat| stat.own).sum() };
        let family = |id: u32| -> f64 {
            let members = stats.iter().filter(|stat| stat.id == id || stat.parent == id);
            members.map(|stat| stat.own + stat.ended_children).sum()
        };
        let of = |&(program, id): &(Program, u32)| match program {
            Program::Postgres => (program, family(id)),
            _ => (program, alone(id)),
        };
        let this_program = [(Program::LoadGenerator, process::id())];
        let mut seconds: CpuSeconds = watched.iter().chain(&this_program).map(of).collect();
        let others = machine - seconds.0.values().sum::<f64>();
        seconds.0.insert(Program::Others, others);
        Ok(seconds)
    }

    /// Of one program; 0 for one that did not run.
    pub fn of(&self, program: Program) -> f64 {
        self.0.get(&program).copied().unwrap_or_default()
    }

    /// What was used since `earlier`.
    pub fn since(&self, earlier: &CpuSeconds) -> CpuSeconds {
        self.0.iter().map(|(&program, &seconds)| (program, (seconds - earlier.of(program)).max(0.0))).collect()
    }

    /// Both together.
    pub fn plus(&self, other: &CpuSeconds) -> CpuSeconds {
        let programs = self.0.keys().chain(other.0.keys());
        programs.map(|&program| (program, self.of(program) + other.of(program))).collect()
    }

    /// Each part of it as a share: per message, per second.
    pub fn per(&self, count: f64) -> CpuSeconds {
        self.0.iter().map(|(&program, &seconds)| (program, seconds / count)).collect()
    }
}

impl FromIterator<(Program, f64)> for CpuSeconds {
    fn from_iter<I: IntoIterator<Item = (Program, f64)>>(seconds: I) -> Self {
        CpuSeconds(seconds.into_iter().collect())
    }
}

impl Memory {
    /// Of one process.
    pub fn of(process: u32) -> anyhow::Result<Memory> {
        let path = format!("/proc/{process}/status");
        parse_memory(&read(&path)?).with_context(|| format!("{path} does not tell its memory"))
    }
}

/// `/proc/PID/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    id: u32,
    parent: u32,
    /// User and system time of all its threads, in seconds.
    own: f64,
    /// The same of its children that have ended.
    ended_children: f64,
}

/// One of every process that lives long enough to be read.
fn all_stats() -> anyhow::Result<Vec<Stat>> {
    let folders = fs::read_dir("/proc").context("cannot list /proc; the benchmark needs Linux")?;
    let folders = folders.filter_map(Result::ok).map(|folder| folder.path());
    // `self` and `thread-self` would count this process two times more.
    let of_processes = folders.filter(|folder| folder.file_name().is_some_and(is_number));
    Ok(of_processes.filter_map(|folder| parse_stat(&fs::read_to_string(folder.join("stat")).ok()?)).collect())
}

fn is_number(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}; the benchmark needs Linux"))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name is in brackets and may hold spaces and brackets itself.
    let (id, rest) = text.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |index: usize| Some(fields.get(index)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    // Fields 4 and 14 to 17 of proc(5), which counts from 1; number and name are cut off here.
    Some(Stat {
        id: id.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        own: seconds(11)? + seconds(12)?,
        ended_children: seconds(13)? + seconds(14)?,
    })
}

/// Seconds in which a CPU of the machine did anything: all but idle and waiting for disks.
fn parse_machine(text: &str) -> Option<f64> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<f64> = all.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, ..] = ticks.as_slice() else { return None };
    Some((user + nice + system + interrupts + soft_interrupts) / TICKS_PER_SECOND)
}

fn parse_memory(text: &str) -> Option<Memory> {
    let megabytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?;
        Some(value.trim().parse::<f64>().ok()? * 1024.0 / 1e6)
    };
    Some(Memory { resident_mb: megabytes("VmRSS:")?, peak_mb: megabytes("VmHWM:")? })
}

fn parse_load_average(text: &str) -> Option<[f64; 3]> {
    let values: Vec<f64> = text.split_whitespace().map_while(|field| field.parse().ok()).take(3).collect();
    values.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_even_if_its_name_looks_like_fields() {
        let text = "71 (a) S 1 (b) S 60 71 71 0 -1 4194560 1 2 3 4 250 150 1000 25 20 0 9 0 1 2 3";
        assert_eq!(parse_stat(text), Some(Stat { id: 71, parent: 60, own: 4.0, ended_children: 10.25 }));
    }

    #[test]
    fn this_process_is_counted_once() {
        let ids: Vec<_> = all_stats().expect("Linux").iter().map(|stat| stat.id).collect();
        assert_eq!(ids.iter().filter(|&&id| id == process::id()).count(), 1, "{ids:?}");
    }

    #[test]
    fn a_machine_is_busy_when_it_neither_idles_nor_waits() {
        let text = "cpu  100 200 300 99999 88888 10 20 5 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(parse_machine(text), Some(6.3));
    }

    #[test]
    fn memory_is_told_in_megabytes() {
        let text = "Name:\tsms-api\nVmHWM:\t  125000 kB\nVmRSS:\t   62500 kB\n";
        assert_eq!(parse_memory(text), Some(Memory { resident_mb: 64.0, peak_mb: 128.0 }));
        assert_eq!(parse_memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn load_averages_are_the_first_three_figures() {
        assert_eq!(parse_load_average("0.61 1.20 0.82 2/345 17132\n"), Some([0.61, 1.2, 0.82]));
    }

    #[test]
    fn cpu_time_is_told_by_program() {
        let seconds = |kafka, others| CpuSeconds::from_iter([(Program::Kafka, kafka), (Program::Others, others)]);
        let used = seconds(5.0, 3.0).since(&seconds(1.0, 4.0));
        assert_eq!(used, seconds(4.0, 0.0));
        assert_eq!(used.plus(&CpuSeconds::from_iter([(Program::Kafka, 2.0)])).per(2.0), seconds(3.0, 0.0));
        assert!(used.of(Program::SmsApi).abs() < f64::EPSILON);
        assert_eq!(serde_json::to_string(&used).expect("JSON"), r#"{"kafka":4.0,"others":0.0}"#);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let id = process::id();
        let so_far = CpuSeconds::so_far(&[(Program::Kafka, 1)]).expect("Linux");
        assert!(so_far.of(Program::LoadGenerator) >= 0.0 && so_far.of(Program::Others) > 0.0, "{so_far:?}");
        assert!(Memory::of(id).expect("Linux").peak_mb > 1.0);
    }
}

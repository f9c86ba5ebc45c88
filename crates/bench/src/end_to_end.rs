//! `bench end-to-end`: how long a message takes from when it is accepted until it is final, and how many of them a second
//! go all the way without a backlog that grows.
//!
//! sms-api, PostgreSQL, Kafka and the processor are as released, all on this machine. The simulated provider answers at
//! once, so nothing of what is measured is its own delay.

pub mod phase;

mod accepted_to_final;
mod backlog;
mod measurement;
mod report;
mod search;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;

use crate::{
    arguments::EndToEndArguments,
    database::Database,
    load::{self, ACCEPTED},
    message::PostRequest,
    number::number,
    processes::{self, CpuSeconds, Memory, Program, Watched},
    report::{self as reports, Conditions},
    servers::{DEFAULT_IN_FLIGHT, INSTANT_PROVIDER, Processor, ProcessorSettings, Servers, SmsApi},
    topics::Topics,
};
pub use backlog::pending;
use backlog::{Backlog, Sampler};
use measurement::{Latency, Outcome, Probe};
use phase::{BATCH, BATCH_CONNECTIONS, CONNECTIONS, Part, RATE};
use report::{Report, svg, table};
use search::Search;

/// The database of everything.
const DATABASE: &str = "end-to-end";
/// How long latency is measured in one round.
const LATENCY_DURATION: Duration = Duration::from_secs(10);
/// How long everything runs before anything is measured, because Kafka's Java compiles meanwhile.
const WARM_UP: Duration = Duration::from_secs(40);
/// How long the machine is left alone before a phase.
const REST: Duration = Duration::from_secs(1);
/// How much later than it should the last answer may come.
const LATE: Duration = Duration::from_secs(1);
/// How often a rate is tried until it counts as too much: for some seconds something else may have had the machine, and one
/// such failure would end the search far too low.
const TRIES: u32 = 2;
/// How long all that was accepted may take until it is final, once no more comes.
const FINAL_WITHIN: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(20);

/// Measures, prints a table, writes `end-to-end.json` and `end-to-end.svg`. Missed targets are no error.
pub async fn run(arguments: &EndToEndArguments) -> anyhow::Result<()> {
    let load_average = processes::load_average()?;
    let out = reports::folder(arguments.out.as_deref())?;
    println!("starting PostgreSQL and Kafka in {}", out.display());
    let servers = Servers::start(&out.join("servers"), &[DATABASE])?.remembering_commit_times(DATABASE).await?;
    let topics = Topics::create_defaults(servers.bootstrap_servers()).await?;
    let mut bench = Bench::start(&servers, &topics).await?;
    let postgres = bench.database.settings().await?;
    let mut report = Report::new(Conditions::now(load_average, arguments.rounds.get(), postgres), arguments.seconds);

    println!("warming up for {} s", WARM_UP.as_secs());
    bench.warm_up().await.context("the warm-up failed")?;
    if arguments.wants(Part::Latency) {
        bench.measure_latency(arguments.rounds.get(), &mut report).await?;
    }
    if arguments.wants(Part::Rate) {
        bench.seek_highest_rate(arguments, &mut report).await?;
    }
    for (program, process) in [(Program::SmsApi, bench.sms_api.pid()), (Program::Processor, bench.processor.pid())] {
        report.memory.push((program, Memory::of(process)?));
    }
    bench.processor.stop();
    bench.sms_api.stop();
    servers.stop()?;
    reports::write(&out, "end-to-end", &report.to_json()?, &svg::draw(&report))?;
    println!("\n{}", table::draw(&report));
    Ok(())
}

/// What every phase works with.
struct Bench {
    sms_api: SmsApi,
    processor: Processor,
    database: Database,
    /// For what is asked while there is load.
    sampled: Database,
    watched: Watched,
}

impl Bench {
    async fn start(servers: &Servers, topics: &Topics) -> anyhow::Result<Bench> {
        let sms_api = servers.start_sms_api(DATABASE).await?;
        let settings = ProcessorSettings {
            topics,
            group: "sms-processor",
            report_url: &sms_api.internal_url(),
            token_file: sms_api.token_file(),
            max_in_flight: DEFAULT_IN_FLIGHT,
            provider: INSTANT_PROVIDER,
        };
        let mut processor = Processor::start(&servers.folder().join("processor"), settings)?;
        processor.until_ready().await?;
        let mut watched = servers.watched(&sms_api);
        watched.push((Program::Processor, processor.pid()));
        println!("sms-api runs as process {}, the processor as {}", sms_api.pid(), processor.pid());
        let options = servers.database(DATABASE)?;
        let (database, sampled) = (Database::connect(&options).await?, Database::connect(&options).await?);
        Ok(Bench { sms_api, processor, database, sampled, watched })
    }

    async fn warm_up(&self) -> anyhow::Result<()> {
        let requests = (0..CONNECTIONS).map(|_| PostRequest::single(self.sms_api.address())).collect();
        load::constant_rate(self.sms_api.address(), requests, WARM_UP, RATE, ACCEPTED).await?;
        Ok(())
    }

    async fn measure_latency(&mut self, rounds: u32, report: &mut Report) -> anyhow::Result<()> {
        for round in 1..=rounds {
            let found = self.latency().await.context("measuring the latency failed")?;
            let (p50, p99) = (found.to_final.p50_ms, found.to_final.p99_ms);
            println!("round {round} of {rounds}  accepted to final: p50 {p50:.1} ms  p99 {p99:.1} ms");
            report.add_latency(found);
        }
        Ok(())
    }

    async fn latency(&mut self) -> anyhow::Result<Latency> {
        self.come_to_rest().await?;
        let from = Timestamp::now();
        let before = CpuSeconds::so_far(&self.watched)?;
        let requests = (0..CONNECTIONS).map(|_| PostRequest::single(self.sms_api.address())).collect();
        let load = load::constant_rate(self.sms_api.address(), requests, LATENCY_DURATION, RATE, ACCEPTED).await?;
        self.until_final().await?;
        let cpu_seconds = CpuSeconds::so_far(&self.watched)?.since(&before);
        ensure!(load.refused == 0, "{} messages were refused", load.refused);
        let (db, to) = (self.database.connection(), Timestamp::now());
        Ok(Latency {
            messages: load.answers,
            to_final: accepted_to_final::latencies(db, from, to, load.answers).await?,
            to_answer: load.latencies.figures(),
            cpu_seconds,
        })
    }

    /// Tries rates until the highest that holds for a short time is found, and then for how long it should; less where it
    /// does not.
    async fn seek_highest_rate(&mut self, arguments: &EndToEndArguments, report: &mut Report) -> anyhow::Result<()> {
        let mut search = Search::default();
        while let Some(rate) = search.next() {
            self.try_rate(rate, arguments.probe_seconds, &mut search, report).await?;
        }
        while let Some(rate) = search.to_confirm() {
            if self.try_rate(rate, arguments.seconds, &mut search, report).await? {
                break;
            }
        }
        Ok(())
    }

    async fn try_rate(
        &mut self,
        rate: u32,
        seconds: u32,
        search: &mut Search,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let mut held = false;
        for _ in 0..TRIES {
            let probe =
                self.probe(rate, seconds).await.with_context(|| format!("{rate} messages per second failed"))?;
            let (growth, title) = (number(probe.backlog.growth_per_second), probe.outcome.title());
            let after = probe.last_answer_after_seconds;
            println!(
                "{:>7}/s for {seconds} s  backlog {growth:>9} more each second, last answer {after:.2} s after its end  {title}",
                number(rate.into())
            );
            held = probe.is_held();
            report.probes.push(probe);
            if held {
                break;
            }
        }
        search.note(rate, held);
        Ok(held)
    }

    async fn probe(&mut self, rate: u32, seconds: u32) -> anyhow::Result<Probe> {
        self.come_to_rest().await?;
        let before = CpuSeconds::so_far(&self.watched)?;
        let service = self.sms_api.address();
        let requests = (0..BATCH_CONNECTIONS).map(|_| PostRequest::batch(service, BATCH)).collect();
        let duration = Duration::from_secs(seconds.into());
        let (backlogs, batches) = (Sampler::default(), rate / u32::try_from(BATCH)?);
        let load = tokio::select! {
            load = load::constant_rate(service, requests, duration, batches, ACCEPTED) => load?,
            Err(error) = backlogs.run(self.sampled.connection()) => return Err(error),
        };
        self.until_final().await?;
        let cpu_seconds = CpuSeconds::so_far(&self.watched)?.since(&before);
        let samples = backlogs.into_samples();
        let backlog = Backlog::of(&samples, seconds.into()).context("the backlog could not be followed")?;
        let after = load.elapsed.saturating_sub(duration);
        let outcome = if load.refused > 0 || after > LATE {
            Outcome::NotAccepted
        } else if backlog.is_flat(rate, seconds) {
            Outcome::Held
        } else {
            Outcome::Grew
        };
        let accepted = load.answers * BATCH as u64;
        Ok(Probe {
            rate,
            seconds,
            accepted,
            refused: load.refused,
            last_answer_after_seconds: after.as_secs_f64(),
            to_answer: load.latencies.figures(),
            backlog,
            outcome,
            cpu_seconds,
            samples,
        })
    }

    async fn come_to_rest(&mut self) -> anyhow::Result<()> {
        self.until_final().await?;
        self.database.until_published().await?;
        self.database.checkpoint().await?;
        tokio::time::sleep(REST).await;
        Ok(())
    }

    async fn until_final(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let left = pending(self.database.connection()).await?;
            if left == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < FINAL_WITHIN, "{left} messages are not final after {} s", FINAL_WITHIN.as_secs());
            tokio::time::sleep(POLL).await;
        }
    }
}

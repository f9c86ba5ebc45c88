//! `bench processing`: how fast the processor takes messages from Kafka to the provider and reports them, beside a
//! consumer that only decodes the same records.
//!
//! Topics are filled once and read by a new consumer group each time. The provider is the simulated one without
//! failures, because a failed message costs no more than one that is sent; sms-api is played by a report end inside this
//! process, which does as little as it can.

pub mod measurement;
pub mod phase;

mod bare_consumer;
mod producer;
mod record;
mod report;
mod report_end;
mod thread;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use devstack::Kafka;

use crate::{
    arguments::ProcessingArguments,
    number::number,
    processes::{self, CpuSeconds, Memory, Program, Watched},
    report::{self as reports, Conditions},
    servers::{DEFAULT_IN_FLIGHT, INSTANT_PROVIDER, Place, Processor, ProcessorSettings},
    topics::Topics,
};
use measurement::{Latency, ProcessorFigures, Throughput};
use phase::{CONSTANT_PARTITIONS, FLOOD, Part, Phase, RATE};
use report::{Report, svg, table};
use report_end::{Arrivals, ReportEnd};

/// The provider of a full topic: the product's default, without failures.
const PROVIDER: &str = r#"{"simulated":{"minDelay":"1s","maxDelay":"3s","failurePercent":0}}"#;
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
/// The provider during a flood: with it [`DEFAULT_IN_FLIGHT`] messages at once are at most 4,000 in a second.
const FLOODED_PROVIDER: &str = r#"{"simulated":{"minDelay":"1s","maxDelay":"1s","failurePercent":0}}"#;
const FLOODED_DELAY: Duration = Duration::from_secs(1);
/// Between the shortest delay and the longest one: how long after the first report all delays have been seen.
const RAMP: Duration = Duration::from_secs(2);
/// For how many seconds the constant rate runs before it is measured.
const WARM_UP_SECONDS: u32 = 5;
/// How long there may be no report, and how long the group's lag may remain after the last one.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Measures, prints a table, writes `processing.json` and `processing.svg`. Missed targets are no error.
pub async fn run(arguments: &ProcessingArguments) -> anyhow::Result<()> {
    let conditions = Conditions::now(processes::load_average()?, arguments.rounds.get(), [].into());
    let mut report = Report::new(conditions, arguments.records, arguments.max_in_flight);
    let out = reports::folder(arguments.out.as_deref())?;
    println!("starting Kafka in {}", out.display());
    let place = Place::claim(&out.join("servers"))?;
    let kafka = place.start_kafka()?;
    let report_end = ReportEnd::start(place.folder()).await?;
    let mut bench = Bench { arguments, place: &place, kafka, report_end, topics: Vec::new() };
    let phases = arguments.phases();
    bench.fill_topics(&phases).await?;

    let rounds = arguments.rounds.get();
    for round in 1..=rounds {
        for &phase in &phases {
            let figures = bench.measure(phase, round, &mut report).await;
            let figures = figures.with_context(|| format!("{} failed", phase.title()))?;
            println!("round {round} of {rounds}  {:<32} {figures}", phase.title());
        }
    }
    bench.kafka.stop();
    place.remove()?;
    reports::write(&out, "processing", &report.to_json()?, &svg::draw(&report))?;
    println!("\n{}", table::draw(&report));
    Ok(())
}

/// What every phase works with.
struct Bench<'a> {
    arguments: &'a ProcessingArguments,
    place: &'a Place,
    kafka: Kafka,
    report_end: ReportEnd,
    /// Those that are full.
    topics: Vec<Topics>,
}

impl Bench<'_> {
    /// Makes and fills the topics that are read to their end, and reads each once: Kafka's Java compiles meanwhile.
    async fn fill_topics(&mut self, phases: &[Phase]) -> anyhow::Result<()> {
        let records = self.arguments.records;
        let reads_to_the_end = |phase: &&Phase| matches!(phase.part(), Part::Bare | Part::Throughput);
        let mut partitions: Vec<_> = phases.iter().filter(reads_to_the_end).map(|phase| phase.partitions()).collect();
        partitions.dedup();
        for partitions in partitions {
            println!("filling a topic with {} records in {partitions} partitions", number(records.into()));
            let prefix = format!("full-{partitions}");
            let topics = Topics::create(self.kafka.bootstrap_servers(), &prefix, partitions).await?;
            producer::fill(&topics, topics.requests(), 0..records).await?;
            bare_consumer::read(&topics, records).await?;
            self.topics.push(topics);
        }
        Ok(())
    }

    /// Measures one phase and returns its figures for people.
    async fn measure(&self, phase: Phase, round: u32, report: &mut Report) -> anyhow::Result<String> {
        let filled = || {
            let topics = self.topics.iter().find(|topics| topics.partitions() == phase.partitions());
            topics.context("its topic was not filled")
        };
        let found = match phase.part() {
            Part::Bare => self.bare(filled()?).await?,
            Part::Throughput => self.throughput(filled()?, round).await?,
            Part::Latency => return Ok(add_latency(report, phase, self.latency(round).await?)),
            Part::Flood => return Ok(add_latency(report, phase, self.flood(round).await?)),
        };
        let peak = found.processor.map(|processor| format!("  {:.0} MB at most", processor.memory.peak_mb));
        let figures = format!("{:>9}/s{}", number(found.per_second()), peak.unwrap_or_default());
        report.add(phase, found);
        Ok(figures)
    }

    async fn bare(&self, topics: &Topics) -> anyhow::Result<Throughput> {
        let watched = vec![(Program::Kafka, self.kafka.pid())];
        let before = CpuSeconds::so_far(&watched)?;
        let records = self.arguments.records;
        let seconds = bare_consumer::read(topics, records).await?.as_secs_f64();
        Ok(Throughput {
            seconds,
            messages: records.into(),
            whole_seconds: seconds,
            records,
            cpu_seconds: CpuSeconds::so_far(&watched)?.since(&before),
            processor: None,
        })
    }

    /// Lets a new processor read the whole topic. Its first report comes as soon after its first record as the provider
    /// answers at all, so that is when it began, whatever joining the group took.
    async fn throughput(&self, topics: &Topics, round: u32) -> anyhow::Result<Throughput> {
        let records = self.arguments.records;
        self.report_end.expect(records);
        let run = self.start(topics, round, self.arguments.max_in_flight, PROVIDER).await?;
        let ended = self.end(run, topics).await?;
        let steady = ended.arrivals.steady(RAMP, self.arguments.max_in_flight as usize);
        let steady = steady.context("there was no steady state: more records are needed")?;
        Ok(Throughput {
            seconds: steady.duration.as_secs_f64(),
            messages: steady.messages as u64,
            whole_seconds: (ended.arrivals.span() + SHORTEST_DELAY).as_secs_f64(),
            records,
            cpu_seconds: ended.cpu_seconds,
            processor: Some(ended.processor),
        })
    }

    async fn latency(&self, round: u32) -> anyhow::Result<Latency> {
        let prefix = format!("constant-{round}");
        let topics = Topics::create(self.kafka.bootstrap_servers(), &prefix, CONSTANT_PARTITIONS).await?;
        let counted = self.counted();
        self.report_end.expect(counted.end);
        let mut run = self.start(&topics, round, DEFAULT_IN_FLIGHT, INSTANT_PROVIDER).await?;
        run.processor.until_ready().await?;
        let began = producer::constant_rate(&topics, topics.requests(), counted.end, RATE).await?;
        let ended = self.end(run, &topics).await?;
        Ok(ended.latency(&counted, counted.end, began, Duration::ZERO))
    }

    /// Urgent messages come while the processor has been full of others for a while.
    async fn flood(&self, round: u32) -> anyhow::Result<Latency> {
        let prefix = format!("flood-{round}");
        let topics = Topics::create(self.kafka.bootstrap_servers(), &prefix, CONSTANT_PARTITIONS).await?;
        let counted = self.counted();
        let all = counted.end + FLOOD;
        producer::fill(&topics, topics.low_priority(), counted.end..all).await?;
        self.report_end.expect(all);
        let mut run = self.start(&topics, round, DEFAULT_IN_FLIGHT, FLOODED_PROVIDER).await?;
        run.processor.until_ready().await?;
        let began = producer::constant_rate(&topics, topics.high_priority(), counted.end, RATE).await?;
        let ended = self.end(run, &topics).await?;
        Ok(ended.latency(&counted, all, began, FLOODED_DELAY))
    }

    /// The numbers of the messages at the constant rate that count; those before them warm up.
    fn counted(&self) -> Range<u32> {
        let warm_up = RATE * WARM_UP_SECONDS;
        warm_up..warm_up + RATE * self.arguments.seconds.get()
    }

    async fn start(&self, topics: &Topics, round: u32, max_in_flight: u32, provider: &str) -> anyhow::Result<Run> {
        let group = format!("{}-{round}", topics.requests());
        topics.found(&group).await?;
        let settings = ProcessorSettings {
            topics,
            group: &group,
            report_url: &self.report_end.url(),
            token_file: self.report_end.token_file(),
            max_in_flight,
            provider,
        };
        let processor = Processor::start(&self.place.folder().join("processor"), settings)?;
        let watched = vec![(Program::Processor, processor.pid()), (Program::Kafka, self.kafka.pid())];
        let before = CpuSeconds::so_far(&watched)?;
        Ok(Run { processor, group, watched, before })
    }

    /// Waits until everything is reported and committed, and stops the processor.
    async fn end(&self, mut run: Run, topics: &Topics) -> anyhow::Result<Ended> {
        self.until_reported(&mut run.processor).await?;
        let reported = Instant::now();
        let cpu_seconds = CpuSeconds::so_far(&run.watched)?.since(&run.before);
        while topics.lag(&run.group).await? > 0 {
            ensure!(reported.elapsed() < PATIENCE, "everything is reported, but not committed");
            tokio::time::sleep(POLL).await;
        }
        let lag_gone_after_seconds = reported.elapsed().as_secs_f64();
        let memory = Memory::of(run.processor.pid())?;
        run.processor.stop();
        let ledger = self.report_end.ledger()?;
        ensure!(ledger.impossible() == 0, "{} reports cannot be true", ledger.impossible());
        let processor = ProcessorFigures { memory, repeated: ledger.repeated(), lag_gone_after_seconds };
        Ok(Ended { arrivals: ledger.arrivals(), cpu_seconds, processor })
    }

    async fn until_reported(&self, processor: &mut Processor) -> anyhow::Result<()> {
        let (mut reported, mut since) = (0, Instant::now());
        loop {
            let (now, is_complete) = {
                let ledger = self.report_end.ledger()?;
                (ledger.reported(), ledger.is_complete())
            };
            if is_complete {
                return Ok(());
            }
            if now > reported {
                (reported, since) = (now, Instant::now());
            }
            if let Some(status) = processor.exited() {
                return Err(processor.failure(&format!("ended ({status}) after {reported} reports")));
            }
            if since.elapsed() > PATIENCE {
                bail!("no message was reported for {} s, after {reported}", PATIENCE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A processor at work.
struct Run {
    processor: Processor,
    group: String,
    watched: Watched,
    before: CpuSeconds,
}

/// What a processor has done.
struct Ended {
    arrivals: Arrivals,
    cpu_seconds: CpuSeconds,
    processor: ProcessorFigures,
}

impl Ended {
    /// How long the `counted` messages took, not counting how long the provider did, if the first one at the constant rate
    /// was due when it `began`.
    fn latency(self, counted: &Range<u32>, records: u32, began: Instant, provider: Duration) -> Latency {
        let due = |number| began + Duration::from_secs(1) * number / RATE + provider;
        Latency {
            messages: counted.end - counted.start,
            figures: self.arrivals.latencies(counted, due).figures(),
            cpu_seconds: self.cpu_seconds,
            records,
            processor: self.processor,
        }
    }
}

/// Returns the figures for people.
fn add_latency(report: &mut Report, phase: Phase, found: Latency) -> String {
    let figures = format!("p50 {:.1} ms  p99 {:.1} ms", found.figures.p50_ms, found.figures.p99_ms);
    report.add_latency(phase, found);
    figures
}

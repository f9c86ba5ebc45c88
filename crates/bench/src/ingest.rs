//! `bench ingest`: how fast sms-api takes messages in, beside plain inserts of the same rows.
//!
//! Rounds interleave what is compared, so that a machine that slows down meanwhile slows all of it. Between two
//! phases everything comes to rest: the outbox is empty, a checkpoint is written.

pub mod measurement;
pub mod phase;
mod reads;
mod references;
mod report;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;

use crate::{
    arguments::IngestArguments,
    database::Database,
    load::{self, ACCEPTED, Load},
    message::PostRequest,
    number::number,
    processes::{self, CpuSeconds, Memory, Watched},
    report::{self as reports, Conditions},
    servers::{Servers, SmsApi},
    topics::Topics,
};
use measurement::{Measurement, Published};
use phase::{A_CONNECTIONS, B_CONNECTIONS, BATCH, BATCH_CONNECTIONS, Phase, RATE, RATE_CONNECTIONS};
use reads::READS;
use references::Reference;
use report::{Report, svg, table};

/// The database of the phases.
const INGEST: &str = "ingest";
/// How long the machine is left alone before a phase: sockets close, the checkpoint's last writes end.
const REST: Duration = Duration::from_millis(500);
/// How long everything runs before anything is measured: for half a minute or so Kafka's Java compiles what it runs
/// often, which takes up to a core.
const WARM_UP: Duration = Duration::from_secs(40);

/// Measures, prints a table, writes `ingest.json` and `ingest.svg`. Missed targets are no error.
pub async fn run(arguments: &IngestArguments) -> anyhow::Result<()> {
    let load_average = processes::load_average()?;
    let out = reports::folder(arguments.out.as_deref())?;
    println!("starting PostgreSQL and Kafka in {}", out.display());
    let servers = Servers::start(&out.join("servers"), &[INGEST, READS])?;
    let topics = Topics::create_defaults(servers.bootstrap_servers()).await?;
    let postgres = Database::connect(&servers.database(INGEST)?).await?.settings().await?;
    let conditions = Conditions::now(load_average, arguments.rounds.get(), postgres);
    let mut report = Report::new(conditions, arguments.seconds.get());

    if !arguments.phases().is_empty() {
        measure_phases(arguments, &servers, &topics, &mut report).await?;
    }
    if let Some(rows) = arguments.read_rows() {
        report.reads = reads::measure(&servers, rows, arguments.phase_duration()).await?;
    }
    servers.stop()?;

    reports::write(&out, "ingest", &report.to_json()?, &svg::draw(&report))?;
    println!("\n{}", table::draw(&report));
    Ok(())
}

async fn measure_phases(
    arguments: &IngestArguments,
    servers: &Servers,
    topics: &Topics,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sms_api = servers.start_sms_api(INGEST).await?;
    println!("sms-api runs as process {}", sms_api.pid());
    let options = servers.database(INGEST)?;
    let database = Database::connect(&options).await?;
    let watched = servers.watched(&sms_api);
    let mut bench = Bench { sms_api, options, database, topics, watched, duration: arguments.phase_duration() };
    let uses_service = arguments.phases().into_iter().any(Phase::is_service);
    if uses_service {
        println!("warming up for {} s", WARM_UP.as_secs());
        bench.load(Phase::Single256, WARM_UP).await.context("the warm-up failed")?;
    }
    let rounds = arguments.rounds.get();
    for round in 1..=rounds {
        for phase in arguments.phases() {
            let measured = bench.measure(phase).await.with_context(|| format!("{} failed", phase.title()))?;
            println!(
                "round {round} of {rounds}  {:<40} {:>9}/s  p99 {:.1} ms",
                phase.title(),
                number(measured.throughput()),
                measured.latency.p99_ms
            );
            report.add(phase, measured);
        }
    }
    if uses_service {
        report.sms_api_memory = Some(Memory::of(bench.sms_api.pid())?);
    }
    bench.sms_api.stop();
    Ok(())
}

/// What every phase works with.
struct Bench<'a> {
    sms_api: SmsApi,
    options: PgConnectOptions,
    database: Database,
    topics: &'a Topics,
    watched: Watched,
    duration: Duration,
}

impl Bench<'_> {
    async fn measure(&mut self, phase: Phase) -> anyhow::Result<Measurement> {
        self.database.until_published().await?;
        self.database.checkpoint().await?;
        tokio::time::sleep(REST).await;

        let records_before = self.topics.records(self.topics.requests()).await?;
        let cpu_before = CpuSeconds::so_far(&self.watched)?;
        let load = self.load(phase, self.duration).await?;
        let cpu_seconds = CpuSeconds::so_far(&self.watched)?.since(&cpu_before);
        let messages = load.answers * phase.messages_per_answer();
        let mut published = None;
        if phase.is_service() {
            let ended = Instant::now();
            let at_last_answer = self.topics.records(self.topics.requests()).await? - records_before;
            self.database.until_published().await?;
            published = Some(Published { at_last_answer, rest_took_seconds: ended.elapsed().as_secs_f64() });
            let in_topic = self.topics.records(self.topics.requests()).await? - records_before;
            if in_topic < messages {
                bail!("{messages} messages were acknowledged, but only {in_topic} are in the topic");
            }
        }
        Ok(Measurement {
            seconds: load.elapsed.as_secs_f64(),
            messages,
            refused: load.refused,
            published,
            latency: load.latencies.figures(),
            cpu_seconds,
            sms_api_memory: Memory::of(self.sms_api.pid())?,
        })
    }

    async fn load(&self, phase: Phase, duration: Duration) -> anyhow::Result<Load> {
        let service = self.sms_api.address();
        let single = |connections| (0..connections).map(|_| PostRequest::single(service)).collect();
        match phase {
            Phase::ReferenceA => Reference::SingleRow.flat_out(&self.options, A_CONNECTIONS, duration).await,
            Phase::ReferenceB => Reference::ManyRows.flat_out(&self.options, B_CONNECTIONS, duration).await,
            Phase::Single256 => load::flat_out(service, single(256), duration, ACCEPTED).await,
            Phase::Single64 => load::flat_out(service, single(64), duration, ACCEPTED).await,
            Phase::Batch => {
                let requests = (0..BATCH_CONNECTIONS).map(|_| PostRequest::batch(service, BATCH)).collect();
                load::flat_out(service, requests, duration, ACCEPTED).await
            }
            Phase::Constant => load::constant_rate(service, single(RATE_CONNECTIONS), duration, RATE, ACCEPTED).await,
        }
    }
}

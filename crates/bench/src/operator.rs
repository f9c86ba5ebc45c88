//! `bench operator`: how soon the operator has made many pipelines ready, and what they cost while nothing changes.
//!
//! API server, etcd and Kafka are real and on this machine. Controllers of Kubernetes are not there: Deployments are told
//! to run by a stand-in, and no Pod exists. The database is a port that accepts connections, because the operator only
//! knocks at it.

mod cluster;
mod measurement;
mod report;
mod samples;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::{
    arguments::OperatorArguments,
    number::number,
    processes::{self, CpuSeconds, Memory, Program},
    report::{self as reports, Conditions},
    servers::{Operator, Place},
};
use cluster::Cluster;
use measurement::{Convergence, Counts, Steady};
use report::{Report, svg, table};

/// How long the first convergence may take.
const READY_WITHIN: Duration = Duration::from_mins(30);
/// How long a pipeline may take to be looked at again.
const RESYNC: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);

/// Measures, prints a table, writes `operator.json` and `operator.svg`. Missed targets are no error.
pub async fn run(arguments: &OperatorArguments) -> anyhow::Result<()> {
    let load_average = processes::load_average()?;
    let out = reports::folder(arguments.out.as_deref())?;
    println!("starting etcd, an API server and Kafka in {}", out.display());
    let place = Place::claim(&out.join("servers"))?;
    let mut kafka = place.start_kafka()?;
    let mut control_plane = place.start_api_server()?;
    let database = TcpListener::bind("127.0.0.1:0").await.context("no port for the database")?;
    let database_port = database.local_addr()?.port();
    tokio::task::spawn_local(async move { while database.accept().await.is_ok() {} });
    let cluster = Cluster::connect(&control_plane).await?;
    println!("making {} pipelines", arguments.pipelines);
    cluster.make_pipelines(arguments.pipelines, &kafka.bootstrap_servers(), database_port).await?;
    let ready = cluster.follow();

    let began = Instant::now();
    let mut operator = Operator::start(&place.folder().join("operator"), &control_plane.kubeconfig()).await?;
    println!("the operator runs as process {}", operator.pid());
    let mut half = None;
    while ready.get() < arguments.pipelines {
        operator.ensure_it_runs()?;
        ensure!(began.elapsed() < READY_WITHIN, "{} pipelines are ready after {READY_WITHIN:?}", ready.get());
        half = half.or((ready.get() * 2 >= arguments.pipelines).then(|| began.elapsed()));
        tokio::time::sleep(POLL).await;
    }
    let elapsed = began.elapsed();
    let counts = Counts::take(&operator, &cluster).await?;
    let convergence = Convergence {
        seconds: elapsed.as_secs_f64(),
        half_seconds: half.unwrap_or(elapsed).as_secs_f64(),
        reconciles: counts.since(&Counts::default()),
        memory: Memory::of(operator.pid())?,
    };
    println!("all ready after {} s", number(convergence.seconds));

    // Every pipeline has been looked at twice more, so that what only the first looks do is over.
    tokio::time::sleep(2 * RESYNC).await;
    let (before, cpu_before) = (Counts::take(&operator, &cluster).await?, cpu(&operator)?);
    let (duration, since) = (RESYNC * arguments.minutes, Timestamp::now());
    println!("measuring for {} minutes in which nothing changes", arguments.minutes);
    tokio::time::sleep(duration).await;
    let after = Counts::take(&operator, &cluster).await?;
    for told in cluster.told_since(since).await? {
        println!("an event meanwhile: {told}");
    }
    let steady = Steady {
        minutes: arguments.minutes,
        ready: ready.get(),
        counts: after.since(&before),
        cpu_seconds: cpu(&operator)?.since(&cpu_before).of(Program::Operator),
        memory: Memory::of(operator.pid())?,
    };
    let report = Report {
        conditions: Conditions::now(load_average, 1, std::collections::BTreeMap::new()),
        pipelines: arguments.pipelines,
        convergence,
        steady,
    };
    operator.stop();
    control_plane.stop();
    kafka.stop();
    place.remove()?;
    reports::write(&out, "operator", &report.to_json()?, &svg::draw(&report))?;
    println!("\n{}", table::draw(&report));
    Ok(())
}

fn cpu(operator: &Operator) -> anyhow::Result<CpuSeconds> {
    CpuSeconds::so_far(&[(Program::Operator, operator.pid())])
}

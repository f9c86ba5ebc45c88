//! `bench autoscale`: how the number of processors follows what there is to do, with everything as released: the operator in
//! local mode, replicas as processes, real PostgreSQL and Kafka, all on this machine.
//!
//! The simulated provider takes its time, so that a processor does 200 messages a second however fast the machine is: what is
//! measured is when processors come and go, not how fast they are.

pub mod phase;

mod fleet;
mod report;
mod sampler;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::{
    arguments::AutoscaleArguments,
    autoscale::phase::PHASES,
    database::Database,
    end_to_end::pending,
    load::{self, ACCEPTED},
    message::PostRequest,
    processes,
    report::{self as reports, Conditions},
    servers::Servers,
};
use fleet::{DATABASE, Fleet};
use phase::{BATCH, Phase};
use report::{Report, svg, table};
use sampler::Sampler;

/// How many connections post messages one by one.
const CONNECTIONS: usize = 16;
/// How long all that was accepted may take until it is final, once no more comes.
const FINAL_WITHIN: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(200);

/// Measures, prints a table, writes `autoscale.json` and `autoscale.svg`. Missed targets are no error.
pub async fn run(arguments: &AutoscaleArguments) -> anyhow::Result<()> {
    let load_average = processes::load_average()?;
    let out = reports::folder(arguments.out.as_deref())?;
    println!("starting PostgreSQL and Kafka in {}", out.display());
    let servers = Servers::start(&out.join("servers"), &[DATABASE])?;
    let mut database = Database::connect(&servers.database(DATABASE)?).await?;
    let conditions = Conditions::now(load_average, 1, database.settings().await?);
    let fleet = Fleet::start(&servers).await?;
    let mut report = Report::new(conditions);
    let sampler = Sampler::new(fleet.operator());
    for phase in &PHASES {
        let seconds = phase.seconds.unwrap_or(arguments.constant_seconds);
        println!("{:<9} {:>5} s  {}", phase.title, seconds, phase.what());
        let began = Instant::now();
        let at = sampler.elapsed();
        let accepted = tokio::select! {
            accepted = post(&fleet, phase, seconds) => accepted.with_context(|| format!("the phase {:?} failed", phase.title))?,
            Err(error) = sampler.run() => return Err(error),
        };
        report.add_phase(phase, at, at + began.elapsed().as_secs_f64(), accepted);
    }
    let left = tokio::select! {
        left = until_final(&mut database) => left?,
        Err(error) = sampler.run() => return Err(error),
    };
    report.end(sampler.into_samples(), left);
    fleet.stop();
    drop(database);
    servers.stop()?;
    reports::write(&out, "autoscale", &report.to_json()?, &svg::draw(&report))?;
    println!("\n{}", table::draw(&report));
    Ok(())
}

/// Posts what a phase brings, and gives how many messages were accepted.
async fn post(fleet: &Fleet, phase: &Phase, seconds: u32) -> anyhow::Result<u64> {
    let (api, duration) = (fleet.api(), Duration::from_secs(seconds.into()));
    let mut accepted = 0;
    let began = Instant::now();
    for _ in 0..phase.at_once / BATCH {
        let requests = vec![PostRequest::batch(api, BATCH)];
        let load = load::constant_rate(api, requests, Duration::from_millis(1), 1000, ACCEPTED).await?;
        accepted += load.answers * BATCH as u64;
    }
    let left = duration.saturating_sub(began.elapsed());
    if phase.per_second == 0 {
        tokio::time::sleep(left).await;
        return Ok(accepted);
    }
    let requests = (0..CONNECTIONS).map(|_| PostRequest::single(api)).collect();
    let load = load::constant_rate(api, requests, left, phase.per_second, ACCEPTED).await?;
    ensure!(load.refused == 0, "{} messages were refused", load.refused);
    Ok(accepted + load.answers)
}

/// How many messages are not final after a while; 0 is what should be.
async fn until_final(database: &mut Database) -> anyhow::Result<i64> {
    let began = Instant::now();
    loop {
        let left = pending(database.connection()).await?;
        if left == 0 || began.elapsed() > FINAL_WITHIN {
            return Ok(left);
        }
        tokio::time::sleep(POLL).await;
    }
}

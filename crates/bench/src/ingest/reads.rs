//! How long gets and lists take in a large table, compared with a small one.

mod prefill;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use fastrand::Rng;
use serde::Serialize;

use crate::{
    database::Database,
    http,
    load::{self, Requests},
    servers::Servers,
    statistics::LatencyFigures,
};
use prefill::{Sample, Table};

/// The database of the reads.
pub const READS: &str = "reads";
/// Messages of the small table.
pub const FEW: u32 = 10_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// One message by its id.
    Get,
    /// The newest messages of all.
    List,
    /// The newest messages of a number that receives now and then.
    RecipientList,
    /// The newest messages of a number that sends a tenth of all.
    SenderList,
}

/// Latencies of one kind of read, from one connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// What was asked for.
    pub read: Read,
    /// How many messages the large table has.
    pub rows: u32,
    /// At [`FEW`] messages.
    pub few: LatencyFigures,
    /// At `rows` messages.
    pub many: LatencyFigures,
}

impl Read {
    const ALL: [Read; 4] = [Read::Get, Read::List, Read::RecipientList, Read::SenderList];

    /// The request, for people.
    pub fn title(self) -> &'static str {
        match self {
            Read::Get => "GET /v1/messages/ID",
            Read::List => "GET /v1/messages?limit=20",
            Read::RecipientList => "GET /v1/users/RECIPIENT/messages?limit=20",
            Read::SenderList => "GET /v1/users/SENDER/messages?limit=20",
        }
    }

    fn path(self, sample: &Sample) -> String {
        match self {
            Read::Get => format!("/v1/messages/{}", sample.id),
            Read::List => "/v1/messages?limit=20".to_owned(),
            Read::RecipientList => list_of(&sample.recipient),
            Read::SenderList => list_of(&sample.sender),
        }
    }
}

fn list_of(number: &str) -> String {
    format!("/v1/users/{}/messages?limit=20", number.replace('+', "%2B"))
}

/// Measures all kinds of reads with [`FEW`] messages and with `rows`.
pub async fn measure(servers: &Servers, rows: u32, duration: Duration) -> anyhow::Result<Vec<Compared>> {
    let sms_api = servers.start_sms_api(READS).await?;
    let mut table = Table::new(Database::connect(&servers.database(READS)?).await?);
    table.grow_to(FEW).await?;
    let few = measure_at(&mut table, sms_api.address(), duration).await?;
    table.grow_to(rows).await?;
    let many = measure_at(&mut table, sms_api.address(), duration).await?;
    sms_api.stop();
    let compare = |((read, few), many)| Compared { read, rows, few, many };
    Ok(Read::ALL.into_iter().zip(few).zip(many).map(compare).collect())
}

async fn measure_at(table: &mut Table, service: SocketAddr, duration: Duration) -> anyhow::Result<Vec<LatencyFigures>> {
    let samples = table.samples().await?;
    let mut figures = Vec::new();
    for read in Read::ALL {
        let requests = samples.iter().map(|sample| http::get(&read.path(sample))).collect();
        let reads = vec![Reads { requests, random: Rng::new(), chosen: 0 }];
        let load = load::flat_out(service, reads, duration, 200).await.with_context(|| read.title())?;
        if load.refused > 0 {
            bail!("{} was not answered with 200 {} times", read.title(), load.refused);
        }
        let latency = load.latencies.figures();
        println!(
            "at {} messages  {:<42} p50 {:.2} ms  p99 {:.2} ms",
            table.rows(),
            read.title(),
            latency.p50_ms,
            latency.p99_ms
        );
        figures.push(latency);
    }
    Ok(figures)
}

/// The sampled requests in random order.
struct Reads {
    requests: Vec<Vec<u8>>,
    random: Rng,
    chosen: usize,
}

impl Requests for Reads {
    fn next(&mut self) -> &[u8] {
        self.chosen = self.random.usize(..self.requests.len());
        &self.requests[self.chosen]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: Read, path: &str) {
        let sample =
            Sample { id: uuid::Uuid::nil(), sender: "+15550100".to_owned(), recipient: "+4915112000042".to_owned() };
        assert_eq!(read.path(&sample), path);
    }

    #[test]
    fn numbers_are_escaped_in_paths() {
        check(Read::RecipientList, "/v1/users/%2B4915112000042/messages?limit=20");
        check(Read::SenderList, "/v1/users/%2B15550100/messages?limit=20");
    }

    #[test]
    fn a_message_is_asked_for_by_its_id() {
        check(Read::Get, "/v1/messages/00000000-0000-0000-0000-000000000000");
    }
}

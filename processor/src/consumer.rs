//! Reads the requests topics, one for each priority: polls, hands over, commits contiguous finished offsets.
//!
//! This file and those under `consumer/` are the only ones that know rdkafka. One thread polls for as long
//! as the process lives and is never blocked by work: tasks run on the async runtime and tell when they have
//! ended; while too many run, the partitions are paused and polling goes on. What a record means is none of
//! this module's business.

mod dead_letters;
mod group;
mod keeper;
mod lanes;
mod load;
mod member;
mod membership;
mod poller;
mod queue;
mod rebalance;
mod slots;
mod work;

use std::{hash::RandomState, sync::Arc, time::Duration};

use anyhow::Context;
use contract::Load;
use rdkafka::ClientConfig;
use telemetry::Check;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use self::poller::Poller;
pub use self::{
    dead_letters::{DeadLetters, Unprocessable},
    group::HowEnded,
    lanes::Lanes,
};
use crate::{metrics::Metrics, pace::Throttle, record::Record};

/// How to consume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The topics to read.
    pub lanes: Lanes,
    /// The consumer group to join.
    pub group: String,
    /// How the group shares partitions.
    pub protocol: GroupProtocol,
    /// How many records are in work at once.
    pub max_in_flight: usize,
    /// Whether records wait for earlier ones.
    pub ordering: Ordering,
    /// How long records in work may take to finish at shutdown.
    pub drain: Duration,
}

/// Which records wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ordering {
    /// Those of one lane for one recipient are sent one after the other, as they were accepted.
    Recipient,
    /// None waits for another one.
    None,
}

/// What consuming depends on, and what it tells.
pub struct Outside {
    /// How the membership stands.
    pub check: Check,
    /// What is counted.
    pub metrics: Metrics,
    /// While this is true, no record is taken into work.
    pub on_hold: watch::Receiver<bool>,
    /// How fast messages may go to the provider.
    pub throttle: Throttle,
    /// Where the load report is shown.
    pub load: watch::Sender<Option<Load>>,
    /// To drain and leave the group.
    pub shutdown: CancellationToken,
}

/// How members of a consumer group share partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupProtocol {
    /// The brokers assign: KIP-848, Kafka 4.0 and later.
    Consumer,
    /// The members assign, cooperative-sticky: for brokers before 4.0.
    Classic,
}

/// Starts to consume; the receiver gets a value when the group has been left after the shutdown, and an error
/// if the polling thread dies. `handle` returns when its record is finished, or left to somebody else, which it should be
/// from when its token is cancelled; it is dropped when the record's partition has gone to somebody else.
pub fn start<H, F>(
    settings: Settings,
    kafka: &kafka::Settings,
    outside: Outside,
    handle: H,
) -> anyhow::Result<oneshot::Receiver<()>>
where
    H: Fn(Record, Arc<CancellationToken>) -> F + Send + 'static,
    F: Future<Output = HowEnded> + Send + 'static,
{
    let config = client_config(&settings, kafka)?;
    let poller = Poller { settings, config, outside, runtime: Handle::current(), hasher: RandomState::new(), handle };
    let member = poller.join().context("invalid Kafka client settings")?;
    let (left, when_left) = oneshot::channel();
    let poll = move || {
        poller.run(member);
        // Nobody waits any more only when the process is past its time.
        let _ = left.send(());
    };
    std::thread::Builder::new().name("kafka-consumer".to_owned()).spawn(poll).context("cannot start a thread")?;
    Ok(when_left)
}

fn client_config(settings: &Settings, kafka: &kafka::Settings) -> Result<ClientConfig, kafka::Error> {
    let mut config = kafka.client_config("sms-processor")?;
    config
        .set("group.id", &settings.group)
        // A partition that is new to the group has records already: starting at its end would lose them.
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Fetched ahead of the work, in all partitions together, and at once in each of them: of a larger record only that
        // one comes.
        .set("queued.max.messages.kbytes", "8192")
        .set("fetch.message.max.bytes", "262144")
        // Once so much is fetched, this is how long librdkafka waits before it looks again: with the default of a second a
        // fast processor would have consumed it long before.
        .set("fetch.queue.backoff.ms", "10")
        // One fetch is under way per broker, and partitions that are resumed or new wait until it ends: with
        // the default of 500 ms that is how long they stand still.
        .set("fetch.wait.max.ms", "100")
        // The group's state reaches the health check once per this time.
        .set("statistics.interval.ms", "1000");
    match settings.protocol {
        // Session and heartbeat are the brokers' settings here; librdkafka refuses them. Of their assignors `uniform`, the
        // default, counts partitions of all topics together, and may give all those of one topic to one member: however
        // many others come, that one then does all the work of a priority. `range` shares out each topic. KIP-848.
        GroupProtocol::Consumer => config.set("group.protocol", "consumer").set("group.remote.assignor", "range"),
        GroupProtocol::Classic => config
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000"),
    };
    Ok(config)
}

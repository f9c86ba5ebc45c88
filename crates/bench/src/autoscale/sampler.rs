//! Follows what the operator decides, and from what.

use std::{cell::RefCell, convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::Context;
use autoscaler::{Recorded, Signal};
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Connection;

/// How often the operator is asked; it decides every two seconds.
const EVERY: Duration = Duration::from_millis(500);
/// How many decisions are asked for, so that none is missed while the machine is busy.
const LAST: usize = 10;

/// One decision, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Since the beginning.
    pub seconds: f64,
    /// Messages that came each second; none while that was not known.
    pub input: Option<f64>,
    /// Messages that were finished each second.
    pub done: Option<f64>,
    /// Messages that waited.
    pub waiting: Option<f64>,
    /// For how many seconds the oldest message that is not finished has been in Kafka.
    pub oldest_seconds: Option<f64>,
    /// Processors that were ready.
    pub ready: Option<u32>,
    /// Processors that were asked for.
    pub asked_for: u32,
    /// Processors that are asked for from then on.
    pub desired: u32,
    /// How often partitions were given out anew so far.
    pub epoch: Option<i64>,
    /// The decision in words and numbers.
    pub text: String,
}

/// Asks the operator again and again.
#[derive(Debug)]
pub struct Sampler {
    operator: SocketAddr,
    began: Timestamp,
    last: RefCell<Option<Timestamp>>,
    taken: RefCell<Vec<Sample>>,
}

impl Sampler {
    /// Asks the operator at this address.
    pub fn new(operator: SocketAddr) -> Sampler {
        Sampler { operator, began: Timestamp::now(), last: RefCell::default(), taken: RefCell::default() }
    }

    /// Seconds since the beginning.
    pub fn elapsed(&self) -> f64 {
        Timestamp::now().duration_since(self.began).as_secs_f64()
    }

    /// Asks until the future is dropped; ends only when the operator does not answer.
    pub async fn run(&self) -> anyhow::Result<Infallible> {
        let mut connection = Connection::open(self.operator).await?;
        loop {
            let path = format!("/decisions/default/notifications?last={LAST}");
            let status = connection.get(&path).await.context("the operator does not tell what it decides")?;
            if status == 200 {
                let recorded: Vec<Recorded> =
                    serde_json::from_str(&connection.body()).context("the operator's answer is not as expected")?;
                for recorded in &recorded {
                    self.take(recorded);
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn take(&self, recorded: &Recorded) {
        let at = recorded.decision.at;
        if self.last.borrow().is_none_or(|last| last < at) {
            *self.last.borrow_mut() = Some(at);
            self.taken.borrow_mut().push(sample(recorded, self.began));
        }
    }

    /// What was answered.
    pub fn into_samples(self) -> Vec<Sample> {
        self.taken.into_inner()
    }
}

fn sample(recorded: &Recorded, began: Timestamp) -> Sample {
    let (decision, signals) = (&recorded.decision, &recorded.signals);
    let loads = signals.processors.iter().filter_map(|processor| known(&processor.load));
    let oldest = loads.flat_map(|load| &load.lanes).filter_map(|lane| lane.oldest_unfinished_seconds);
    Sample {
        seconds: decision.at.duration_since(began).as_secs_f64(),
        input: decision.terms.as_ref().map(|terms| terms.input),
        done: decision.terms.as_ref().map(|terms| terms.done),
        waiting: decision.terms.as_ref().map(|terms| terms.waiting),
        oldest_seconds: oldest.reduce(f64::max),
        ready: known(&signals.pods).map(|pods| pods.ready),
        asked_for: decision.current,
        desired: decision.to_apply().unwrap_or(decision.current),
        epoch: known(&signals.group).and_then(|group| group.epoch),
        text: decision.text.clone(),
    }
}

fn known<T>(signal: &Signal<T>) -> Option<&T> {
    match signal {
        Signal::Known { value, .. } => Some(value),
        Signal::Unknown { .. } => None,
    }
}

//! Brandwatch's kafka-pod-autoscaler with its lag trigger.
//!
//! Source: BrandwatchLtd/kafka-pod-autoscaler, `triggers/kafka/TopicConsumerStats.java`,
//! `triggers/KafkaLagTriggerProcessor.java` and `KafkaPodAutoscalerReconciler.java`: target = p99 of the topic's rate,
//! and lag ÷ SLA beside it where lag is above a threshold, divided by the p99 of what one replica consumed, over the last 360 looks of
//! 10 s; then the next divisor of the partition count; 300 s after the last change at the earliest, and not while the
//! Deployment is not ready.

use std::collections::VecDeque;

use autoscaler::Settings;

use super::Policy;
use crate::world::World;

const LOOK_SECONDS: u32 = 10;
const LOOKS: usize = 360;
const COOLOFF_SECONDS: u32 = 300;
/// The documentation names no default of the threshold; this many records are seconds of work at most.
const LAG_THRESHOLD: u64 = 1000;

pub struct Brandwatch {
    sla_seconds: f64,
    min: u32,
    max: u32,
    before: Option<(u64, u64)>,
    topic_rates: VecDeque<f64>,
    replica_rates: VecDeque<f64>,
    scaled_at: Option<u32>,
}

impl Brandwatch {
    pub fn new(settings: &Settings) -> Brandwatch {
        Brandwatch {
            sla_seconds: settings.drain_within.as_secs_f64(),
            min: settings.min_replicas,
            max: settings.max_replicas,
            before: None,
            topic_rates: VecDeque::new(),
            replica_rates: VecDeque::new(),
            scaled_at: None,
        }
    }
}

/// Keeps the last ones.
fn keep(rates: &mut VecDeque<f64>, rate: f64) {
    rates.push_back(rate);
    if rates.len() > LOOKS {
        rates.pop_front();
    }
}

/// The 99th percentile, once there are three.
fn p99(rates: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = rates.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    (sorted.len() >= 3).then(|| sorted[((sorted.len() * 99).div_ceil(100)).min(sorted.len()) - 1])
}

impl Policy for Brandwatch {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        let (second, current) = (world.second, world.replicas);
        let is_ready = world.ready() == current && world.pods() == current;
        if !second.is_multiple_of(LOOK_SECONDS) || current == 0 || !is_ready {
            return None;
        }
        if self.scaled_at.is_some_and(|at| at + COOLOFF_SECONDS > second) {
            return None;
        }
        // A partition that cannot be read throws, and nothing is done.
        let lag = world.lags().into_iter().sum::<Option<u64>>()?;
        let (end, position) = world.sums();
        if let Some((end_before, position_before)) = self.before.replace((end, position)) {
            keep(&mut self.topic_rates, (end - end_before) as f64 / f64::from(LOOK_SECONDS));
            let consumed = (position - position_before) as f64 / f64::from(LOOK_SECONDS);
            keep(&mut self.replica_rates, consumed / f64::from(current));
        }
        let (topic, replica) = (p99(&self.topic_rates)?, p99(&self.replica_rates).filter(|rate| *rate > 0.0)?);
        let target = topic + if lag > LAG_THRESHOLD { lag as f64 / self.sla_seconds } else { 0.0 };
        let ideal = (target / replica).ceil() as u32;
        let partitions = world.lags().len() as u32;
        let fitting = (ideal.max(1)..=partitions).find(|count| partitions.is_multiple_of(*count)).unwrap_or(partitions);
        let replicas = fitting.clamp(self.min.max(1), self.max);
        if replicas == current {
            return None;
        }
        self.scaled_at = Some(second);
        self.before = None;
        Some(replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_needs_three_and_is_nearly_the_largest() {
        assert_eq!(p99(&VecDeque::from([1.0, 2.0])), None);
        assert_eq!(p99(&(1..=100).map(f64::from).collect()), Some(99.0));
    }
}

//! KEDA's Kafka scaler and the HorizontalPodAutoscaler that it feeds.
//!
//! Source: kedacore/keda 2.20, `pkg/scalers/kafka_scaler.go` (getTotalLag, getLagForPartition) and KEDA-docs
//! `content/docs/2.20/scalers/apache-kafka.md`, `reference/scaledobject-spec.md`: the metric is the sum of lag, cut off at
//! lagThreshold · partitions; the HPA divides it by the threshold (AverageValue). A partition missing from the answer counts
//! as no lag (keda#7414). To none only after cooldownPeriod, and back with the first record that pollingInterval sees.

use autoscaler::Settings;

use super::{
    Policy,
    hpa::{Behavior, SYNC_SECONDS, TOLERANCE},
};
use crate::world::World;

/// pollingInterval, in seconds.
const POLLING_SECONDS: u32 = 30;
/// cooldownPeriod, in seconds.
const COOLDOWN_SECONDS: u32 = 300;

pub struct KedaLag {
    threshold: f64,
    min: u32,
    max: u32,
    behavior: Behavior,
    last_active: u32,
}

impl KedaLag {
    pub fn new(settings: &Settings, threshold: f64) -> KedaLag {
        let (min, max) = (settings.min_replicas, settings.max_replicas);
        KedaLag { threshold, min, max, behavior: Behavior::default(), last_active: 0 }
    }
}

impl Policy for KedaLag {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        let (second, current) = (world.second, world.replicas);
        let lags = world.lags();
        let lag: u64 = lags.iter().map(|lag| lag.unwrap_or(0)).sum();
        if lag > 0 {
            self.last_active = second;
        }
        if self.min == 0 && second.is_multiple_of(POLLING_SECONDS) {
            if current == 0 {
                return (lag > 0).then_some(1);
            }
            if second >= self.last_active + COOLDOWN_SECONDS {
                return Some(0);
            }
        }
        if current == 0 || !second.is_multiple_of(SYNC_SECONDS) {
            return None;
        }
        let metric = (lag as f64).min(self.threshold * lags.len() as f64);
        let ratio = metric / (self.threshold * f64::from(current));
        let wanted = if (ratio - 1.0).abs() <= TOLERANCE { current } else { (metric / self.threshold).ceil() as u32 };
        let replicas = self.behavior.settle(second, current, wanted, self.min.max(1), self.max);
        (replicas != current).then_some(replicas)
    }
}

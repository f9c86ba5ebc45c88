//! A HorizontalPodAutoscaler on CPU.
//!
//! Source: kubernetes/website, `horizontal-pod-autoscale.md` ("Algorithm details"): desired = ⌈current · usage ÷ target⌉;
//! pods that are not ready count as using nothing when that would mean more pods.

use autoscaler::Settings;

use super::{
    Policy,
    hpa::{Behavior, SYNC_SECONDS, TOLERANCE},
};
use crate::world::World;

pub struct HpaCpu {
    target: f64,
    min: u32,
    max: u32,
    behavior: Behavior,
}

impl HpaCpu {
    pub fn new(settings: &Settings, target: f64) -> HpaCpu {
        // It cannot go to none by itself.
        HpaCpu { target, min: settings.min_replicas.max(1), max: settings.max_replicas, behavior: Behavior::default() }
    }
}

impl Policy for HpaCpu {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        if !world.second.is_multiple_of(SYNC_SECONDS) {
            return None;
        }
        let (cpu, current) = (world.cpu(), world.replicas);
        if cpu.is_empty() {
            return None;
        }
        let sum: f64 = cpu.iter().sum();
        let mut pods = cpu.len() as f64;
        let mut ratio = sum / pods / self.target;
        if ratio > 1.0 && current as usize > cpu.len() {
            pods = f64::from(current);
            ratio = (sum / pods / self.target).max(1.0);
        }
        let wanted = if (ratio - 1.0).abs() <= TOLERANCE { current } else { (ratio * pods).ceil() as u32 };
        let replicas = self.behavior.settle(world.second, current, wanted, self.min, self.max);
        (replicas != current).then_some(replicas)
    }
}

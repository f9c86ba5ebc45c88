//! Numaflow's autoscaling of a source.
//!
//! Source: numaproj/numaflow, `pkg/reconciler/vertex/scaling/scaling.go` (scaleOneVertex, desiredReplicas) and
//! `docs/user-guide/reference/autoscaling.md`, with the defaults there: desired = pending ÷ (target seconds · rate) · ready,
//! rounded, by two replicas at most, 90 s after the last change at the earliest; rate and pending are averages of the last
//! 120 s; nothing is done while one of them is unknown, or while replicas are not as many as asked for; from none to one every
//! 120 s, to peek.

use std::collections::VecDeque;

use autoscaler::Settings;

use super::Policy;
use crate::world::World;

const LOOK_SECONDS: u32 = 5;
const LOOKBACK_SECONDS: u32 = 120;
const TARGET_SECONDS: f64 = 20.0;
const COOLDOWN_SECONDS: u32 = 90;
const MOST_AT_ONCE: u32 = 2;
const PEEK_SECONDS: u32 = 120;

pub struct Numaflow {
    min: u32,
    max: u32,
    scaled_at: u32,
    /// When, what was finished so far, and what was not.
    looks: VecDeque<(u32, u64, u64)>,
}

impl Numaflow {
    pub fn new(settings: &Settings) -> Numaflow {
        Numaflow { min: settings.min_replicas, max: settings.max_replicas, scaled_at: 0, looks: VecDeque::new() }
    }

    fn wanted(&self, ready: u32) -> Option<u32> {
        let ((first, done_before, _), (last, done, _)) = (self.looks.front()?, self.looks.back()?);
        if last <= first {
            return None;
        }
        let rate = (done - done_before) as f64 / f64::from(last - first);
        let pending = self.looks.iter().map(|(_, _, pending)| *pending as f64).sum::<f64>() / self.looks.len() as f64;
        if pending == 0.0 && rate == 0.0 {
            return Some(0);
        }
        if pending == 0.0 || rate == 0.0 {
            return Some(1);
        }
        Some(((pending / rate / TARGET_SECONDS) * f64::from(ready)).round() as u32)
    }
}

impl Policy for Numaflow {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        let (second, current) = (world.second, world.replicas);
        if !second.is_multiple_of(LOOK_SECONDS) {
            return None;
        }
        let lags: Option<Vec<u64>> = world.lags().into_iter().collect();
        let Some(lags) = lags else {
            self.looks.clear();
            return None;
        };
        self.looks.push_back((second, world.sums().1, lags.iter().sum()));
        while self.looks.front().is_some_and(|(at, ..)| at + LOOKBACK_SECONDS < second) {
            self.looks.pop_front();
        }
        let since = second - self.scaled_at;
        if current == 0 {
            let peeks = since >= PEEK_SECONDS;
            self.scaled_at = if peeks { second } else { self.scaled_at };
            return peeks.then_some(1);
        }
        if since < COOLDOWN_SECONDS || world.pods() != current {
            return None;
        }
        let wanted = self.wanted(world.ready())?.clamp(self.min, self.max);
        let replicas = wanted.clamp(current.saturating_sub(MOST_AT_ONCE), current + MOST_AT_ONCE);
        if replicas == current {
            return None;
        }
        self.scaled_at = second;
        Some(replicas)
    }
}

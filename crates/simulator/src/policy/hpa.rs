//! What every HorizontalPodAutoscaler does with a wanted count: tolerance, stabilization and policies, with the defaults.
//!
//! Source: kubernetes/website, `horizontal-pod-autoscale.md` ("Algorithm details", "Default behavior").

use std::collections::VecDeque;

/// How often it looks (`--horizontal-pod-autoscaler-sync-period`), in seconds.
pub const SYNC_SECONDS: u32 = 15;
/// By which part usage may differ from the target without a change (`--horizontal-pod-autoscaler-tolerance`).
pub const TOLERANCE: f64 = 0.1;
/// Down, the largest count of so many seconds is taken.
const STABILIZATION_SECONDS: u32 = 300;

/// The counts that were wanted.
#[derive(Default)]
pub struct Behavior {
    wanted: VecDeque<(u32, u32)>,
}

impl Behavior {
    /// The count to set when `wanted` is wanted: up by 100 % or 4 pods each 15 s, whichever is more, and down to the largest
    /// of the window, all at once.
    pub fn settle(&mut self, second: u32, current: u32, wanted: u32, min: u32, max: u32) -> u32 {
        self.wanted.push_back((second, wanted));
        while self.wanted.front().is_some_and(|(at, _)| at + STABILIZATION_SECONDS < second) {
            self.wanted.pop_front();
        }
        let stabilized = if wanted < current {
            let largest = self.wanted.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
            largest.min(current)
        } else {
            wanted.min((current * 2).max(current + 4))
        };
        stabilized.clamp(min, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_at_once_by_double_or_four_and_down_after_five_minutes() {
        let mut behavior = Behavior::default();
        assert_eq!(behavior.settle(0, 1, 50, 1, 100), 5);
        assert_eq!(behavior.settle(15, 5, 50, 1, 100), 10);
        assert_eq!(behavior.settle(30, 10, 2, 1, 100), 10);
        assert_eq!(behavior.settle(300, 10, 2, 1, 100), 10);
        assert_eq!(behavior.settle(330, 10, 3, 1, 100), 3);
    }
}

//! What came of a run.

use autoscaler::Decision;
use serde::Serialize;

/// Into how many samples a run is divided for pictures.
const SAMPLES: u32 = 600;
/// The oldest age that is told apart, in seconds.
const OLDEST: usize = 7 * 86_400;

/// What one policy made of one trace.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub policy: String,
    /// What it cost: each second of each pod, whatever that did.
    pub replica_seconds: u64,
    /// How often it asked for another count.
    pub steps: u32,
    /// Those of them that came after the first ten minutes.
    pub steps_after_ten_minutes: u32,
    /// How often the group stood still because its members changed.
    pub pauses: u32,
    /// The most replicas that it asked for.
    pub most_replicas: u32,
    /// The age in seconds of the oldest record that waited, in half of all seconds at most; of those partitions that a policy
    /// can help.
    pub age_p50: u32,
    /// The same in 99 of a hundred seconds.
    pub age_p99: u32,
    /// The same at the worst second.
    pub age_max: u32,
    /// For how many seconds a record waited that was older than `drain_within`.
    pub seconds_too_old: u32,
    /// How long it took after each burst until no more waited than comes in five seconds; none where that never was so.
    pub drained_after: Vec<Option<u32>>,
    /// Records that were done.
    pub records: u64,
    /// The run in 600 samples.
    pub samples: Vec<Sample>,
    /// What the policy said of itself, where it does.
    pub decisions: Vec<Decision>,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Its first second.
    pub second: u32,
    /// What came each second.
    pub input: f64,
    /// The most records that waited.
    pub waiting: u64,
    /// The greatest age of the oldest record that waited, in seconds.
    pub age: u32,
    /// The most pods that there were.
    pub pods: u32,
}

/// Adds up what is seen each second.
pub(crate) struct Watch {
    every: u32,
    samples: Vec<Sample>,
    ages: Vec<u32>,
}

impl Watch {
    pub fn new(seconds: u32) -> Watch {
        Watch { every: seconds.div_ceil(SAMPLES).max(1), samples: Vec::new(), ages: Vec::new() }
    }

    pub fn see(&mut self, second: u32, seen: Sample) {
        if second.is_multiple_of(self.every) || self.samples.is_empty() {
            self.samples.push(Sample { second, ..Sample::default() });
        }
        if let Some(sample) = self.samples.last_mut() {
            sample.input += seen.input / f64::from(self.every);
            sample.waiting = sample.waiting.max(seen.waiting);
            sample.age = sample.age.max(seen.age);
            sample.pods = sample.pods.max(seen.pods);
        }
        let age = (seen.age as usize).min(OLDEST);
        if self.ages.len() <= age {
            self.ages.resize(age + 1, 0);
        }
        self.ages[age] += 1;
    }

    /// The age that this part of all seconds does not exceed.
    pub fn age(&self, part: f64) -> u32 {
        let all: u32 = self.ages.iter().sum();
        let mut left = (f64::from(all) * part).ceil() as u32;
        for (age, &seconds) in self.ages.iter().enumerate() {
            if seconds >= left {
                return age as u32;
            }
            left -= seconds;
        }
        self.ages.len().saturating_sub(1) as u32
    }

    pub fn seconds_older_than(&self, age: u32) -> u32 {
        self.ages.iter().skip(age as usize + 1).sum()
    }

    pub fn into_samples(self) -> Vec<Sample> {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_seconds() {
        let mut watch = Watch::new(100);
        for second in 0..100 {
            watch.see(second, Sample { age: second, ..Sample::default() });
        }
        assert_eq!((watch.age(0.5), watch.age(0.99), watch.age(1.0)), (49, 98, 99));
        assert_eq!(watch.seconds_older_than(89), 10);
    }

    #[test]
    fn a_sample_tells_the_mean_input_and_the_most_of_everything_else() {
        let mut watch = Watch::new(1200);
        for (second, waiting) in [(0, 5), (1, 3)] {
            watch.see(second, Sample { input: 10.0 + f64::from(second), waiting, pods: second, ..Sample::default() });
        }
        assert_eq!(watch.into_samples(), [Sample { second: 0, input: 10.5, waiting: 5, age: 0, pods: 1 }]);
    }
}

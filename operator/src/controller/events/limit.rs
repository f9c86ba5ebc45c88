//! How many events of one severity a pipeline may have: what client-go grants an object too, 25 at once and one more every 5 minutes.
//! Pure.

use std::time::{Duration, Instant};

const AT_ONCE: u32 = 25;
const ONE_MORE: Duration = Duration::from_mins(5);

/// What is left.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    /// Nothing is used yet.
    pub fn full(now: Instant) -> Self {
        Self { left: AT_ONCE, since: now }
    }

    /// Whether one more may be told.
    pub fn take(&mut self, now: Instant) -> bool {
        while self.left < AT_ONCE && now.duration_since(self.since) >= ONE_MORE {
            self.left += 1;
            self.since += ONE_MORE;
        }
        if self.left == AT_ONCE {
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_that_flaps_is_told_of_25_times_and_then_once_every_five_minutes() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let told = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(told(&mut bucket, start), 25);
        assert_eq!(told(&mut bucket, start + Duration::from_secs(299)), 0);
        assert_eq!(told(&mut bucket, start + ONE_MORE), 1);
        assert_eq!(told(&mut bucket, start + 3 * ONE_MORE), 2);
        assert_eq!(told(&mut bucket, start + 1000 * ONE_MORE), 25);
    }
}

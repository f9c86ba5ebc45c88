//! How long to wait between tries of something that must succeed in the end.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Delays without end: doubled from 100 ms to 5 s, with jitter so that many waiters do not return at once.
pub fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
        .build()
        .chain(std::iter::repeat(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_never_end() {
        let delays: Vec<_> = delays().take(1000).collect();
        assert_eq!(delays.len(), 1000);
        assert!(delays[0] < SHORTEST * 2);
        assert!(delays.iter().all(|delay| *delay <= LONGEST * 2), "{:?}", delays.iter().max());
        assert!(delays[999] >= LONGEST);
    }
}

//! How fast messages may go to the provider. [`Pace`] is pure: it takes the time as an argument.
//!
//! The limit is one for all processors of a pipeline, and each takes the share of the partitions that it reads. Spacing
//! follows the generic cell rate algorithm (ITU-T I.371): messages are due at even intervals, and may come a little early.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How much earlier than due a message may come: longer than the poller's rounds, so that none of the rate is lost to
/// them, and short enough that no second sees more than a twentieth beyond the limit.
const EARLY: Duration = Duration::from_millis(50);
/// When to ask again while nothing may be sent at all.
const LATER: Duration = Duration::from_secs(1);

/// When the next message may go to the provider.
#[derive(Debug)]
pub struct Pace {
    /// Of all processors together; `None` without a limit.
    per_second: Option<f64>,
    /// The part of it that is ours; 0 until it is known.
    share: f64,
    /// When the next message is due.
    due: Option<Instant>,
    /// Until when the provider wants to be left alone.
    closed_until: Option<Instant>,
}

impl Pace {
    /// With this limit, if any.
    pub fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.map(f64::from), share: 0.0, due: None, closed_until: None }
    }

    /// Whether the share matters.
    pub fn is_limited(&self) -> bool {
        self.per_second.is_some()
    }

    /// So many of all partitions are ours.
    pub fn set_share(&mut self, ours: u32, all: u32) {
        let share = if all == 0 { 0.0 } else { f64::from(ours.min(all)) / f64::from(all) };
        if share > self.share {
            // Its distance was that of a smaller share, which may be minutes.
            self.due = None;
        }
        self.share = share;
    }

    /// Lets one message go now; an error says when to ask again.
    pub fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.closed_until.filter(|until| now < *until) {
            return Err(until);
        }
        self.closed_until = None;
        let Some(interval) = self.interval() else {
            return if self.is_limited() { Err(now + LATER) } else { Ok(()) };
        };
        let due = self.due.unwrap_or(now).max(now);
        if let Some(wait) = due.duration_since(now).checked_sub(EARLY).filter(|wait| !wait.is_zero()) {
            return Err(now + wait);
        }
        self.due = Some(due + interval);
        Ok(())
    }

    /// The provider wants to be left alone until then.
    pub fn close(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }

    /// The time between two of our messages; `None` when there is no limit, or nothing for us.
    fn interval(&self) -> Option<Duration> {
        let per_second = self.per_second? * self.share;
        (per_second > 0.0).then(|| Duration::from_secs_f64(1.0 / per_second))
    }
}

/// The pace that the poller and retries keep together. Cheap to clone; clones keep one pace.
#[derive(Clone, Debug)]
pub struct Throttle {
    pace: Arc<Mutex<Pace>>,
    /// Retries take turns, so that only one of them waits for the next free moment.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Throttle {
    /// Keeps this pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace: Arc::new(Mutex::new(pace)), turn: Arc::default() }
    }

    /// The pace.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one message may go.
    pub async fn until_admitted(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let admitted = self.pace().admit(Instant::now());
            let Err(next) = admitted else { return };
            // The share may grow meanwhile.
            tokio::time::sleep_until(next.min(Instant::now() + LATER).into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// How many messages go within `seconds` when every millisecond as many are tried as may.
    fn admitted(pace: &mut Pace, start: Instant, seconds: u32) -> usize {
        (0..seconds * 1000)
            .map(|tick| {
                std::iter::repeat_with(|| pace.admit(start + MILLISECOND * tick)).take_while(Result::is_ok).count()
            })
            .sum()
    }

    #[track_caller]
    fn check(per_second: u32, ours: u32, all: u32, expected: std::ops::RangeInclusive<usize>) {
        let mut pace = Pace::new(Some(per_second));
        pace.set_share(ours, all);
        let admitted = admitted(&mut pace, Instant::now(), 10);
        assert!(expected.contains(&admitted), "{admitted} in ten seconds");
    }

    #[test]
    fn without_a_limit_every_message_goes_at_once() {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        assert!((0..100_000).all(|_| pace.admit(now).is_ok()));
    }

    #[test]
    fn the_limit_is_kept_and_used_up() {
        check(1, 1, 1, 10..=11);
        check(100, 1, 1, 1000..=1006);
        check(10_000, 1, 1, 100_000..=100_501);
    }

    #[test]
    fn each_processor_takes_the_share_of_its_partitions() {
        check(100, 6, 18, 333..=336);
        check(100, 0, 18, 0..=0);
        check(100, 3, 0, 0..=0);
    }

    #[test]
    fn a_share_that_grows_counts_at_once() {
        let (mut pace, now) = (Pace::new(Some(1)), Instant::now());
        pace.set_share(1, 1000);
        assert_eq!(pace.admit(now), Ok(()));
        assert!(pace.admit(now + Duration::from_secs(10)).is_err());
        pace.set_share(1, 1);
        assert_eq!(pace.admit(now + Duration::from_secs(10)), Ok(()));
    }

    #[test]
    fn what_was_not_used_is_not_made_up_for() {
        let (mut pace, start) = (Pace::new(Some(100)), Instant::now());
        pace.set_share(1, 1);
        assert!(admitted(&mut pace, start + Duration::from_hours(1), 1) <= 106);
    }

    #[test]
    fn nothing_goes_while_the_provider_wants_to_be_left_alone() {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        let until = now + 10 * MILLISECOND;
        pace.close(until);
        pace.close(now + MILLISECOND);
        assert_eq!(pace.admit(now), Err(until));
        assert_eq!(pace.admit(until), Ok(()));
    }
}

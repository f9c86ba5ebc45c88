//! When to leave sms-api alone. Pure: takes the time as an argument.
//!
//! The breaker of ADR-007, "Callback circuit breaker": of the last 4 requests 75 % failed, so none is made for 5 s, and
//! then one; its success closes the breaker. docs/decisions/0011-breaker.md says why it is our own.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many requests are looked back at; fewer say nothing.
const WINDOW: usize = 4;
/// How many of them may not have failed.
const TOO_MANY: usize = 3;
/// For how long no request is made.
const DELAY: Duration = Duration::from_secs(5);

/// Closed at first: requests are made.
#[derive(Debug, Default)]
pub struct Breaker {
    /// The last requests, and whether each failed; empty while open.
    failed: VecDeque<bool>,
    /// When the next request may be made, while the breaker is open.
    next_trial: Option<Instant>,
}

impl Breaker {
    /// Whether a request may be made now; an error says when to ask again. While the breaker is open that is one in
    /// [`DELAY`], so an admitted request must be made.
    pub fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        match self.next_trial {
            Some(trial) if now < trial => Err(trial),
            Some(_) => {
                self.next_trial = Some(now + DELAY);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A request succeeded.
    pub fn succeeded(&mut self) {
        self.next_trial = None;
        self.remember(false);
    }

    /// A request failed at `now`.
    pub fn failed(&mut self, now: Instant) {
        self.remember(true);
        let failures = self.failed.iter().filter(|failed| **failed).count();
        if self.is_open() || (self.failed.len() == WINDOW && failures >= TOO_MANY) {
            self.next_trial = Some(now + DELAY);
            self.failed.clear();
        }
    }

    /// Whoever would have made the next trial needs it no more. So nobody might make one, ever: the breaker closes, and
    /// the next failure opens it again.
    pub fn withdrawn(&mut self) {
        if self.next_trial.take().is_some() {
            self.failed = [true; TOO_MANY].into();
        }
    }

    /// Whether requests have to wait.
    pub fn is_open(&self) -> bool {
        self.next_trial.is_some()
    }

    fn remember(&mut self, failed: bool) {
        if self.failed.len() == WINDOW {
            self.failed.pop_front();
        }
        self.failed.push_back(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that end at once, `+` or `-` each; whether the breaker is open then.
    #[track_caller]
    fn check(ends: &str, is_open: bool) {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for end in ends.chars() {
            match end {
                '+' => breaker.succeeded(),
                _ => breaker.failed(now),
            }
        }
        assert_eq!(breaker.is_open(), is_open, "{ends}");
    }

    #[test]
    fn it_opens_when_three_of_the_last_four_failed() {
        check("", false);
        check("---", false);
        check("+---", true);
        check("----", true);
        check("--++--", false);
        check("++++++++++---", true);
        check("-+--", true);
        check("+-+-+-+-", false);
    }

    #[test]
    fn while_open_one_request_is_made_every_five_seconds_until_one_succeeds() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..WINDOW {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start);
        }
        let second = Duration::from_secs(1);
        assert_eq!(breaker.admit(start + 4 * second), Err(start + DELAY));
        assert_eq!(breaker.admit(start + 5 * second), Ok(()));
        assert_eq!(breaker.admit(start + 6 * second), Err(start + 2 * DELAY), "the first one is under way");
        breaker.failed(start + 7 * second);
        assert_eq!(breaker.admit(start + 11 * second), Err(start + 7 * second + DELAY));
        assert_eq!(breaker.admit(start + 12 * second), Ok(()));
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!([breaker.admit(start), breaker.admit(start)], [Ok(()), Ok(())]);
    }

    #[test]
    fn when_nobody_is_left_to_make_a_trial_it_closes_until_the_next_failure() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.withdrawn();
        breaker.failed(now);
        assert!(!breaker.is_open(), "one failure of one request");
        (1..WINDOW).for_each(|_| breaker.failed(now));
        assert!(breaker.is_open());
        breaker.withdrawn();
        assert!(!breaker.is_open());
        breaker.failed(now);
        assert!(breaker.is_open());
    }

    #[test]
    fn after_it_closed_the_failures_from_before_count_no_more() {
        check("----+--", false);
        check("----+---", true);
    }
}

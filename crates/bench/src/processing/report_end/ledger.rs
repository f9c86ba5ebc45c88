//! Which messages were reported, when, and which of them twice. Pure.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use contract::DeliveryStatus;

use crate::statistics::Latencies;

/// What has come so far.
#[derive(Debug)]
pub struct Ledger {
    expected: u32,
    /// One bit for each message.
    seen: Vec<u64>,
    repeated: u64,
    unsent: u64,
    unknown: u64,
    arrivals: Arrivals,
}

/// The first report of every message, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// Of the messages.
    numbers: Vec<u32>,
    /// When each request came, and how many messages were reported with it and those before.
    requests: Vec<(Instant, usize)>,
}

/// The time in which the processor neither begins nor ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    /// How long it was.
    pub duration: Duration,
    /// How many messages were reported in it.
    pub messages: usize,
}

impl Ledger {
    /// Nothing yet; there are the messages 0 to `messages`.
    pub fn expecting(messages: u32) -> Ledger {
        let words = messages.div_ceil(u64::BITS) as usize;
        let numbers = Vec::with_capacity(messages as usize);
        let arrivals = Arrivals { numbers, requests: Vec::new() };
        Ledger { expected: messages, seen: vec![0; words], repeated: 0, unsent: 0, unknown: 0, arrivals }
    }

    /// Takes the reports of one request.
    pub fn take(&mut self, at: Instant, reports: impl Iterator<Item = (u32, DeliveryStatus)>) {
        for (number, status) in reports {
            if number >= self.expected {
                self.unknown += 1;
                continue;
            }
            self.unsent += u64::from(status != DeliveryStatus::Sent);
            let (word, bit) = ((number / u64::BITS) as usize, 1 << (number % u64::BITS));
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                self.arrivals.numbers.push(number);
            } else {
                self.repeated += 1;
            }
        }
        self.arrivals.requests.push((at, self.arrivals.numbers.len()));
    }

    /// How many messages were reported.
    pub fn reported(&self) -> usize {
        self.arrivals.numbers.len()
    }

    /// Whether all were.
    pub fn is_complete(&self) -> bool {
        self.reported() == self.expected as usize
    }

    /// Reports on messages that had been reported before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Reports that cannot be: on messages that do not exist, and of other outcomes than the provider has.
    pub fn impossible(&self) -> u64 {
        self.unknown + self.unsent
    }

    /// What came, and when.
    pub fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }
}

impl Arrivals {
    /// From the first request to the last one.
    pub fn span(&self) -> Duration {
        match (self.requests.first(), self.requests.last()) {
            (Some((first, _)), Some((last, _))) => *last - *first,
            _ => Duration::ZERO,
        }
    }

    /// The time from `ramp` after the first report until no more than `in_flight` messages were left: up to then there
    /// must have been records that were not yet taken. `None` where that never was.
    pub fn steady(&self, ramp: Duration, in_flight: usize) -> Option<Steady> {
        let (began, _) = self.requests.first()?;
        let from = self.requests.iter().find(|(at, _)| *at >= *began + ramp)?;
        let most = self.numbers.len().checked_sub(in_flight)?;
        let until = self.requests.iter().rfind(|(_, reported)| *reported <= most)?;
        let duration = until.0.checked_duration_since(from.0).filter(|duration| !duration.is_zero())?;
        Some(Steady { duration, messages: until.1.checked_sub(from.1)? })
    }

    /// How long each message with one of these numbers took since it was due.
    pub fn latencies(&self, of: &Range<u32>, due: impl Fn(u32) -> Instant) -> Latencies {
        let mut latencies = Latencies::new();
        let mut reported = self.numbers.iter();
        let mut before = 0;
        for &(at, until) in &self.requests {
            for &number in reported.by_ref().take(until - before).filter(|number| of.contains(number)) {
                latencies.record(at.saturating_duration_since(due(number)));
            }
            before = until;
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: DeliveryStatus = DeliveryStatus::Sent;

    /// 1,000 messages of which ten were reported every 100 ms.
    fn constant() -> (Instant, Ledger) {
        let (began, mut ledger) = (Instant::now(), Ledger::expecting(1000));
        for request in 0..100 {
            let numbers = (0..10).map(|number| (request * 10 + number, SENT));
            ledger.take(began + Duration::from_millis(100) * request, numbers);
        }
        (began, ledger)
    }

    #[test]
    fn a_message_counts_once_and_repeats_are_told() {
        let (at, mut ledger) = constant();
        assert!(ledger.is_complete());
        ledger.take(at, [(999, SENT), (64, SENT)].into_iter());
        assert_eq!((ledger.reported(), ledger.repeated(), ledger.impossible()), (1000, 2, 0));
    }

    #[test]
    fn messages_that_do_not_exist_and_failures_of_a_provider_that_never_fails_are_told() {
        let mut ledger = Ledger::expecting(65);
        ledger.take(Instant::now(), [(65, SENT), (64, DeliveryStatus::Failed)].into_iter());
        assert_eq!((ledger.reported(), ledger.impossible()), (1, 2));
        assert!(!ledger.is_complete());
    }

    #[test]
    fn what_is_steady_begins_after_the_ramp_and_ends_while_there_is_more_to_take() {
        let arrivals = constant().1.arrivals();
        assert_eq!(arrivals.span(), Duration::from_millis(9900));
        // From the report that came at 2 s (the 210th) until 900 were reported, at 8.9 s.
        let steady = Steady { duration: Duration::from_millis(6900), messages: 690 };
        assert_eq!(arrivals.steady(Duration::from_secs(2), 100), Some(steady));
    }

    #[test]
    fn where_all_is_in_flight_at_once_nothing_is_steady() {
        let arrivals = constant().1.arrivals();
        assert_eq!(arrivals.steady(Duration::from_secs(2), 900), None);
        assert_eq!(arrivals.steady(Duration::from_mins(1), 0), None);
        assert_eq!(arrivals.steady(Duration::ZERO, 2000), None);
        assert_eq!(Arrivals::default().steady(Duration::ZERO, 0), None);
    }

    #[test]
    fn latency_counts_from_when_a_message_was_due() {
        let (began, ledger) = constant();
        // Every message is due with the request that reports it, except that one is due 50 ms before.
        let due = |number| match number {
            500 => began + Duration::from_millis(4950),
            number => began + Duration::from_millis(100) * (number / 10),
        };
        let figures = ledger.arrivals().latencies(&(0..1000), due).figures();
        assert!(figures.p99_ms < 0.01 && (49.9..50.1).contains(&figures.max_ms), "{figures:?}");
        let figures = ledger.arrivals().latencies(&(501..1000), due).figures();
        assert!(figures.max_ms < 0.01, "{figures:?}");
    }
}

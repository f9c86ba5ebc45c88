//! How old the answers of processors are, by our own clock: theirs may differ, so an answer counts from when we first saw
//! it. One that does not change any more grows old.

use std::collections::BTreeMap;

use autoscaler::Signal;
use contract::Load;
use jiff::Timestamp;

/// When the last answer of each processor was first seen, with the time that it bears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads(BTreeMap<String, (Timestamp, Timestamp)>);

impl Loads {
    /// What the processors told just now, each with the time by our clock. Those that are not among them are forgotten.
    pub fn see(&mut self, now: Timestamp, told: Vec<(String, Result<Load, String>)>) -> Vec<(String, Signal<Load>)> {
        let mut seen = BTreeMap::new();
        let signals = told.into_iter().map(|(pod, load)| {
            let signal = match load {
                Ok(value) => {
                    let first =
                        self.0.get(&pod).filter(|(bears, _)| *bears == value.at).map_or(now, |(_, first)| *first);
                    seen.insert(pod.clone(), (value.at, first));
                    Signal::Known { at: first, value }
                }
                Err(why) => Signal::Unknown { why },
            };
            (pod, signal)
        });
        let signals = signals.collect();
        self.0 = seen;
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn seen(loads: &mut Loads, now: i64, bears: i64) -> Option<Timestamp> {
        let load = Load { at: at(bears), since: at(0), max_in_flight: 1, cpu: None, lanes: Vec::new() };
        match loads.see(at(now), vec![("a".to_owned(), Ok(load))]).pop() {
            Some((_, Signal::Known { at, .. })) => Some(at),
            Some((_, Signal::Unknown { .. })) | None => None,
        }
    }

    #[test]
    fn an_answer_counts_from_when_it_was_first_seen_whatever_the_clock_of_the_processor_says() {
        let mut loads = Loads::default();
        assert_eq!(seen(&mut loads, 100, 5000), Some(at(100)));
        assert_eq!(seen(&mut loads, 110, 5010), Some(at(110)));
    }

    #[test]
    fn an_answer_that_does_not_change_grows_old() {
        let mut loads = Loads::default();
        for now in [100, 110, 120] {
            assert_eq!(seen(&mut loads, now, 5000), Some(at(100)));
        }
    }

    #[test]
    fn who_does_not_answer_is_unknown_and_begins_anew_afterwards() {
        let mut loads = Loads::default();
        seen(&mut loads, 100, 5000);
        let silent = loads.see(at(110), vec![("a".to_owned(), Err("no answer".to_owned()))]);
        assert_eq!(silent, [("a".to_owned(), Signal::Unknown { why: "no answer".to_owned() })]);
        assert_eq!(seen(&mut loads, 120, 5000), Some(at(120)));
    }
}

//! What the provider takes and what it fails: a limit that replicas cannot move.

use crate::{
    decision::Finding,
    measure::{PodRates, Seen, UNTHROTTLED},
    settings::Settings,
};

/// From which part of the time on a pod counts as held by the provider's limit.
const THROTTLED: f64 = 0.5;
/// How far above what is measured the limit is taken to be, so that one that is raised is followed.
const ROOM: f64 = 1.1;
/// From which part on most of what ends counts as failed: the simulated provider fails a tenth by design.
const FAILING: f64 = 0.5;
/// How many records must have ended in a look to tell.
const ENOUGH: f64 = 20.0;

/// What is known of the provider after this look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Provider {
    /// Records per second that it takes at most.
    pub limit: Option<f64>,
    /// The limit as measured, to remember.
    pub measured: Option<f64>,
    /// Which part of what ended has failed, when it is most.
    pub failing: Option<f64>,
    pub findings: Vec<Finding>,
}

pub(crate) fn look(settings: &Settings, seen: &Seen, before: Option<f64>) -> Provider {
    let pods = || seen.rates.values();
    let sum = |part: fn(&PodRates) -> f64| pods().map(part).sum::<f64>();
    let processed = sum(|pod| pod.processed);
    let weighted = |part: fn(&PodRates) -> f64| {
        if processed > 0.0 { pods().map(|pod| part(pod) * pod.processed).sum::<f64>() / processed } else { 0.0 }
    };
    let throttled = weighted(|pod| pod.throttled);
    let measured = if throttled >= THROTTLED {
        Some(before.map_or(processed, |before| before + (processed - before) / 2.0))
    } else {
        before.filter(|_| throttled >= UNTHROTTLED)
    };
    let declared = settings.rate_limit;
    let room = measured.map(|measured| measured * ROOM);
    let limit = declared.into_iter().chain(room).reduce(f64::min);
    let share = if processed > 0.0 { sum(|pod| pod.failed) / processed } else { 0.0 };
    let ended: f64 = pods().map(|pod| pod.processed * pod.seconds).sum();
    let failing = (share >= FAILING && ended >= ENOUGH).then_some(share);
    let mut findings = Vec::new();
    if let Some(measured) = measured {
        findings.push(Finding::ProviderLimit { per_second: measured, measured: true });
    }
    findings.extend(failing.map(|share| Finding::ProviderFailing { share }));
    Provider { limit, measured, failing, findings }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;

    #[track_caller]
    fn check(throttled: f64, failed: f64, before: Option<f64>, limit: Option<f64>, failing: Option<f64>) {
        let pod = PodRates {
            seconds: 10.0,
            processed: 100.0,
            failed,
            busy: 0.2,
            throttled,
            waits_everywhere: true,
            waited_everywhere: true,
            has_several: true,
        };
        let rates = BTreeMap::from([("a".to_owned(), pod.clone()), ("b".to_owned(), pod)]);
        let seen = Seen { rates, ..Seen::default() };
        let provider = look(&Settings::new(1, 6, Duration::from_mins(1)), &seen, before);
        assert_eq!((provider.limit.map(f64::round), provider.failing), (limit, failing));
    }

    #[test]
    fn what_is_done_while_the_limit_is_waited_for_is_the_limit() {
        check(0.9, 10.0, None, Some(220.0), None);
        check(0.9, 10.0, Some(400.0), Some(330.0), None);
    }

    #[test]
    fn the_limit_counts_until_it_is_hardly_waited_for() {
        check(0.3, 10.0, Some(200.0), Some(220.0), None);
        check(0.05, 10.0, Some(200.0), None, None);
        check(0.3, 10.0, None, None, None);
    }

    #[test]
    fn a_provider_that_fails_most_is_told_and_one_that_fails_a_tenth_is_not() {
        check(0.0, 60.0, None, None, Some(0.6));
        check(0.0, 10.0, None, None, None);
    }

    #[test]
    fn nothing_done_is_no_limit_and_no_failure() {
        let provider = look(&Settings::new(1, 6, Duration::from_mins(1)), &Seen::default(), None);
        assert_eq!(provider, Provider::default());
    }
}

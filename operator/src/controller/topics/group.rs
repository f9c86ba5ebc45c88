//! How soon the broker takes a processor that says nothing for gone. Pure.
//!
//! With KIP-848 that is a setting of the group at the broker, 45 seconds by default: so long the messages of a
//! processor that crashed wait. One that ends in good order leaves its group at once, whatever this is.

use std::collections::BTreeMap;

use kafka::Config;

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

/// The session that we would like: several heartbeats and a pause of the machine fit in, and messages wait no longer
/// than with the classic protocol, for which the processor itself says so.
const DESIRED_SESSION: i64 = 10_000;

/// A member may miss two heartbeats in a row. Source: Kafka's documentation of `heartbeat.interval.ms`.
const HEARTBEATS_IN_A_SESSION: i64 = 3;

/// The settings of the group that differ from what they should be on such a broker. Never longer than the broker's own
/// default, and within its limits, outside of which it refuses them.
pub(super) fn differing(broker: &Config, group: &Config) -> BTreeMap<&'static str, String> {
    let (Some(session), Some(heartbeat)) = (session(broker), heartbeat(broker)) else { return BTreeMap::new() };
    [(SESSION, session), (HEARTBEAT, heartbeat)]
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .filter(|(name, value)| group.get(*name).is_some_and(|found| found != value))
        .collect()
}

/// How long messages of a processor that crashed wait, in milliseconds, where that is longer than we would like.
pub(super) fn long_session(broker: &Config) -> Option<i64> {
    session(broker).filter(|session| *session > DESIRED_SESSION)
}

fn session(broker: &Config) -> Option<i64> {
    within(broker, "session.timeout", DESIRED_SESSION)
}

fn heartbeat(broker: &Config) -> Option<i64> {
    within(broker, "heartbeat.interval", session(broker)? / HEARTBEATS_IN_A_SESSION)
}

fn within(broker: &Config, setting: &str, desired: i64) -> Option<i64> {
    let number = |name: String| broker.get(&name)?.parse::<i64>().ok();
    let default = number(format!("group.consumer.{setting}.ms"))?;
    let least = number(format!("group.consumer.min.{setting}.ms"))?;
    let most = number(format!("group.consumer.max.{setting}.ms"))?;
    Some(desired.min(default).max(least).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Default, least and most of session and heartbeat.
    fn broker(session: [i64; 3], heartbeat: [i64; 3]) -> Config {
        let named = |setting: &str, values: [i64; 3]| {
            ["", "min.", "max."]
                .into_iter()
                .zip(values)
                .map(|(bound, value)| (format!("group.consumer.{bound}{setting}.ms"), value.to_string()))
                .collect::<Vec<_>>()
        };
        named("session.timeout", session).into_iter().chain(named("heartbeat.interval", heartbeat)).collect()
    }

    #[track_caller]
    fn check(broker: &Config, group: [i64; 2], expected: &[(&'static str, &str)]) {
        let [session, heartbeat] = group.map(|value| value.to_string());
        let group = Config::from([(SESSION.to_owned(), session), (HEARTBEAT.to_owned(), heartbeat)]);
        let expected = expected.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        assert_eq!(differing(broker, &group), expected);
    }

    #[test]
    fn a_broker_with_kafka_s_defaults_allows_no_shorter_session_and_is_left_alone() {
        let broker = broker([45_000, 45_000, 60_000], [5_000, 5_000, 15_000]);
        check(&broker, [45_000, 5_000], &[]);
        assert_eq!(long_session(&broker), Some(45_000));
    }

    #[test]
    fn a_broker_that_allows_it_gets_a_session_of_ten_seconds() {
        let broker = broker([45_000, 6_000, 60_000], [5_000, 1_000, 15_000]);
        check(&broker, [45_000, 5_000], &[(SESSION, "10000"), (HEARTBEAT, "3333")]);
        check(&broker, [10_000, 3_333], &[]);
        assert_eq!(long_session(&broker), None);
    }

    #[test]
    fn the_least_that_the_broker_allows_is_taken_where_that_is_more() {
        let broker = broker([45_000, 20_000, 60_000], [5_000, 5_000, 15_000]);
        check(&broker, [45_000, 5_000], &[(SESSION, "20000")]);
        assert_eq!(long_session(&broker), Some(20_000));
    }

    #[test]
    fn a_broker_that_is_quicker_by_itself_stays_so() {
        check(&broker([3_000, 2_000, 60_000], [300, 300, 15_000]), [3_000, 300], &[]);
    }

    #[test]
    fn a_broker_that_knows_no_such_settings_is_left_alone() {
        check(&Config::new(), [45_000, 5_000], &[]);
    }
}

//! Settings of the brokers that can cost messages. Pure.

use std::collections::BTreeMap;

use kafka::Config;

use super::{group, plan::Found};
use crate::crd::GroupProtocol;

/// What a look at the brokers' settings has shown, a sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safety {
    /// What endangers messages.
    pub dangers: Vec<String>,
    /// What is worth knowing and endangers none.
    pub notes: Vec<String>,
}

/// Judges the settings of one broker, and those that apply to the topics, whoever set them.
pub(super) fn judge(broker: &Config, topics: &BTreeMap<String, Found>, protocol: GroupProtocol) -> Safety {
    let mut safety = Safety::default();
    let is = |config: &Config, name: &str, value: &str| config.get(name).is_some_and(|found| found == value);
    let those = |is_in_danger: &dyn Fn(&Found) -> bool| {
        let names: Vec<_> =
            topics.iter().filter(|(_, found)| is_in_danger(found)).map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = those(&|found| is(&found.config, "unclean.leader.election.enable", "true")) {
        safety.dangers.push(format!(
            "unclean.leader.election.enable=true for {names}: a broker that lags behind can become leader, and what only \
             the others had is lost"
        ));
    }
    let copies = |found: &Found| found.description.replication_factor;
    if let Some(names) = those(&|found| copies(found) >= 3 && is(&found.config, "min.insync.replicas", "1")) {
        safety.dangers.push(format!(
            "min.insync.replicas=1 for {names}: a record counts as written when only one of its copies exists"
        ));
    }
    let most = topics.values().map(copies).max().unwrap_or_default().min(3);
    let offsets = broker.get("offsets.topic.replication.factor").and_then(|value| value.parse::<i32>().ok());
    if let Some(offsets) = offsets.filter(|offsets| *offsets < most) {
        safety.dangers.push(format!(
            "offsets.topic.replication.factor={offsets}: how far the processors have come is kept on fewer brokers than the \
             messages, and with it lost everything is processed again"
        ));
    }
    if is(broker, "auto.create.topics.enable", "true") {
        safety.notes.push("auto.create.topics.enable=true: a topic that is deleted can come back by itself".to_owned());
    }
    if let Some(session) = group::long_session(broker).filter(|_| protocol == GroupProtocol::Consumer) {
        safety.notes.push(format!(
            "group.consumer.min.session.timeout.ms allows no session below {session} ms: so long the messages of a \
             processor that crashed wait"
        ));
    }
    safety
}

#[cfg(test)]
mod tests {
    use kafka::TopicDescription;

    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[track_caller]
    fn check(
        broker: &[(&str, &str)],
        replication_factor: i32,
        topic: &[(&str, &str)],
        dangers: &[&str],
        notes: &[&str],
    ) {
        let description =
            TopicDescription { topic_id: "AAAA".to_owned(), partitions: 6, replication_factor, leader: Some(1) };
        let topics = BTreeMap::from([("sms.requests".to_owned(), Found { description, config: config(topic) })]);
        let safety = judge(&config(broker), &topics, GroupProtocol::Consumer);
        let begins = |sentences: &[String]| -> Vec<String> {
            sentences.iter().map(|sentence| sentence.split(':').next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(
            (begins(&safety.dangers), begins(&safety.notes)),
            (
                dangers.iter().map(|&text| text.to_owned()).collect(),
                notes.iter().map(|&text| text.to_owned()).collect()
            )
        );
    }

    #[test]
    fn settings_that_lose_nothing_are_safe() {
        let broker = [("auto.create.topics.enable", "false"), ("offsets.topic.replication.factor", "3")];
        let topic = [("unclean.leader.election.enable", "false"), ("min.insync.replicas", "2")];
        check(&broker, 3, &topic, &[], &[]);
    }

    #[test]
    fn settings_that_can_lose_messages_are_named_with_their_topics() {
        let topic = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
        let expected =
            ["unclean.leader.election.enable=true for sms.requests", "min.insync.replicas=1 for sms.requests"];
        check(&[], 3, &topic, &expected, &[]);
        let offsets = [("offsets.topic.replication.factor", "1")];
        check(&offsets, 3, &[], &["offsets.topic.replication.factor=1"], &[]);
    }

    #[test]
    fn one_broker_alone_is_a_choice_and_no_danger() {
        check(&[("offsets.topic.replication.factor", "1")], 1, &[("min.insync.replicas", "1")], &[], &[]);
    }

    #[test]
    fn what_is_only_worth_knowing_is_a_note() {
        let broker = [
            ("auto.create.topics.enable", "true"),
            ("group.consumer.session.timeout.ms", "45000"),
            ("group.consumer.min.session.timeout.ms", "45000"),
            ("group.consumer.max.session.timeout.ms", "60000"),
        ];
        let session = "group.consumer.min.session.timeout.ms allows no session below 45000 ms";
        check(&broker, 1, &[], &[], &["auto.create.topics.enable=true", session]);
    }
}

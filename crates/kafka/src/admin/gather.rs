//! Questions after topics that come close together are asked as one: after a start, hundreds of pipelines on the same
//! brokers want to know of theirs at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{Error, TopicDescription};

/// How long a question waits for others.
pub(super) const LINGER: Duration = Duration::from_millis(20);

/// What the broker says of each topic that exists. What it refuses to tell of one is no answer for the others.
pub(crate) type Descriptions = BTreeMap<String, Result<TopicDescription, Error>>;

type Answer = Result<BTreeMap<String, TopicDescription>, Error>;

/// Questions that wait to be asked.
#[derive(Default)]
pub(super) struct Gathering(Mutex<Vec<Question>>);

struct Question {
    names: Vec<String>,
    answer: oneshot::Sender<Answer>,
}

/// Who has to ask for all that wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Whoever has just come: nobody waits yet.
    You,
    /// Somebody who came before.
    Another,
}

impl Gathering {
    /// Lets a question wait; the answer comes when the asker has asked.
    pub(super) fn add(&self, names: Vec<String>) -> (Asker, oneshot::Receiver<Answer>) {
        let (answer, coming) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asker = if waiting.is_empty() { Asker::You } else { Asker::Another };
        waiting.push(Question { names, answer });
        (asker, coming)
    }

    /// All that wait.
    pub(super) fn take(&self) -> Questions {
        Questions(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Questions that are asked as one.
pub(super) struct Questions(Vec<Question>);

impl Questions {
    /// Every topic that is asked for, once.
    pub(super) fn names(&self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.iter().flat_map(|question| &question.names).collect();
        names.into_iter().cloned().collect()
    }

    /// Gives each its part of the answer.
    pub(super) fn answer(self, asked: &Result<Descriptions, Error>) {
        for Question { names, answer } in self.0 {
            let part = match asked {
                Ok(found) => part(&names, found),
                Err(error) => Err(error.clone()),
            };
            // Nobody waits any more, then.
            let _ = answer.send(part);
        }
    }
}

fn part(names: &[String], found: &Descriptions) -> Answer {
    let known = names.iter().filter_map(|name| Some((name, found.get(name)?)));
    known.map(|(name, description)| Ok((name.clone(), description.clone()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn description(topic_id: &str) -> TopicDescription {
        TopicDescription { topic_id: topic_id.to_owned(), partitions: 1, replication_factor: 1, leader: Some(1) }
    }

    #[test]
    fn the_first_asks_for_all_that_come_until_then_and_each_topic_once() {
        let gathering = Gathering::default();
        let (first, _) = gathering.add(names(&["a", "b"]));
        let (second, _) = gathering.add(names(&["b", "c"]));
        assert_eq!((first, second), (Asker::You, Asker::Another));
        assert_eq!(gathering.take().names(), ["a", "b", "c"]);
        assert_eq!(gathering.add(names(&["a"])).0, Asker::You);
    }

    #[test]
    fn each_gets_its_own_part_and_a_refusal_only_of_its_own_topics() {
        let gathering = Gathering::default();
        let (_, mut allowed) = gathering.add(names(&["a", "missing"]));
        let (_, mut refused) = gathering.add(names(&["a", "b"]));
        let reason = "Topic authorization failed".to_owned();
        let refusal = Error::Topic { call: "DescribeTopics", topic: "b".to_owned(), reason };
        let found = BTreeMap::from([("a".to_owned(), Ok(description("id"))), ("b".to_owned(), Err(refusal))]);
        gathering.take().answer(&Ok(found));
        let allowed = allowed.try_recv().expect("an answer").expect("allowed");
        assert_eq!(allowed, BTreeMap::from([("a".to_owned(), description("id"))]));
        let told = refused.try_recv().expect("an answer").expect_err("refused").to_string();
        assert_eq!(told, r#"Kafka refused DescribeTopics for "b": Topic authorization failed"#);
    }

    #[test]
    fn a_call_that_fails_fails_for_all() {
        let gathering = Gathering::default();
        let mut waiting = [gathering.add(names(&["a"])).1, gathering.add(names(&["b"])).1];
        gathering.take().answer(&Err(Error::Call { call: "DescribeTopics", reason: "timed out".to_owned() }));
        assert!(waiting.iter_mut().all(|answer| answer.try_recv().expect("an answer").is_err()));
    }
}

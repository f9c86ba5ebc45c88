//! Questions that come close together are asked as one: after a start, hundreds of pipelines on the same brokers want to
//! know of their topics at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::Error;

/// How long a question waits for others.
pub(super) const LINGER: Duration = Duration::from_millis(20);

/// What the broker says of each thing that exists. What it refuses to tell of one is no answer for the others.
pub(crate) type Found<K, V> = BTreeMap<K, Result<V, Error>>;

type Answer<K, V> = Result<Found<K, V>, Error>;

/// Questions that wait to be asked.
pub(super) struct Gathering<K, V>(Mutex<Vec<Question<K, V>>>);

struct Question<K, V> {
    keys: Vec<K>,
    answer: oneshot::Sender<Answer<K, V>>,
}

impl<K, V> Default for Gathering<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> Gathering<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// What `call` finds of `keys`, asked together with what others ask at the same moment.
    pub(super) async fn ask<F>(
        self: &Arc<Self>,
        keys: Vec<K>,
        name: &'static str,
        call: impl FnOnce(Questions<K, V>) -> F + Send + 'static,
    ) -> Answer<K, V>
    where
        F: Future<Output = ()> + Send,
    {
        let (asker, answer) = self.add(keys);
        if asker == Asker::You {
            let gathering = Arc::clone(self);
            // Apart from whoever asks, who may stop waiting while others go on.
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                call(gathering.take()).await;
            });
        }
        let gone = |_| Err(Error::Call { call: name, reason: "nobody asks any more".to_owned() });
        answer.await.unwrap_or_else(gone)
    }

    /// Lets a question wait; the answer comes when the asker has asked.
    fn add(&self, keys: Vec<K>) -> (Asker, oneshot::Receiver<Answer<K, V>>) {
        let (answer, coming) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asker = if waiting.is_empty() { Asker::You } else { Asker::Another };
        waiting.push(Question { keys, answer });
        (asker, coming)
    }

    /// All that wait.
    fn take(&self) -> Questions<K, V> {
        Questions(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Who has to ask for all that wait.
#[derive(Debug, PartialEq, Eq)]
enum Asker {
    /// Whoever has just come: nobody waits yet.
    You,
    /// Somebody who came before.
    Another,
}

/// Questions that are asked as one.
pub(super) struct Questions<K, V>(Vec<Question<K, V>>);

impl<K: Ord + Clone, V: Clone> Questions<K, V> {
    /// Everything that is asked for, once.
    pub(super) fn keys(&self) -> Vec<K> {
        let keys: BTreeSet<_> = self.0.iter().flat_map(|question| &question.keys).collect();
        keys.into_iter().cloned().collect()
    }

    /// Gives each its part of the answer.
    pub(super) fn answer(self, asked: &Answer<K, V>) {
        for Question { keys, answer } in self.0 {
            let part = match asked {
                Ok(found) => Ok(part(&keys, found)),
                Err(error) => Err(error.clone()),
            };
            // Nobody waits any more, then.
            let _ = answer.send(part);
        }
    }
}

fn part<K: Ord + Clone, V: Clone>(keys: &[K], found: &Found<K, V>) -> Found<K, V> {
    keys.iter().filter_map(|key| Some((key.clone(), found.get(key)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_asks_for_all_that_come_until_then_and_each_thing_once() {
        let gathering = Gathering::<String, i32>::default();
        let (first, _) = gathering.add(names(&["a", "b"]));
        let (second, _) = gathering.add(names(&["b", "c"]));
        assert_eq!((first, second), (Asker::You, Asker::Another));
        assert_eq!(gathering.take().keys(), ["a", "b", "c"]);
        assert_eq!(gathering.add(names(&["a"])).0, Asker::You);
    }

    #[test]
    fn each_gets_its_own_part_and_a_refusal_only_of_its_own() {
        let gathering = Gathering::default();
        let (_, mut allowed) = gathering.add(names(&["a", "missing"]));
        let (_, mut refused) = gathering.add(names(&["a", "b"]));
        let reason = "Topic authorization failed".to_owned();
        let refusal = Error::Topic { call: "DescribeTopics", topic: "b".to_owned(), reason };
        let found = BTreeMap::from([("a".to_owned(), Ok(1)), ("b".to_owned(), Err(refusal))]);
        gathering.take().answer(&Ok(found));
        let allowed = allowed.try_recv().expect("an answer").expect("a call that succeeded");
        assert_eq!(
            allowed.into_iter().map(|(name, found)| (name, found.ok())).collect::<Vec<_>>(),
            [("a".to_owned(), Some(1))]
        );
        let told = refused.try_recv().expect("an answer").expect("a call that succeeded").remove("b");
        let told = told.expect("the refusal").expect_err("refused").to_string();
        assert_eq!(told, r#"Kafka refused DescribeTopics for "b": Topic authorization failed"#);
    }

    #[test]
    fn a_call_that_fails_fails_for_all() {
        let gathering = Gathering::<String, i32>::default();
        let mut waiting = [gathering.add(names(&["a"])).1, gathering.add(names(&["b"])).1];
        gathering.take().answer(&Err(Error::Call { call: "DescribeTopics", reason: "timed out".to_owned() }));
        assert!(waiting.iter_mut().all(|answer| answer.try_recv().expect("an answer").is_err()));
    }
}

//! Answers that count for a while. When one has to be asked for anew, others that will be soon are asked for in the same
//! call: thousands of topics that are looked at each at its own time cost a few calls a minute.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::gather::Found;

/// How long an answer is kept that nobody has wanted since.
const KEPT: Duration = Duration::from_mins(3);
/// No call takes longer, with what it waits for.
const LONGEST_CALL: Duration = Duration::from_mins(1);

/// Answers that count for a while. What does not exist is never among them.
pub(super) struct Known<K, V> {
    /// For how long an answer counts.
    age: Duration,
    /// How many things are asked for in one call.
    at_once: usize,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    answers: BTreeMap<K, Answer<V>>,
    /// When something was changed, as long as a call may be under way that has not seen it.
    changed: BTreeMap<K, Instant>,
}

struct Answer<V> {
    value: V,
    /// When it was asked for.
    since: Instant,
    /// When it was last asked for anew, whether or not that has come to an end.
    renewed: Instant,
    /// When somebody last wanted it.
    wanted: Instant,
}

impl<K: Ord + Clone, V: Clone> Known<K, V> {
    pub(super) fn new(age: Duration, at_once: usize) -> Self {
        let state = Mutex::new(State { answers: BTreeMap::new(), changed: BTreeMap::new() });
        Self { age, at_once, state }
    }

    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// All of `keys`, or else what to ask for: what is not known of them, and what will be asked for soon.
    pub(super) fn look(&self, keys: &[K], now: Instant) -> Result<BTreeMap<K, V>, Vec<K>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        for key in keys {
            match state.answers.get_mut(key) {
                Some(answer) if now.duration_since(answer.since) < self.age => {
                    answer.wanted = now;
                    known.insert(key.clone(), answer.value.clone());
                }
                Some(answer) => {
                    (answer.wanted, answer.renewed) = (now, now);
                    unknown.push(key.clone());
                }
                None => unknown.push(key.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(known);
        }
        state.answers.retain(|_, answer| now.duration_since(answer.wanted) < KEPT);
        let soon = |answer: &Answer<V>| now.duration_since(answer.renewed) >= self.age / 2;
        let mut due: Vec<_> = state.answers.iter_mut().filter(|(_, answer)| soon(answer)).collect();
        due.sort_by_key(|(_, answer)| answer.renewed);
        // Those that are known too, so that the answer holds all of them.
        let mut ask = keys.to_vec();
        for (key, answer) in due.into_iter().take(self.at_once.saturating_sub(ask.len())) {
            answer.renewed = now;
            ask.push(key.clone());
        }
        Err(ask)
    }

    /// Takes in what was found of what was asked for at `asked`.
    pub(super) fn learn(&self, keys: &[K], found: &Found<K, V>, asked: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { answers, changed } = &mut *state;
        for key in keys {
            if changed.get(key).is_some_and(|changed| *changed >= asked) {
                continue;
            }
            let wanted = answers.get(key).map_or(asked, |before| before.wanted);
            match found.get(key) {
                Some(Ok(value)) => {
                    let answer = Answer { value: value.clone(), since: asked, renewed: asked, wanted };
                    answers.insert(key.clone(), answer);
                }
                Some(Err(_)) | None => {
                    answers.remove(key);
                }
            }
        }
    }

    /// Something is changed by us: what was known of it, or is asked for now, counts no longer.
    pub(super) fn forget(&self, keys: impl IntoIterator<Item = K>, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.changed.retain(|_, changed| now.duration_since(*changed) < LONGEST_CALL);
        for key in keys {
            state.answers.remove(&key);
            state.changed.insert(key, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_mins(1);

    fn known(keys: &[i32], asked: Instant) -> Known<i32, i32> {
        let known = Known::new(AGE, 3);
        known.learn(keys, &found(keys), asked);
        known
    }

    fn found(keys: &[i32]) -> Found<i32, i32> {
        keys.iter().map(|key| (*key, Ok(key * 10))).collect()
    }

    #[test]
    fn an_answer_counts_until_it_is_too_old() {
        let start = Instant::now();
        let known = known(&[1, 2], start);
        assert_eq!(known.look(&[1, 2], start + AGE / 3), Ok(BTreeMap::from([(1, 10), (2, 20)])));
        assert_eq!(known.look(&[1], start + AGE), Err(vec![1, 2]));
    }

    #[test]
    fn what_is_due_soon_is_asked_for_along_but_not_twice_and_not_more_than_goes_into_a_call() {
        let start = Instant::now();
        let known = known(&[1, 2, 3, 4, 5], start);
        known.learn(&[2], &found(&[2]), start + AGE / 2);
        let now = start + AGE;
        assert_eq!(known.look(&[3], now), Err(vec![3, 1, 4]));
        assert_eq!(known.look(&[5], now), Err(vec![5, 2]));
    }

    #[test]
    fn what_does_not_exist_is_asked_for_each_time() {
        let start = Instant::now();
        let known = known(&[1], start);
        known.learn(&[1], &Found::new(), start);
        assert_eq!(known.look(&[1], start), Err(vec![1]));
    }

    #[test]
    fn an_answer_that_was_asked_for_before_a_change_of_ours_does_not_count() {
        let start = Instant::now();
        let known = known(&[1], start);
        let second = Duration::from_secs(1);
        known.forget([1], start + second);
        known.learn(&[1], &found(&[1]), start);
        assert_eq!(known.look(&[1], start + second), Err(vec![1]));
        known.learn(&[1], &found(&[1]), start + 2 * second);
        assert!(known.look(&[1], start + 2 * second).is_ok());
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let start = Instant::now();
        let known = known(&[1, 2], start);
        assert_eq!(known.look(&[3], start + KEPT), Err(vec![3]));
    }
}

//! A kind of question that sms-api answers one by one, though many travel together.

use std::fmt::Debug;

use serde::Serialize;

use crate::metrics::{Exchanged, Metrics};

/// What differs between reports, claims and their release.
pub(super) trait Exchange: Debug + Send + Sync + 'static {
    /// What is asked.
    type Question: Clone + Debug + Send + Sync;
    /// What sms-api says of one.
    type Answer: Clone + Debug + PartialEq + Send;
    /// The body of a request.
    type Body: Serialize + Send;

    /// Where requests go.
    const PATH: &'static str;
    /// What operators call a question.
    const NAME: &'static str;

    /// The request that asks all these.
    fn body(questions: Vec<Self::Question>) -> Self::Body;

    /// The answers to so many questions, in their order; `None` when the body is no such answer.
    fn answers(body: &[u8], count: usize) -> Option<Vec<Self::Answer>>;

    /// Counts what became of so many questions.
    fn count(metrics: &Metrics, how: Exchanged, questions: usize);

    /// How an answer is counted.
    fn counted(answer: &Self::Answer) -> Exchanged;
}

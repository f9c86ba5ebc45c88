//! What to do with submissions that were not stored. Pure.

use crate::store::Error;

/// How often submissions are tried that keep meeting conflicts.
const ATTEMPTS: u32 = 5;

/// What was to be stored in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many submissions.
    pub submissions: usize,
    /// How many of them have an idempotency key.
    pub keyed: usize,
}

/// What becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try the same again at once.
    Retry,
    /// Try each half on its own: one row is refused, and its neighbours shall not suffer for it.
    Halve,
    /// Try those without idempotency key together and the others one by one: a key is held by another
    /// transaction, and only its own request shall wait for that.
    Separate,
    /// This single submission is the refused one.
    Refuse,
    /// The key of this single submission is held by another transaction, which does not end.
    Busy,
    /// PostgreSQL cannot do it at this time. Never retried here: it may have been committed.
    GiveUp,
}

/// Decides by the error, what was to be stored and the number of attempts made, this one included.
pub fn after(error: &Error, part: Part, attempt: u32) -> Step {
    match error {
        Error::Refused { .. } if part.submissions > 1 => Step::Halve,
        Error::Refused { .. } => Step::Refuse,
        Error::Locked if part.keyed > 0 && part.submissions > 1 => Step::Separate,
        Error::Locked if part.keyed > 0 => Step::Busy,
        Error::Conflict { .. } | Error::Locked if attempt < ATTEMPTS => Step::Retry,
        Error::Conflict { .. } | Error::Locked | Error::Away(_) | Error::Silent => Step::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Part = Part { submissions: 500, keyed: 0 };
    const MIXED: Part = Part { submissions: 500, keyed: 1 };
    const ONE: Part = Part { submissions: 1, keyed: 0 };
    const ONE_KEYED: Part = Part { submissions: 1, keyed: 1 };

    #[track_caller]
    fn check(error: &Error, part: Part, attempt: u32, expected: Step) {
        assert_eq!(after(error, part, attempt), expected);
    }

    #[test]
    fn a_refused_row_is_singled_out() {
        let refused = Error::Refused { code: "23514".to_owned(), constraint: None };
        check(&refused, FREE, 1, Step::Halve);
        check(&refused, Part { submissions: 2, keyed: 2 }, 1, Step::Halve);
        check(&refused, ONE, 1, Step::Refuse);
    }

    #[test]
    fn a_conflict_is_retried_within_a_bound() {
        let conflict = Error::Conflict { code: "40P01".to_owned() };
        check(&conflict, MIXED, 1, Step::Retry);
        check(&conflict, MIXED, ATTEMPTS, Step::GiveUp);
    }

    #[test]
    fn only_the_request_with_the_key_waits_for_its_twin() {
        check(&Error::Locked, MIXED, 1, Step::Separate);
        check(&Error::Locked, ONE_KEYED, 1, Step::Busy);
        check(&Error::Locked, FREE, 1, Step::Retry);
        check(&Error::Locked, ONE, ATTEMPTS, Step::GiveUp);
    }

    #[test]
    fn what_may_have_been_committed_is_never_retried() {
        check(&Error::Away(sqlx::Error::PoolClosed), FREE, 1, Step::GiveUp);
        check(&Error::Silent, ONE_KEYED, 1, Step::GiveUp);
    }
}

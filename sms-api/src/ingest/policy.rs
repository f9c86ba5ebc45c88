//! What to do with a batch that was not stored. Pure.

use crate::store::Error;

/// How often a batch is tried that keeps meeting conflicts.
const ATTEMPTS: u32 = 5;

/// What becomes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try the same again at once.
    Retry,
    /// Try each half on its own: one row is refused, and its neighbours shall not suffer for it.
    Split,
    /// This single message is the refused one.
    Refuse,
    /// PostgreSQL cannot do it at this time. Never retried here: it may have been committed.
    GiveUp,
}

/// Decides by the error, the size of the batch and the number of attempts made, this one included.
pub fn after(error: &Error, size: usize, attempt: u32) -> Step {
    match error {
        Error::Refused { .. } if size > 1 => Step::Split,
        Error::Refused { .. } => Step::Refuse,
        Error::Conflict { .. } if attempt < ATTEMPTS => Step::Retry,
        Error::Conflict { .. } | Error::Away(_) | Error::Silent => Step::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, size: usize, attempt: u32, expected: Step) {
        assert_eq!(after(error, size, attempt), expected);
    }

    #[test]
    fn a_refused_row_is_singled_out() {
        let refused = Error::Refused { code: "23514".to_owned(), constraint: None };
        check(&refused, 500, 1, Step::Split);
        check(&refused, 2, 1, Step::Split);
        check(&refused, 1, 1, Step::Refuse);
    }

    #[test]
    fn a_conflict_is_retried_within_a_bound() {
        let conflict = Error::Conflict { code: "40P01".to_owned() };
        check(&conflict, 500, 1, Step::Retry);
        check(&conflict, 500, ATTEMPTS, Step::GiveUp);
    }

    #[test]
    fn what_may_have_been_committed_is_never_retried() {
        check(&Error::Away(sqlx::Error::PoolClosed), 500, 1, Step::GiveUp);
        check(&Error::Silent, 1, 1, Step::GiveUp);
    }
}

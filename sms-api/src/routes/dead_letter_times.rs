//! From when to when dead letters are meant, as clients tell it. Pure.

use std::ops::Range;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{message::first_id_at, problem::NOT_A_TIME};

/// The ids of all dead letters given up at `created_after` or later, and before `created_before`. What is wrong is told
/// to `complain` by the name of the field.
pub fn ids(
    created_after: Option<&str>,
    created_before: Option<&str>,
    mut complain: impl FnMut(&str, &str),
) -> Range<Uuid> {
    let mut first_id = |given: Option<&str>, name, otherwise| match given.map(str::parse::<Timestamp>) {
        None => otherwise,
        Some(Ok(time)) => first_id_at(time),
        Some(Err(_)) => {
            complain(name, NOT_A_TIME);
            otherwise
        }
    };
    first_id(created_after, "created_after", Uuid::nil())..first_id(created_before, "created_before", Uuid::max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(after: Option<&str>, before: Option<&str>, expected: (&str, &str), wrong: &[&str]) {
        let mut complaints = Vec::new();
        let ids = ids(after, before, |name, _| complaints.push(name.to_owned()));
        assert_eq!((ids.start.to_string().as_str(), ids.end.to_string().as_str()), expected);
        assert_eq!(complaints, wrong);
    }

    const NIL: &str = "00000000-0000-0000-0000-000000000000";
    const MAX: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    const FIRST: &str = "01a205b3-d000-0000-0000-000000000000";

    #[test]
    fn times_are_ids() {
        check(None, None, (NIL, MAX), &[]);
        check(Some("2026-11-23T00:00:00Z"), None, (FIRST, MAX), &[]);
        check(None, Some("2026-11-23T01:00:00+01:00"), (NIL, FIRST), &[]);
        check(Some(""), Some("2026-11-23"), (NIL, MAX), &["created_after", "created_before"]);
    }
}

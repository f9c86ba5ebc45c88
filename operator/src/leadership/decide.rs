//! What to do with a Lease that was seen. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A Lease as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it.
    pub holder: Option<String>,
    /// Its resourceVersion, which changes with every renewal.
    pub version: String,
    /// Since when it has been like this, by our own clock.
    pub since: Instant,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing: somebody else holds it.
    Wait,
    /// Take it.
    Take,
    /// Say again that it is ours.
    Renew,
}

/// What `identity` does about `seen`, which may be taken when it has stood still for `duration`.
pub(super) fn next(seen: &Seen, identity: &str, now: Instant, duration: Duration) -> Move {
    match &seen.holder {
        Some(holder) if holder == identity => Move::Renew,
        Some(_) if now.duration_since(seen.since) < duration => Move::Wait,
        Some(_) | None => Move::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(12);

    #[track_caller]
    fn check(holder: Option<&str>, still_for: u64, expected: Move) {
        let since = Instant::now();
        let seen = Seen { holder: holder.map(str::to_owned), version: "7".to_owned(), since };
        assert_eq!(next(&seen, "me", since + Duration::from_secs(still_for), DURATION), expected);
    }

    #[test]
    fn a_lease_that_nobody_holds_is_taken_at_once() {
        check(None, 0, Move::Take);
    }

    #[test]
    fn a_lease_of_somebody_else_is_taken_only_when_it_has_stood_still_for_its_duration() {
        check(Some("other"), 0, Move::Wait);
        check(Some("other"), 11, Move::Wait);
        check(Some("other"), 12, Move::Take);
    }

    #[test]
    fn our_own_lease_is_renewed_however_old_it_is() {
        check(Some("me"), 0, Move::Renew);
        check(Some("me"), 60, Move::Renew);
    }
}

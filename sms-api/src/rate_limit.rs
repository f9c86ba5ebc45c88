//! How much one caller may ask for: a bucket that every request takes from and time fills again, and the headers
//! that tell a client how it stands. Source of the headers: draft-ietf-httpapi-ratelimit-headers-11.
//!
//! Buckets live in this process, so a limit is one of a replica; there are as many as there are API keys.

use std::{num::NonZeroU32, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use serde::{Deserialize, Serialize};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Past it a request's share of a second is too few whole nanoseconds to be counted truly.
const LARGEST: u32 = 1_000_000;

/// A limit, proven usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Fields")]
pub struct RateLimit {
    requests_per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// The limit as it is written in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    requests_per_second: u32,
    burst: Option<u32>,
}

impl RateLimit {
    /// `burst` requests at once, after which as many come back each second as the first number says. Without a
    /// burst it is the requests of one second. An error says which number is wrong.
    pub fn new(requests_per_second: u32, burst: Option<u32>) -> Result<Self, String> {
        let usable = |name: &str, count| {
            let usable = NonZeroU32::new(count).filter(|count| count.get() <= LARGEST);
            usable.ok_or_else(|| format!("{name} must be a whole number from 1 to {LARGEST}"))
        };
        Ok(Self {
            requests_per_second: usable("requests_per_second", requests_per_second)?,
            burst: usable("burst", burst.unwrap_or(requests_per_second))?,
        })
    }

    /// Whole seconds in which so many requests come back.
    fn seconds_for(self, requests: u32) -> u32 {
        requests.div_ceil(self.requests_per_second.get())
    }
}

impl TryFrom<Fields> for RateLimit {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        Self::new(fields.requests_per_second, fields.burst)
    }
}

/// The bucket of one caller.
pub struct Limiter<C: Clock = MonotonicClock> {
    limit: RateLimit,
    bucket: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    policy: HeaderValue,
}

/// What the bucket had for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The request may go on.
    Admitted {
        /// How many more may follow at once.
        remaining: u32,
    },
    /// The request comes too early.
    Limited {
        /// Whole seconds after which the next one is admitted.
        retry_after: Duration,
    },
}

impl Limiter {
    /// A full bucket.
    pub fn new(limit: RateLimit) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock> Limiter<C> {
    fn with_clock(limit: RateLimit, clock: C) -> Self {
        let quota = Quota::per_second(limit.requests_per_second).allow_burst(limit.burst);
        let (burst, window) = (limit.burst, limit.seconds_for(limit.burst.get()));
        let policy = format!(r#""default";q={burst};w={window}"#);
        Self {
            limit,
            bucket: RateLimiter::direct_with_clock(quota, clock).with_middleware(),
            policy: HeaderValue::try_from(policy).expect("digits are visible ASCII"),
        }
    }

    /// What the bucket holds when full, and how fast it fills.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes one request out, if there is one.
    pub fn take(&self) -> Taken {
        match self.bucket.check() {
            Ok(state) => Taken::Admitted { remaining: state.remaining_burst_capacity() },
            Err(until) => {
                let wait = until.wait_time_from(self.bucket.clock().now());
                // Rounded up, because a second too early would be refused again.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Taken::Limited { retry_after: Duration::from_secs(seconds.max(1)) }
            }
        }
    }

    /// Tells the client its limit and how it stands. The window of an admitted request ends when the bucket is full
    /// again; that of a limited one may not end after `Retry-After` (section 6 of the draft), so it ends with it.
    pub fn describe(&self, taken: Taken, headers: &mut HeaderMap) {
        let (remaining, seconds) = match taken {
            Taken::Admitted { remaining } => {
                (remaining, self.limit.seconds_for(self.limit.burst.get().saturating_sub(remaining)).into())
            }
            Taken::Limited { retry_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
                (0, retry_after.as_secs())
            }
        };
        let standing = format!(r#""default";r={remaining};t={seconds}"#);
        headers.insert(RATELIMIT_POLICY, self.policy.clone());
        headers.insert(RATELIMIT, HeaderValue::try_from(standing).expect("digits are visible ASCII"));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limited(seconds: u64) -> Taken {
        Taken::Limited { retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_burst_is_admitted_and_then_as_many_as_time_brings_back() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(RateLimit::new(2, Some(3)).expect("a valid limit"), clock.clone());
        for remaining in [2, 1, 0] {
            assert_eq!(limiter.take(), Taken::Admitted { remaining });
        }
        assert_eq!(limiter.take(), limited(1));
        clock.advance(Duration::from_millis(499));
        assert_eq!(limiter.take(), limited(1));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limiter.take(), Taken::Admitted { remaining: 0 });
        assert_eq!(limiter.take(), limited(1));
        clock.advance(Duration::from_mins(1));
        assert_eq!(limiter.take(), Taken::Admitted { remaining: 2 });
    }

    #[track_caller]
    fn check_headers(taken: Taken, expected: &[(&str, &str)]) {
        let mut headers = HeaderMap::new();
        Limiter::new(RateLimit::new(50, Some(120)).expect("a valid limit")).describe(taken, &mut headers);
        let mut found: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("visible ASCII"))).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_client_is_told_its_limit_and_how_it_stands() {
        let policy = ("ratelimit-policy", r#""default";q=120;w=3"#);
        let standing = |standing| ("ratelimit", standing);
        check_headers(Taken::Admitted { remaining: 119 }, &[standing(r#""default";r=119;t=1"#), policy]);
        check_headers(Taken::Admitted { remaining: 0 }, &[standing(r#""default";r=0;t=3"#), policy]);
        check_headers(limited(1), &[standing(r#""default";r=0;t=1"#), policy, ("retry-after", "1")]);
    }

    #[track_caller]
    fn check_limit(json: &str, expected: Result<(u32, u32), &str>) {
        let limit = serde_json::from_str::<RateLimit>(json);
        let found = limit.map(|limit| (limit.requests_per_second.get(), limit.burst.get()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{json}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{json}: {error}"),
            (found, _) => panic!("{json}: {found:?}"),
        }
    }

    #[test]
    fn a_limit_is_of_whole_numbers_that_can_be_counted() {
        check_limit(r#"{"requests_per_second":50,"burst":100}"#, Ok((50, 100)));
        check_limit(r#"{"requests_per_second":50}"#, Ok((50, 50)));
        check_limit(r#"{"requests_per_second":1000000,"burst":1}"#, Ok((1_000_000, 1)));
        check_limit(
            r#"{"requests_per_second":0}"#,
            Err("requests_per_second must be a whole number from 1 to 1000000"),
        );
        check_limit(r#"{"requests_per_second":1000001}"#, Err("requests_per_second must be"));
        check_limit(r#"{"requests_per_second":50,"burst":0}"#, Err("burst must be"));
        check_limit(r#"{"burst":100}"#, Err("missing field `requests_per_second`"));
        check_limit(r#"{"requests_per_second":50,"window":1}"#, Err("unknown field `window`"));
    }
}

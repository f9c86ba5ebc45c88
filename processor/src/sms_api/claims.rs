//! `POST /v1/internal/claims` and `POST /v1/internal/claims/release`.

use contract::{Claim, ClaimOutcome, ClaimResults, Claims};

use super::exchange::Exchange;
use crate::metrics::{Exchanged, Metrics};

/// Whether messages may be sent.
#[derive(Debug)]
pub(super) struct ClaimExchange;

impl Exchange for ClaimExchange {
    type Answer = ClaimOutcome;
    type Body = Claims;
    type Question = Claim;

    const NAME: &'static str = "claim";
    const PATH: &'static str = "v1/internal/claims";

    fn body(claims: Vec<Claim>) -> Claims {
        Claims { claims }
    }

    fn answers(body: &[u8], count: usize) -> Option<Vec<ClaimOutcome>> {
        let ClaimResults { results } = serde_json::from_slice(body).ok()?;
        (results.len() == count).then(|| results.into_iter().map(|result| result.outcome).collect())
    }

    fn count(metrics: &Metrics, how: Exchanged, claims: usize) {
        metrics.claimed(how, claims);
    }

    fn counted(answer: &ClaimOutcome) -> Exchanged {
        match answer {
            ClaimOutcome::Granted | ClaimOutcome::ClaimedBefore | ClaimOutcome::Final | ClaimOutcome::Outdated => {
                Exchanged::Accepted
            }
            ClaimOutcome::MessageNotFound => Exchanged::UnknownMessage,
        }
    }
}

/// That messages were not sent which might have been.
#[derive(Debug)]
pub(super) struct ReleaseExchange;

impl Exchange for ReleaseExchange {
    type Answer = ();
    type Body = Claims;
    type Question = Claim;

    const NAME: &'static str = "release";
    const PATH: &'static str = "v1/internal/claims/release";

    fn body(claims: Vec<Claim>) -> Claims {
        Claims { claims }
    }

    fn answers(_body: &[u8], count: usize) -> Option<Vec<()>> {
        Some(vec![(); count])
    }

    fn count(metrics: &Metrics, how: Exchanged, claims: usize) {
        metrics.released(how, claims);
    }

    fn counted((): &()) -> Exchanged {
        Exchanged::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_claim_has_its_own_answer_in_the_order_of_the_claims() {
        let body = br#"{"results":[
            {"message_id":"019aa8f0-0000-7000-8000-000000000001","outcome":"GRANTED"},
            {"message_id":"019aa8f0-0000-7000-8000-000000000002","outcome":"FINAL"}
        ]}"#;
        assert_eq!(ClaimExchange::answers(body, 2), Some(vec![ClaimOutcome::Granted, ClaimOutcome::Final]));
        assert_eq!(ClaimExchange::answers(body, 3), None);
    }
}

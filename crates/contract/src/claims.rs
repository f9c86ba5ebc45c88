use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Asks for the right to hand messages to a provider: the body of `POST /v1/internal/claims`, at most
/// [`crate::LARGEST_BATCH`] of them.
///
/// An attempt is granted to one claimant, so a processor that meets a record again after a crash learns that the provider
/// may have taken the message already. What was not sent in the end can be given back: the same body, to
/// `POST /v1/internal/claims/release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The claims; none depends on another one.
    pub claims: Vec<Claim>,
}

/// One attempt that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The message to be sent.
    pub message_id: Uuid,
    /// The attempt that its record asks for, from 1.
    pub attempt: i32,
    /// Who asks: new each time that a processor takes up the record, and the same when it asks again because no answer came.
    pub claimant: Uuid,
}

/// The answer to [`Claims`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimResults {
    /// One result per claim, in the order of the claims.
    pub results: Vec<ClaimResult>,
}

/// The answer to one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimResult {
    /// The message claimed.
    pub message_id: Uuid,
    /// Whether it may be sent.
    pub outcome: ClaimOutcome,
}

/// Whether a claimed message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimOutcome {
    /// Yes: nobody else claimed this attempt before.
    Granted,
    /// Not without asking: this attempt was granted to somebody else, and what became of it was never reported.
    ClaimedBefore,
    /// No: the message has its final status.
    Final,
    /// No: a later attempt is under way.
    Outdated,
    /// No: sms-api knows no such message.
    MessageNotFound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_stay_readable() {
        let golden = include_str!("../golden/claims.json").trim_end();
        let decoded: Claims = serde_json::from_str(golden).expect("golden claims decode");
        assert_eq!(serde_json::to_string(&decoded).expect("claims encode"), golden);
    }

    #[test]
    fn the_results_of_claims_stay_readable() {
        let golden = include_str!("../golden/claim-results.json").trim_end();
        let decoded: ClaimResults = serde_json::from_str(golden).expect("golden results decode");
        assert_eq!(serde_json::to_string(&decoded).expect("results encode"), golden);
    }
}

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DeliveryReport;

/// Many reports at once: the body of `POST /v1/internal/delivery-reports`, at most [`crate::LARGEST_BATCH`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReports {
    /// The reports; none depends on another one.
    pub reports: Vec<DeliveryReport>,
}

/// The answer to [`DeliveryReports`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResults {
    /// One result per report, in the order of the reports.
    pub results: Vec<ReportResult>,
}

/// What one report of a batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResult {
    /// The message reported on.
    pub message_id: Uuid,
    /// What the report did to it.
    pub outcome: ReportOutcome,
}

/// What a report did to its message. With each of these the reporter has done its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportOutcome {
    /// The message has the reported status now.
    Changed,
    /// The report came too late: the message is final already, or a later attempt is under way.
    Unchanged,
    /// sms-api knows no such message.
    MessageNotFound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_reports_stays_readable() {
        let golden = include_str!("../golden/delivery-reports.json").trim_end();
        let decoded: DeliveryReports = serde_json::from_str(golden).expect("golden reports decode");
        assert_eq!(serde_json::to_string(&decoded).expect("reports encode"), golden);
    }

    #[test]
    fn the_results_of_a_batch_of_reports_stay_readable() {
        let golden = include_str!("../golden/report-results.json").trim_end();
        let decoded: ReportResults = serde_json::from_str(golden).expect("golden results decode");
        assert_eq!(serde_json::to_string(&decoded).expect("results encode"), golden);
    }
}

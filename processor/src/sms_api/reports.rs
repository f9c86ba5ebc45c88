//! `POST /v1/internal/delivery-reports`.

use contract::{DeliveryReport, DeliveryReports, ReportOutcome, ReportResults};

use super::{Reported, exchange::Exchange};
use crate::metrics::{Exchanged, Metrics};

/// What became of messages.
#[derive(Debug)]
pub(super) struct ReportExchange;

impl Exchange for ReportExchange {
    type Answer = Reported;
    type Body = DeliveryReports;
    type Question = DeliveryReport;

    const NAME: &'static str = "delivery report";
    const PATH: &'static str = "v1/internal/delivery-reports";

    fn body(reports: Vec<DeliveryReport>) -> DeliveryReports {
        DeliveryReports { reports }
    }

    fn answers(body: &[u8], count: usize) -> Option<Vec<Reported>> {
        let ReportResults { results } = serde_json::from_slice(body).ok()?;
        let answer = |outcome| match outcome {
            ReportOutcome::Changed | ReportOutcome::Unchanged => Reported::Accepted,
            ReportOutcome::MessageNotFound => Reported::UnknownMessage,
        };
        (results.len() == count).then(|| results.into_iter().map(|result| answer(result.outcome)).collect())
    }

    fn count(metrics: &Metrics, how: Exchanged, reports: usize) {
        metrics.reported(how, reports);
    }

    fn counted(answer: &Reported) -> Exchanged {
        match answer {
            Reported::Accepted => Exchanged::Accepted,
            Reported::UnknownMessage => Exchanged::UnknownMessage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_has_its_own_answer_in_the_order_of_the_reports() {
        let body = br#"{"results":[
            {"message_id":"019aa8f0-0000-7000-8000-000000000001","outcome":"CHANGED"},
            {"message_id":"019aa8f0-0000-7000-8000-000000000002","outcome":"MESSAGE_NOT_FOUND"},
            {"message_id":"019aa8f0-0000-7000-8000-000000000003","outcome":"UNCHANGED"}
        ]}"#;
        let answers = vec![Reported::Accepted, Reported::UnknownMessage, Reported::Accepted];
        assert_eq!(ReportExchange::answers(body, 3), Some(answers));
    }

    #[test]
    fn an_answer_that_does_not_tell_of_every_report_is_none() {
        for body in ["", "<html>", "{}", r#"{"results":[]}"#] {
            assert_eq!(ReportExchange::answers(body.as_bytes(), 1), None, "{body}");
        }
    }
}

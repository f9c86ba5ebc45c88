//! What the numbers of messages say. Pure: it knows neither where the counts come from nor who asks.

use serde::Serialize;

use crate::message::Status;

/// How many messages went from one status to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The status that they had; `None` for new ones.
    pub from: Option<Status>,
    /// The status that they got.
    pub to: Status,
    /// How many ever did.
    pub ever: i64,
    /// How many did in the last minute.
    pub last_minute: i64,
    /// How many did in the last hour.
    pub last_hour: i64,
    /// How many did in the last day.
    pub last_day: i64,
}

/// The body of `GET /v1/messages/stats`. Totals are since the beginning: a message that retention has removed
/// stays counted under the last status it had.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Statistics {
    /// Messages ever accepted.
    pub total_messages: i64,
    /// Those that are PENDING.
    pub pending_messages: i64,
    /// Those that are SENT.
    pub sent_messages: i64,
    /// Those that are FAILED.
    pub failed_messages: i64,
    /// Sent among sent and failed, from 0 to 1; 0 when there are none.
    pub success_rate: f64,
    /// All messages by the status that they have.
    pub by_status: ByStatus,
    /// What happened in the last minute.
    pub last_minute: Activity,
    /// What happened in the last hour.
    pub last_hour: Activity,
    /// What happened in the last day.
    pub last_day: Activity,
}

/// Messages by status; every status is there, also with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each field is the status of its name")]
pub struct ByStatus {
    pub pending: i64,
    pub sent: i64,
    pub failed: i64,
    pub scheduled: i64,
    pub canceled: i64,
    pub expired: i64,
    pub unknown: i64,
}

/// What happened in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Activity {
    /// Messages accepted.
    pub accepted: i64,
    /// Messages that became SENT.
    pub sent: i64,
    /// Messages that became FAILED.
    pub failed: i64,
}

impl Statistics {
    /// Adds the flows up.
    pub fn of(flows: &[Flow]) -> Self {
        let mut by_status = ByStatus::default();
        for flow in flows {
            *by_status.count(flow.to) += flow.ever;
            if let Some(from) = flow.from {
                *by_status.count(from) -= flow.ever;
            }
        }
        Self {
            total_messages: flows.iter().filter(|flow| flow.from.is_none()).map(|flow| flow.ever).sum(),
            pending_messages: by_status.pending,
            sent_messages: by_status.sent,
            failed_messages: by_status.failed,
            success_rate: success_rate(by_status.sent, by_status.failed),
            by_status,
            last_minute: Activity::of(flows, |flow| flow.last_minute),
            last_hour: Activity::of(flows, |flow| flow.last_hour),
            last_day: Activity::of(flows, |flow| flow.last_day),
        }
    }
}

impl ByStatus {
    fn count(&mut self, status: Status) -> &mut i64 {
        match status {
            Status::Pending => &mut self.pending,
            Status::Sent => &mut self.sent,
            Status::Failed => &mut self.failed,
            Status::Scheduled => &mut self.scheduled,
            Status::Canceled => &mut self.canceled,
            Status::Expired => &mut self.expired,
            Status::Unknown => &mut self.unknown,
        }
    }
}

impl Activity {
    fn of(flows: &[Flow], count: impl Fn(&Flow) -> i64) -> Self {
        let sum = |wanted: &dyn Fn(&Flow) -> bool| flows.iter().filter(|flow| wanted(flow)).map(&count).sum();
        Self {
            accepted: sum(&|flow| flow.from.is_none()),
            sent: sum(&|flow| flow.to == Status::Sent),
            failed: sum(&|flow| flow.to == Status::Failed),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of more than 2^52 messages need not be exact")]
fn success_rate(sent: i64, failed: i64) -> f64 {
    let finished = sent + failed;
    if finished == 0 { 0.0 } else { sent as f64 / finished as f64 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flow(from: Option<Status>, to: Status, [ever, last_day, last_hour, last_minute]: [i64; 4]) -> Flow {
        Flow { from, to, ever, last_minute, last_hour, last_day }
    }

    #[track_caller]
    fn check(flows: &[Flow], expected: &serde_json::Value) {
        assert_eq!(&serde_json::to_value(Statistics::of(flows)).expect("statistics encode"), expected);
    }

    #[test]
    fn without_messages_everything_is_zero() {
        let none = json!({ "accepted": 0, "sent": 0, "failed": 0 });
        check(
            &[],
            &json!({
                "total_messages": 0, "pending_messages": 0, "sent_messages": 0, "failed_messages": 0, "success_rate": 0.0,
                "by_status": {
                    "PENDING": 0, "SENT": 0, "FAILED": 0, "SCHEDULED": 0, "CANCELED": 0, "EXPIRED": 0, "UNKNOWN": 0,
                },
                "last_minute": none, "last_hour": none, "last_day": none,
            }),
        );
    }

    #[test]
    fn a_message_counts_once_for_the_status_it_has_and_each_time_for_what_happened() {
        let flows = [
            flow(None, Status::Pending, [14, 13, 3, 1]),
            flow(None, Status::Scheduled, [6, 1, 0, 0]),
            flow(Some(Status::Scheduled), Status::Pending, [2, 0, 0, 0]),
            flow(Some(Status::Pending), Status::Sent, [9, 8, 2, 0]),
            flow(Some(Status::Pending), Status::Failed, [5, 4, 1, 1]),
            flow(Some(Status::Failed), Status::Pending, [2, 1, 1, 0]),
        ];
        check(
            &flows,
            &json!({
                "total_messages": 20, "pending_messages": 4, "sent_messages": 9, "failed_messages": 3,
                "success_rate": 0.75,
                "by_status": {
                    "PENDING": 4, "SENT": 9, "FAILED": 3, "SCHEDULED": 4, "CANCELED": 0, "EXPIRED": 0, "UNKNOWN": 0,
                },
                "last_minute": { "accepted": 1, "sent": 0, "failed": 1 },
                "last_hour": { "accepted": 3, "sent": 2, "failed": 1 },
                "last_day": { "accepted": 14, "sent": 8, "failed": 4 },
            }),
        );
    }
}

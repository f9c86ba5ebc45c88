//! What became of messages, as their processors report it.

use uuid::Uuid;

use super::{Error, Store};
use crate::message::Status;

/// What a report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The message was pending and now has the reported status.
    Changed,
    /// The message is final, or the report speaks of an older attempt: nothing changed.
    TooLate,
    /// There is no such message.
    UnknownMessage,
}

impl Store {
    /// Gives a pending message its final status. A final status never changes again, whatever is reported and
    /// however often; neither does a report on an older attempt change anything.
    pub async fn record_report(
        &self,
        id: Uuid,
        status: Status,
        failure_reason: Option<&str>,
        attempt: Option<i32>,
    ) -> Result<Recorded, Error> {
        let (changed, known): (bool, bool) = self
            .run(async |db| {
                sqlx::query_as(
                    "with changed as (
                         update message set status = $2, failure_reason = $3, updated_at = now()
                         where id = $1 and status = 'PENDING' and ($4::integer is null or $4 >= attempt)
                         returning id
                     ),
                     counted as (
                         insert into status_change (from_status, to_status, messages)
                         select 'PENDING', $2, 1 from changed
                     )
                     select exists (select from changed), exists (select from message where id = $1)",
                )
                .bind(id)
                .bind(status)
                .bind(failure_reason)
                .bind(attempt)
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(match (changed, known) {
            (true, _) => Recorded::Changed,
            (false, true) => Recorded::TooLate,
            (false, false) => Recorded::UnknownMessage,
        })
    }
}

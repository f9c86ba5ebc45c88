//! The states that a message went through.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Error, Store};
use crate::message::Status;

/// A state of a message, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Event {
    /// The state.
    pub status: Status,
    /// When the message came into it, by the database's clock.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub at: Timestamp,
    /// The attempt that the state belongs to, from 1.
    pub attempt: i32,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Store {
    /// All states of the message, oldest first; none when there is no such message.
    ///
    /// The first state, when it was PENDING, and the present one are told by the message itself; what was
    /// overwritten in between is in `message_event`.
    pub async fn events(&self, id: Uuid) -> Result<Vec<Event>, Error> {
        self.run(async |db| {
            sqlx::query_as(
                "with found as materialized (select * from message where id = $1),
                 between as materialized (
                     select * from message_event where message_id = $1 and exists (select from found)
                 )
                 select status, at, attempt, reason from (
                     select 1 as place, 'PENDING' as status, created_at as at, 1 as attempt, null as reason
                     from found
                     where updated_at <> created_at and not exists (select from between where at = created_at)
                     union all
                     select 2, status, at, attempt, reason from between
                     union all
                     select 3, status, updated_at, attempt, failure_reason from found
                 ) as events
                 order by place, at",
            )
            .bind(id)
            .fetch_all(db)
            .await
        })
        .await
    }
}

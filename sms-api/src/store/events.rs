//! The states that a message went through.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Error, Store};
use crate::message::{Message, Status, accepted_at};

/// A state of a message, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// The state.
    pub status: Status,
    /// When the message came into it.
    pub at: Timestamp,
    /// The attempt that the state belongs to, from 1.
    pub attempt: i32,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Store {
    /// All states of the tenant's message, oldest first; `None` when there is no such message.
    pub async fn events(&self, tenant: &str, id: Uuid) -> Result<Option<Vec<Event>>, Error> {
        // Before the former ones: a change between the two statements then shows twice at worst, and `history` drops
        // what it sees twice.
        let Some(message) = self.message(tenant, id).await? else { return Ok(None) };
        let former = self
            .run(async |db| {
                sqlx::query!(
                    r#"select at, status as "status: Status", attempt, reason from message_event
                     where message_id = $1 order by at nulls first"#,
                    id,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let created_at = accepted_at(id);
        let former = former.into_iter().map(|state| Event {
            status: state.status,
            at: state.at.map_or(created_at, |at| at.to_jiff().max(created_at)),
            attempt: state.attempt,
            reason: state.reason,
        });
        Ok(Some(history(&message, former.collect())))
    }
}

/// Puts together what the message's own row tells and what was overwritten. The row tells the present state, and
/// the first one by its absence: it was PENDING, unless another first state is kept.
fn history(message: &Message, former: Vec<Event>) -> Vec<Event> {
    let created_at = message.created_at();
    let present = Event {
        status: message.status,
        at: message.updated_at(),
        attempt: message.attempt,
        reason: message.failure_reason.clone(),
    };
    let is_first = message.changed_at.is_none();
    let first = Event { status: Status::Pending, at: created_at, attempt: 1, reason: None };
    let first_is_kept = former.first().is_some_and(|event| event.at == created_at && event.attempt == 1);
    let mut events: Vec<_> = (!is_first && !first_is_kept).then_some(first).into_iter().collect();
    events.extend(former.into_iter().filter(|event| *event != present));
    events.push(present);
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::plain;

    const ID: &str = "01a205b3-d000-7000-8000-000000000000";

    fn event(status: Status, second: i64, attempt: i32) -> Event {
        let at = accepted_at(ID.parse().expect("a UUID"));
        Event { status, at: at + jiff::SignedDuration::from_secs(second), attempt, reason: None }
    }

    #[track_caller]
    fn check(present: &Event, former: &[Event], expected: &[Event]) {
        let id = ID.parse().expect("a UUID");
        let message = Message {
            status: present.status,
            attempt: present.attempt,
            changed_at: Some(present.at).filter(|&at| at != accepted_at(id)),
            ..Message::just_stored(&plain(id))
        };
        assert_eq!(history(&message, former.to_vec()), expected);
    }

    #[test]
    fn the_usual_way_is_told_by_the_message_alone() {
        let (pending, sent) = (event(Status::Pending, 0, 1), event(Status::Sent, 2, 1));
        check(&pending, &[], std::slice::from_ref(&pending));
        check(&sent, &[], &[pending.clone(), sent.clone()]);
    }

    #[test]
    fn a_scheduled_message_was_never_pending_at_first() {
        let (scheduled, pending) = (event(Status::Scheduled, 0, 1), event(Status::Pending, 60, 1));
        check(&scheduled, &[], std::slice::from_ref(&scheduled));
        check(&pending, std::slice::from_ref(&scheduled), &[scheduled.clone(), pending.clone()]);
        let sent = event(Status::Sent, 61, 1);
        check(&sent, &[scheduled.clone(), pending.clone()], &[scheduled, pending, sent.clone()]);
    }

    #[test]
    fn a_retried_message_tells_every_attempt() {
        let (first, failed) = (event(Status::Pending, 0, 1), event(Status::Failed, 2, 1));
        let (again, sent) = (event(Status::Pending, 32, 2), event(Status::Sent, 34, 2));
        check(&sent, &[failed.clone(), again.clone()], &[first, failed, again, sent.clone()]);
    }

    #[test]
    fn a_state_that_is_overwritten_while_it_is_read_shows_once() {
        let (pending, failed) = (event(Status::Pending, 0, 1), event(Status::Failed, 2, 1));
        check(&failed, std::slice::from_ref(&failed), &[pending, failed.clone()]);
    }
}

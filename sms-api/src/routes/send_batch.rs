//! `POST /v1/messages/batch`.

use std::{iter, sync::Arc};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use utoipa::ToSchema;
use uuid::{ContextV7, Uuid};

use super::{
    AppState,
    caller::Caller,
    idempotency_key::IdempotencyKeyText,
    json_body::{JsonBody, TextField},
    message_request::{
        Content, ContentRequest, MessageRequest, PhoneNumber, Rules, Valid, client_reference_schema, recipient,
    },
    submit::{Envelope, ToStore, submit},
};
use crate::{
    message::{Metadata, NewMessage, Priority, Status},
    problem::{Problem, ProblemBody, Violation},
    segments::{Encoding, Segmentation},
};

/// How many messages a batch may have.
const LARGEST: usize = 10_000;

/// What the query may say.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// All messages or none, where otherwise the valid ones are accepted.
    #[serde(default)]
    atomic: bool,
}

/// The body as it came: either many messages, or one content for many recipients.
#[derive(Default, Deserialize, ToSchema)]
pub struct BatchRequest {
    /// 1 to 10,000 messages.
    #[schema(min_items = 1, max_items = 10000)]
    #[serde(default)]
    messages: Option<Vec<MessageRequest>>,
    /// In place of messages: 1 to 10,000 recipients of the same text.
    #[schema(value_type = Option<Vec<PhoneNumber>>, min_items = 1, max_items = 10000)]
    #[serde(default)]
    recipients: Option<Vec<TextField>>,
    /// Sender of the message to all recipients.
    #[schema(value_type = Option<PhoneNumber>)]
    #[serde(default)]
    sender: TextField,
    /// The text to all recipients.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    text: TextField,
    /// As of a single message, like all that follow.
    #[schema(value_type = Option<Priority>)]
    #[serde(default)]
    priority: Value,
    #[schema(value_type = Option<Timestamp>)]
    #[serde(default)]
    send_at: Value,
    #[schema(value_type = Option<Timestamp>)]
    #[serde(default)]
    expires_at: Value,
    #[schema(schema_with = client_reference_schema)]
    #[serde(default)]
    client_reference: Value,
    #[schema(value_type = Option<Metadata>)]
    #[serde(default)]
    metadata: Value,
}

/// The body of the answer: what became of each message, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchBody {
    batch_id: Uuid,
    total_count: usize,
    accepted_count: usize,
    rejected_count: usize,
    results: Vec<ItemResult>,
}

/// What became of one message. The code is the one that it would have been answered with on its own.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ItemResult {
    Accepted { index: usize, code: u16, id: Uuid, status: Status, segments: usize, encoding: Encoding },
    Rejected { index: usize, code: u16, errors: Vec<ItemError> },
}

#[derive(Serialize, ToSchema)]
pub struct ItemError {
    pointer: String,
    detail: String,
}

/// An item of the request: usable, or not.
type Item = Result<(Content, Arc<str>), Vec<Violation>>;

/// Stores all valid messages in one transaction and answers 202 when they are committed. Where none is valid, or
/// not all of an atomic batch, nothing is stored and the answer is 400.
#[utoipa::path(
    post, path = "/v1/messages/batch", operation_id = "sendBatch", tag = "messages",
    params(
        ("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "Makes the request one that can be repeated without effect; with quotes or without"),
        ("atomic" = Option<bool>, Query, description = "All messages or none, where otherwise the valid ones are accepted"),
    ),
    request_body = BatchRequest,
    responses(
        (status = 202, description = "The valid messages are stored, and will be processed", body = BatchBody, headers(
            ("Location" = String, description = "URL of the list of the batch's messages"),
            ("Idempotency-Replayed" = String, description = "`true` on the answer that an earlier request with the same Idempotency-Key got"),
        )),
        (status = 409, description = "The first request with this Idempotency-Key is still under way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "This Idempotency-Key was used for another request", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    envelope: Envelope,
    parameters: Result<Query<Parameters>, QueryRejection>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let Ok(Query(Parameters { atomic })) = parameters else {
        let violation = Violation::of_parameter("atomic", "sendBatch.atomic", "atomic must be true or false");
        return Err(Problem::invalid_fields(vec![violation]));
    };
    let request: BatchRequest = body.decode()?;
    let items = request.items(app.rules, Timestamp::now())?;
    let rejected = items.iter().filter(|item| item.is_err()).count();
    if rejected == items.len() || (atomic && rejected > 0) {
        return Err(Problem::invalid_fields(items.into_iter().filter_map(Result::err).flatten().collect()));
    }
    let batch_id = Uuid::now_v7();
    let traceparent: Option<Arc<str>> = traceparent_of(&Span::current()).map(Into::into);
    let mut messages = Vec::with_capacity(items.len() - rejected);
    let mut results = Vec::with_capacity(items.len());
    let mut id_after = ids_of_the_same_time(batch_id);
    for (index, item) in items.into_iter().enumerate() {
        results.push(match item {
            Ok((content, recipient)) => {
                let tenant = Arc::clone(&caller.tenant);
                let message = content.into_message(id_after(), recipient, tenant, Some(batch_id), traceparent.clone());
                let result = accepted(index, &message);
                messages.push(message);
                result
            }
            Err(violations) => ItemResult::Rejected {
                index,
                code: 400,
                errors: violations
                    .into_iter()
                    .map(|violation| ItemError {
                        pointer: format!("#/{}", violation.pointer),
                        detail: violation.message,
                    })
                    .collect(),
            },
        });
    }
    let answer = BatchBody {
        batch_id,
        total_count: results.len(),
        accepted_count: messages.len(),
        rejected_count: rejected,
        results,
    };
    let location = format!("/v1/messages?batch_id={batch_id}");
    submit(&app, &caller, envelope, body.bytes(), ToStore { messages, location, answer: &answer }).await
}

/// Ids in ascending order within the millisecond of the batch, so that its messages are found by its id alone.
fn ids_of_the_same_time(batch_id: Uuid) -> impl FnMut() -> Uuid {
    let context = ContextV7::new();
    let (seconds, nanoseconds) = batch_id.get_timestamp().map_or((0, 0), |time| time.to_unix());
    move || Uuid::new_v7(uuid::Timestamp::from_unix(&context, seconds, nanoseconds))
}

fn accepted(index: usize, message: &NewMessage) -> ItemResult {
    let Segmentation { encoding, segments } = Segmentation::of(&message.text);
    ItemResult::Accepted { index, code: 202, id: message.id, status: message.status(), segments, encoding }
}

impl BatchRequest {
    fn items(self, rules: Rules, now: Timestamp) -> Result<Vec<Item>, Problem> {
        let Self { messages, recipients, sender, text, priority, send_at, expires_at, client_reference, metadata } =
            self;
        let count = messages.as_ref().map_or(0, Vec::len) + recipients.as_ref().map_or(0, Vec::len);
        let violation = |name, message: &str| {
            Err(Problem::invalid_fields(vec![Violation::of(name, &format!("sendBatch.request.{name}"), message)]))
        };
        match (messages, recipients) {
            _ if count > LARGEST => violation("messages", "A batch has at most 10000 messages"),
            (Some(messages), None) if count > 0 => Ok(messages
                .into_iter()
                .enumerate()
                .map(|(index, message)| one_of_many(message, rules, now).map_err(|faults| within(index, faults)))
                .collect()),
            (None, Some(recipients)) if count > 0 => {
                let content =
                    ContentRequest { sender, text, priority, send_at, expires_at, client_reference, metadata };
                let content = content.validate(rules, now).map_err(Problem::invalid_fields)?;
                Ok(iter::zip(0.., recipients)
                    .map(|(index, given)| match recipient(given, rules) {
                        Ok(recipient) => Ok((content.clone(), recipient)),
                        Err(faults) => Err(faults
                            .into_iter()
                            .map(|fault| Violation { pointer: format!("recipients/{index}"), ..fault })
                            .collect()),
                    })
                    .collect())
            }
            (Some(_), None) => violation("messages", "A batch has at least one message"),
            (None, Some(_)) => violation("recipients", "A batch has at least one recipient"),
            (Some(_), Some(_)) | (None, None) => {
                violation("messages", "A batch has either messages, or recipients with sender and text")
            }
        }
    }
}

fn one_of_many(message: MessageRequest, rules: Rules, now: Timestamp) -> Item {
    let Valid { content, recipient, dry_run } = message.validate(rules, now)?;
    if dry_run {
        let message = "A message of a batch cannot be a dry run";
        return Err(vec![Violation::of("dry_run", "sendMessage.request.dryRun", message)]);
    }
    Ok((content, recipient))
}

/// The faults of a message, as those of an item of a batch.
fn within(index: usize, faults: Vec<Violation>) -> Vec<Violation> {
    let peer_name = |field: &str| {
        let field = field.trim_start_matches("sendMessage.request.");
        format!("sendBatch.request.messages[{index}].{field}")
    };
    faults
        .into_iter()
        .map(|fault| Violation {
            pointer: format!("messages/{index}/{}", fault.pointer),
            field: peer_name(&fault.field),
            ..fault
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_batch_have_its_time_and_keep_their_order() {
        let batch_id = Uuid::now_v7();
        let mut next = ids_of_the_same_time(batch_id);
        let ids: Vec<_> = iter::repeat_with(&mut next).take(LARGEST).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        let milliseconds = |id: Uuid| id.as_u128() >> 80;
        assert!(ids.iter().all(|&id| milliseconds(id) == milliseconds(batch_id)));
    }
}

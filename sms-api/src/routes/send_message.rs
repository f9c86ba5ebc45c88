//! `POST /v1/messages`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    AppState,
    caller::Caller,
    idempotency_key::IdempotencyKeyText,
    json_body::JsonBody,
    message_body::MessageBody,
    message_request::{Content, MessageRequest, Valid},
    submit::{Envelope, ToStore, submit},
};
use crate::{
    message::{Message, Metadata, Priority},
    problem::{Problem, ProblemBody},
    segments::{Encoding, Segmentation},
};

/// Answers 202 only after the message is committed to PostgreSQL; a dry run is answered 200 and leaves nothing
/// behind.
#[utoipa::path(
    post, path = "/v1/messages", operation_id = "sendMessage", tag = "messages",
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "Makes the request one that can be repeated without effect; with quotes or without")),
    request_body = MessageRequest,
    responses(
        (status = 202, description = "The message is stored, and will be processed", body = MessageBody, headers(
            ("Location" = String, description = "URL of the message"),
            ("Idempotency-Replayed" = String, description = "`true` on the answer that an earlier request with the same Idempotency-Key got"),
        )),
        (status = 200, description = "What a dry run would send; nothing is stored", body = Preview),
        (status = 409, description = "The first request with this Idempotency-Key is still under way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "This Idempotency-Key was used for another request", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    envelope: Envelope,
    body: JsonBody,
) -> Result<Response, Problem> {
    let request: MessageRequest = body.decode()?;
    let Valid { content, recipient, dry_run } =
        request.validate(app.rules, Timestamp::now()).map_err(Problem::invalid_fields)?;
    if dry_run {
        return Ok(Json(Preview::of(content, recipient)).into_response());
    }
    let traceparent = traceparent_of(&Span::current()).map(Into::into);
    let message = content.into_message(Uuid::now_v7(), recipient, Arc::clone(&caller.tenant), None, traceparent);
    let location = format!("/v1/messages/{}", message.id);
    let answer = MessageBody::from(Message::just_stored(&message));
    let to_store = ToStore { messages: vec![message], location, answer: &answer };
    submit(&app, &caller, envelope, body.bytes(), to_store).await
}

/// What a dry run answers: the message as it would be sent, and nothing that only a stored one has. Without id,
/// status and times nobody can take it for a message that exists, or wait for one.
#[derive(Serialize, ToSchema)]
pub struct Preview {
    sender: Arc<str>,
    recipient: Arc<str>,
    text: Arc<str>,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Arc<Metadata>>,
    segments: usize,
    encoding: Encoding,
    dry_run: bool,
}

impl Preview {
    fn of(content: Content, recipient: Arc<str>) -> Self {
        let Segmentation { encoding, segments } = Segmentation::of(&content.text);
        Self {
            sender: content.sender,
            recipient,
            text: content.text,
            priority: content.priority,
            send_at: content.send_at,
            expires_at: content.expires_at,
            client_reference: content.client_reference,
            metadata: content.metadata,
            segments,
            encoding,
            dry_run: true,
        }
    }
}

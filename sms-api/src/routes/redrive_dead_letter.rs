//! `POST /v1/dead-letters/{id}/redrive`.

use std::sync::Arc;

use axum::{Json, extract::State};
use telemetry::trace_context::traceparent_of;
use tracing::Span;

use super::{
    AppState, away,
    caller::Caller,
    dead_letter_body::DeadLetterBody,
    dead_letter_id::{self, DeadLetterId},
};
use crate::{
    problem::{Kind, Problem, ProblemBody},
    store::RedrivenOne,
};

/// Sends the message of the dead letter again, as its next attempt; answers with the dead letter as it is then.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/redrive", operation_id = "redriveDeadLetter", tag = "dead letters",
    params(DeadLetterId),
    responses(
        (status = 200, description = "The dead letter, whose message is on its way again", body = DeadLetterBody),
        (status = 409, description = "That was done before, or cannot be done", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    DeadLetterId(id): DeadLetterId,
) -> Result<Json<DeadLetterBody>, Problem> {
    let traceparent = traceparent_of(&Span::current());
    let redriven = app.store.redrive_one(&caller.tenant, id, traceparent.as_deref(), app.republish_after).await;
    match redriven.map_err(|error| away("messages cannot be sent again", &error))? {
        RedrivenOne::Done(letter) => {
            app.metrics.dead_letters_redriven.inc();
            Ok(Json((*letter).into()))
        }
        RedrivenOne::Refused(refusal) => Err(Problem::new(Kind::NotRedrivable, refusal.to_string())),
        RedrivenOne::UnknownDeadLetter => Err(dead_letter_id::not_found(id)),
    }
}

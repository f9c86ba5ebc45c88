//! `POST /v1/messages`.

mod preview;
mod validation;

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
};
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use uuid::Uuid;

use self::{
    preview::Preview,
    validation::{Request, Valid},
};
use super::{AppState, json_body::JsonBody, message_body::MessageBody};
use crate::{
    ingest::NotStored,
    message::NewMessage,
    problem::{Kind, Problem},
};

/// Answers 202 only after the message is committed to PostgreSQL; a dry run is answered 200 and leaves nothing
/// behind.
pub async fn handle(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let valid = validation::validate(body.decode::<Request>()?).map_err(Problem::invalid_fields)?;
    if valid.dry_run {
        return Ok(Json(Preview::from(valid)).into_response());
    }
    let Valid { sender, recipient, text, .. } = valid;
    let traceparent = traceparent_of(&Span::current());
    let message = NewMessage { id: Uuid::now_v7(), sender, recipient, text, traceparent };
    let stored = app.ingest.store(message).await.map_err(problem)?;
    let location = [(header::LOCATION, location(&uri, &headers, stored.id))];
    Ok((StatusCode::ACCEPTED, location, Json(MessageBody::from(stored))).into_response())
}

/// Absolute from the host that the client used, as the first implementation does; a client that names none gets a path.
fn location(uri: &Uri, headers: &HeaderMap, id: Uuid) -> String {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 names the host in the target.
    let host = named.or_else(|| uri.authority().map(Authority::as_str));
    match host {
        Some(host) => format!("http://{host}/v1/messages/{id}"),
        None => format!("/v1/messages/{id}"),
    }
}

fn problem(reason: NotStored) -> Problem {
    match reason {
        NotStored::QueueFull => Problem::unavailable(
            "Too many messages wait to be stored. Nothing was stored; send the message again.",
            Duration::from_secs(1),
        ),
        NotStored::DatabaseAway => Problem::unavailable(
            "Messages cannot be stored at this time. Send the message again.",
            Duration::from_secs(2),
        ),
        NotStored::Refused => Problem::new(Kind::Internal, "The message cannot be stored. Nothing was stored."),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_location_is_absolute_where_the_client_named_the_host() {
        let uri = Uri::from_static("/v1/messages");
        let host = [(header::HOST, HeaderValue::from_static("sms.example:8080"))].into_iter().collect();
        let id = Uuid::nil();
        assert_eq!(location(&uri, &host, id), format!("http://sms.example:8080/v1/messages/{id}"));
        assert_eq!(location(&uri, &HeaderMap::new(), id), format!("/v1/messages/{id}"));
        let http_2 = Uri::from_static("http://sms.example/v1/messages");
        assert_eq!(location(&http_2, &HeaderMap::new(), id), format!("http://sms.example/v1/messages/{id}"));
    }
}

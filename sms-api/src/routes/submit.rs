//! What sending one message and sending many have in common: store once, answer 202, or say why not.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts, uri::Authority},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;

use super::{
    AppState,
    caller::Caller,
    idempotency_key::{IDEMPOTENCY_REPLAYED, IdempotencyKey, fingerprint},
};
use crate::{
    ingest::NotStored,
    message::NewMessage,
    problem::{Kind, Problem},
    submission::{Answer, Once, Stored, Submission},
};

/// Everything of a request but its body that its answer depends on.
pub struct Envelope {
    key: Option<String>,
    method: Method,
    uri: Uri,
    host: Host,
}

impl<S: Sync> FromRequestParts<S> for Envelope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, state).await?;
        let host = Host::of(&parts.uri, &parts.headers);
        Ok(Self { key, method: parts.method.clone(), uri: parts.uri.clone(), host })
    }
}

/// Messages to be stored, with what is answered when they are: the location, and the body as JSON.
pub struct ToStore<'a, B> {
    /// At least one.
    pub messages: Vec<NewMessage>,
    /// A path.
    pub location: String,
    /// What the client is told.
    pub answer: &'a B,
}

/// Stores the messages and answers 202 when they are committed, or when an earlier request with the same key
/// had stored its own: then with that request's answer. `body` is that of the request.
pub async fn submit<B: Serialize>(
    app: &AppState,
    caller: &Caller,
    envelope: Envelope,
    body: &[u8],
    to_store: ToStore<'_, B>,
) -> Result<Response, Problem> {
    let Envelope { key, method, uri, host } = envelope;
    let ToStore { messages, location, answer } = to_store;
    let answer = serde_json::to_vec(answer).expect("a body of plain fields always encodes");
    let answer = Answer { location, body: Bytes::from(answer) };
    let once = key.map(|key| Once {
        client: caller.key_name.clone(),
        key: key.into(),
        fingerprint: fingerprint(&method, &uri, body),
        kept: app.idempotency_retention,
        answer: answer.clone(),
    });
    match app.ingest.store(Submission { messages, once }).await.map_err(problem)? {
        Stored::New => Ok(accepted(answer, &host)),
        Stored::Before(first) => {
            let mut response = accepted(first, &host);
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
    }
}

fn accepted(answer: Answer, host: &Host) -> Response {
    let headers =
        [(header::LOCATION, host.absolute(&answer.location)), (header::CONTENT_TYPE, "application/json".to_owned())];
    (StatusCode::ACCEPTED, headers, answer.body).into_response()
}

/// The host that the client used, if it named one.
struct Host(Option<String>);

impl Host {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // HTTP/2 names the host in the target.
        Self(named.or_else(|| uri.authority().map(Authority::as_str)).map(str::to_owned))
    }

    /// The URL of a path, as the first implementation makes it; a client that named no host gets the path.
    fn absolute(&self, path: &str) -> String {
        match &self.0 {
            Some(host) => format!("http://{host}{path}"),
            None => path.to_owned(),
        }
    }
}

fn problem(reason: NotStored) -> Problem {
    match reason {
        NotStored::QueueFull => Problem::unavailable(
            "Too many messages wait to be stored. Nothing was stored; send the request again.",
            Duration::from_secs(1),
        ),
        NotStored::OutboxFull => Problem::unavailable(
            "Too many stored messages wait to be sent. Nothing was stored; send the request again later.",
            Duration::from_secs(10),
        ),
        NotStored::DatabaseAway => Problem::unavailable(
            "Messages cannot be stored at this time. Send the request again; with an Idempotency-Key nothing is sent twice.",
            Duration::from_secs(2),
        ),
        NotStored::Refused => Problem::new(Kind::Internal, "The request cannot be stored. Nothing was stored."),
        NotStored::KeyBusy => Problem::busy(
            "The first request with this Idempotency-Key is still under way. Send the request again.",
            Duration::from_secs(1),
        ),
        NotStored::KeyReused => Problem::new(
            Kind::IdempotencyKeyReused,
            "This Idempotency-Key was used for another request. Use a new key for each new request.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_is_absolute_where_the_client_named_the_host() {
        let uri = Uri::from_static("/v1/messages");
        let headers = [(header::HOST, HeaderValue::from_static("sms.example:8080"))].into_iter().collect();
        assert_eq!(Host::of(&uri, &headers).absolute("/v1/x"), "http://sms.example:8080/v1/x");
        assert_eq!(Host::of(&uri, &HeaderMap::new()).absolute("/v1/x"), "/v1/x");
        let http_2 = Uri::from_static("http://sms.example/v1/messages");
        assert_eq!(Host::of(&http_2, &HeaderMap::new()).absolute("/v1/x"), "http://sms.example/v1/x");
    }
}

//! Disturbs calls to the API server, below everything that the operator does and above the connection.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body as Answered, Bytes, HttpBody, to_bytes},
    http::{Method, Request, Response, header},
};
use kube::client::Body;
use serde_json::Value;
use tower::{BoxError, Layer, Service};

use crate::{
    faults::{Calls, Effect, Fault},
    stale::{Answer, Question},
};

/// Disturbs what `Calls` tells.
pub struct Disturbing(pub Arc<Calls>);

impl<S> Layer<S> for Disturbing {
    type Service = Disturbed<S>;

    fn layer(&self, inner: S) -> Disturbed<S> {
        Disturbed { inner, calls: Arc::clone(&self.0) }
    }
}

pub struct Disturbed<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S, B> Service<Request<Body>> for Disturbed<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answered>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let calls = Arc::clone(&self.calls);
        let (what, effect) = (call(&request), effect(&request, &calls));
        let is_write = !matches!(effect, Effect::Read(_));
        let fault = calls.ask(&what, effect);
        let is_made = !matches!(fault, Some(Fault::CrashBefore | Fault::Refused | Fault::Stale));
        let asked = is_made.then(|| self.inner.call(request));
        Box::pin(async move {
            let answer = match asked {
                // To its end: only then it has certainly had its effect.
                Some(asked) => Some(whole(asked.await.map_err(Into::into)).await),
                None => None,
            };
            if matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfter)) {
                calls.crash().await;
            }
            let (answer, version) = match answer {
                Some(Ok((answer, version))) => (Some(Ok(answer)), version),
                Some(Err(error)) => (Some(Err(error)), None),
                None => (None, None),
            };
            if is_write {
                calls.changed(&what, version);
            }
            calls.ended();
            match (fault, answer, calls.stale()) {
                (None, Some(answer), _) => answer,
                (Some(Fault::Stale), _, Some(Answer::Kubernetes { status, body })) => {
                    Ok(Response::builder().status(status).body(body.into())?)
                }
                (Some(Fault::Refused), ..) => {
                    let refusal = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
                        "message":"refused by the campaign","reason":"InternalError","code":500}"#;
                    Ok(Response::builder().status(500).body(refusal.into())?)
                }
                _ => Err("connection reset by the campaign".into()),
            }
        })
    }
}

/// The whole answer, and the version of the object in it.
async fn whole<B>(response: Result<Response<B>, BoxError>) -> Result<(Response<Answered>, Option<String>), BoxError>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response?.into_parts();
    let body = to_bytes(Answered::new(body), usize::MAX).await?;
    let object = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
    Ok((Response::from_parts(parts, body.into()), version))
}

/// What is asked for. Names of events hold the time.
fn call(request: &Request<Body>) -> String {
    let path = request.uri().path();
    let path = path.split_once("/events/").map_or(path, |(before, _)| before);
    format!("{} {path}", request.method())
}

fn effect(request: &Request<Body>, calls: &Calls) -> Effect {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_merged = header(header::CONTENT_TYPE).starts_with("application/merge-patch");
    if request.method() == Method::GET {
        let (uri, accept) = (calls.with_placeholders(&request.uri().to_string()), header(header::ACCEPT).to_owned());
        Effect::Read(Some(Question::Kubernetes { uri, accept }))
    } else if request.method() == Method::DELETE || (is_merged && request.uri().path().contains("/deployments/")) {
        // A Deployment gets a merge patch only to be stopped.
        Effect::Destroy
    } else {
        Effect::Write
    }
}

//! What every request of the public API passes: its caller is identified before the request's span begins, which
//! names the key; inside the span it is admitted, or answered 401 or 429; and each URL asks for its scope.
//!
//! One layer does all but the last, because each layer of a router costs a copy of all layers below it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{AppState, observation::observed};
use crate::{
    access::{AccessControl, Caller, Grant, Refusal, Scope},
    metrics::Refusals,
    problem::{Kind, Problem},
    rate_limit::Taken,
};

/// Who sent the request, or why that is not known. Goes along with every request of the public API.
#[derive(Clone)]
pub struct Identity(Result<Arc<Grant>, Refusal>);

impl Identity {
    /// For the request's span.
    fn key_name(&self) -> Option<&str> {
        self.0.as_ref().ok().map(|grant| &*grant.caller.key_name)
    }

    /// For handlers, which only requests with a known caller reach.
    pub fn caller(&self) -> Result<&Caller, Problem> {
        self.0.as_ref().map(|grant| &grant.caller).map_err(|&reason| unauthorized(reason))
    }
}

/// Finds out who sent a request, and lets it through only when its caller is known and within its limit. That comes
/// before everything else, so nothing is told to strangers, not even which URLs there are.
pub async fn admit(
    State((app, access)): State<(Arc<AppState>, AccessControl)>,
    mut request: Request,
    next: Next,
) -> Response {
    let identity = Identity(access.identify(request.headers()));
    request.extensions_mut().insert(identity.clone());
    observed(&app.metrics, request, identity.key_name(), async |request| match &identity.0 {
        Ok(grant) => within_limit(grant, &app.metrics.refusals, request, next).await,
        Err(reason) => {
            app.metrics.refusals.count(*reason);
            unauthorized(*reason).into_response()
        }
    })
    .await
}

async fn within_limit(grant: &Grant, refusals: &Refusals, request: Request, next: Next) -> Response {
    let Some(limiter) = &grant.limiter else { return next.run(request).await };
    let taken = limiter.take();
    let mut response = match taken {
        Taken::Admitted { .. } => next.run(request).await,
        Taken::Limited { retry_after } => {
            refusals.count(Refusal::RateLimited);
            let detail = format!("There were too many requests; send this one again in {} s.", retry_after.as_secs());
            Problem::new(Kind::RateLimited, detail).into_response()
        }
    };
    limiter.describe(taken, response.headers_mut());
    response
}

/// Lets a request through only when its caller has the scope.
pub async fn require_scope(
    State((scope, refusals)): State<(Scope, Refusals)>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !caller.scopes.contain(scope) {
        refusals.count(Refusal::MissingScope);
        let detail = format!("This needs the scope {scope}, which the API key {:?} does not have.", caller.key_name);
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(next.run(request).await)
}

fn unauthorized(reason: Refusal) -> Problem {
    let detail = match reason {
        Refusal::ConflictingKeys => "The request carries API keys that differ; it must carry one.",
        Refusal::UnknownKey => "The API key is not known.",
        Refusal::NoKey | Refusal::MissingScope | Refusal::RateLimited => {
            "This needs an API key: send it as Authorization: Bearer <key> or as X-API-Key: <key>."
        }
    };
    Problem::new(Kind::Unauthorized, detail)
}

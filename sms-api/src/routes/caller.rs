//! Who calls, as handlers of the public API ask for it.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::access::Identity;
pub use crate::access::Caller;
use crate::problem::Problem;

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get::<Identity>().expect("every request of the public API is identified");
        identity.caller().cloned()
    }
}

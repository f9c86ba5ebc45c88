//! Who calls.

use std::{convert::Infallible, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name of the key.
    pub key_name: Arc<str>,
    /// Whose messages are seen.
    pub tenant: Arc<str>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { key_name: "anonymous".into(), tenant: "default".into() })
    }
}

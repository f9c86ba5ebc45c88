//! The id of a dead letter in a URL.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// An id that may be that of a dead letter. A malformed one is the id of none.
#[derive(IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub struct DeadLetterId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for DeadLetterId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::new(Kind::DeadLetterNotFound, "Dead letter not found: the id is not a UUID.")),
        }
    }
}

/// That the caller has no dead letter with this id.
pub fn not_found(id: Uuid) -> Problem {
    Problem::new(Kind::DeadLetterNotFound, format!("Dead letter not found: {id}"))
}

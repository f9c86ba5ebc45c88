//! `GET /v1/users/{userId}/messages`.

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    AppState,
    caller::Caller,
    list,
    list_query::{List, ListQuery},
};
use crate::problem::Problem;

/// The caller's messages that a number sent or received, newest first.
pub async fn handle(
    State(app): State<AppState>,
    caller: Caller,
    Path(user): Path<String>,
    query: ListQuery,
) -> Result<Response, Problem> {
    list::answer(&app, &caller, query, List::OfUser(&user)).await
}

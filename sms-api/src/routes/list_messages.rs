//! `GET /v1/messages`.

use axum::{extract::State, response::Response};

use super::{
    AppState,
    caller::Caller,
    list,
    list_query::{List, ListQuery},
};
use crate::problem::Problem;

/// The caller's messages, newest first.
pub async fn handle(State(app): State<AppState>, caller: Caller, query: ListQuery) -> Result<Response, Problem> {
    list::answer(&app, &caller, query, List::All).await
}

//! `GET /v1/messages/failed`.

use axum::{extract::State, response::Response};

use super::{
    AppState,
    caller::Caller,
    list,
    list_query::{List, ListQuery},
};
use crate::problem::Problem;

/// The caller's FAILED messages, those accepted last first. The first implementation has those first that failed last.
pub async fn handle(State(app): State<AppState>, caller: Caller, query: ListQuery) -> Result<Response, Problem> {
    list::answer(&app, &caller, query, List::Failed).await
}

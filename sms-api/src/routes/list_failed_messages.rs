//! `GET /v1/messages/failed`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    AppState,
    caller::Caller,
    list::{self, ListBody},
    list_query::{List, ListQuery},
    url_query::UrlQuery,
};
use crate::problem::Problem;

/// The caller's FAILED messages, those accepted last first. The first implementation has those first that failed last.
#[utoipa::path(
    get, path = "/v1/messages/failed", operation_id = "getFailedMessages", tag = "messages", params(ListQuery),
    responses((status = 200, description = "A part of the FAILED messages", body = ListBody)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ListQuery>,
) -> Result<Json<ListBody>, Problem> {
    list::answer(&app, &caller, query, List::Failed).await
}

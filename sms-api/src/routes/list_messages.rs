//! `GET /v1/messages`.

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

/// The caller's messages, newest first.
#[utoipa::path(
    get, path = "/v1/messages", operation_id = "listMessages", tag = "messages", params(ListQuery),
    responses((status = 200, description = "A part of the messages", body = ListBody)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ListQuery>,
) -> Result<Json<ListBody>, Problem> {
    list::answer(&app, &caller, query, List::All).await
}

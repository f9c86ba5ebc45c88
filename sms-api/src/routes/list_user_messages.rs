//! `GET /v1/users/{userId}/messages`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};

use super::{
    AppState,
    caller::Caller,
    list::{self, ListBody},
    list_query::{List, ListQuery},
    message_request::PhoneNumber,
    url_query::UrlQuery,
};
use crate::problem::Problem;

/// The caller's messages that a number sent or received, newest first.
#[utoipa::path(
    get, path = "/v1/users/{user_id}/messages", operation_id = "getUserMessages", tag = "messages", params(("user_id" = inline(PhoneNumber), Path, description = "A phone number"), ListQuery),
    responses((status = 200, description = "A part of the messages that the number sent or received", body = ListBody)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    user: Result<Path<String>, PathRejection>,
    UrlQuery(query): UrlQuery<ListQuery>,
) -> Result<Json<ListBody>, Problem> {
    // What is no UTF-8 is no number either.
    let user = user.map(|Path(user)| user).unwrap_or_default();
    list::answer(&app, &caller, query, List::OfUser(&user)).await
}

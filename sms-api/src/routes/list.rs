//! What every list of messages answers.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    AppState, away,
    caller::Caller,
    cursor,
    list_query::{Asked, List, ListQuery, Part},
    message_body::MessageBody,
};
use crate::{
    problem::Problem,
    store::{Count, Filter, Listed},
};

/// A part of a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = MessageList)]
pub enum ListBody {
    /// By number.
    Numbered(Numbered),
    /// By cursor.
    Rest(Rest),
}

/// A page by its number, as the first implementation gives it, and where to go on by cursor.
#[derive(Serialize, ToSchema)]
#[schema(as = MessagePage)]
pub struct Numbered {
    messages: Vec<MessageBody>,
    total_count: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_count_is_lower_bound: bool,
    page: u32,
    page_size: u32,
    total_pages: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What comes after a cursor.
#[derive(Serialize, ToSchema)]
#[schema(as = MessagesAfterCursor)]
pub struct Rest {
    messages: Vec<MessageBody>,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Answers with the asked part of a list.
pub async fn answer(
    app: &AppState,
    caller: &Caller,
    query: ListQuery,
    list: List<'_>,
) -> Result<Json<ListBody>, Problem> {
    let Asked { filter, after, part } = query.validate(list).map_err(Problem::invalid_fields)?;
    let (skipped, limit) = match part {
        Part::After { limit } => (0, limit),
        Part::Page { page, size } => (page * size, size),
    };
    let listed = app.store.list(&caller.tenant, &filter.after(after), skipped, limit).await;
    let Listed { messages, goes_on_after } = listed.map_err(|error| away("messages cannot be read", &error))?;
    let messages = messages.into_iter().map(MessageBody::from).collect();
    let next_cursor = goes_on_after.map(|last| cursor::encode(last, &filter));
    Ok(Json(match part {
        Part::After { limit } => ListBody::Rest(Rest { messages, limit, next_cursor }),
        Part::Page { page, size } => {
            let (total_count, total_count_is_lower_bound) = total(app, caller, &filter).await?;
            let total_pages = (total_count + i64::from(size) - 1) / i64::from(size);
            ListBody::Numbered(Numbered {
                messages,
                total_count,
                total_count_is_lower_bound,
                page,
                page_size: size,
                total_pages,
                next_cursor,
            })
        }
    }))
}

/// How many messages the list has, and whether that is only a lower bound. Many are not counted: where only the status
/// is asked for, the counters know, and otherwise nobody does.
async fn total(app: &AppState, caller: &Caller, filter: &Filter) -> Result<(i64, bool), Problem> {
    let away = |error| away("messages cannot be counted", &error);
    Ok(match app.store.count(&caller.tenant, filter).await.map_err(away)? {
        Count::Exactly(count) => (count, false),
        Count::AtLeast(count) if *filter == (Filter { status: filter.status, ..Filter::default() }) => {
            (app.store.total(&caller.tenant, filter.status).await.map_err(away)?.max(count), false)
        }
        Count::AtLeast(count) => (count, true),
    })
}

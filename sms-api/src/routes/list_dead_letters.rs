//! `GET /v1/dead-letters`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    AppState, away, caller::Caller, cursor, dead_letter_body::DeadLetterBody, dead_letter_times, url_query::UrlQuery,
};
use crate::{
    problem::{Problem, Violation},
    store::DeadLetterFilter,
};

/// How many dead letters a page has where nothing is said.
const USUAL: usize = 20;
/// How many it has at most.
const MOST: usize = 1_000;

/// The query as it came. Parameters that are not named here are ignored.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Only what was given up at this time or later.
    #[param(value_type = Option<jiff::Timestamp>)]
    created_after: Option<String>,
    /// Only what was given up before this time.
    #[param(value_type = Option<jiff::Timestamp>)]
    created_before: Option<String>,
    /// Only dead letters of this message.
    #[param(value_type = Option<Uuid>)]
    message_id: Option<String>,
    /// Only what was sent again, or only what was not.
    #[param(value_type = Option<bool>)]
    redriven: Option<String>,
    /// How many dead letters at most.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the part before, with the same filters.
    cursor: Option<String>,
}

/// The body.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub struct Page {
    dead_letters: Vec<DeadLetterBody>,
    limit: usize,
    /// Asks for what comes after these, with the same filters; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A list, proven usable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    filter: DeadLetterFilter,
    /// The last dead letter before the asked part, where a cursor told it.
    after: Option<Uuid>,
    limit: usize,
}

/// The caller's dead letters, newest first. What becomes one while a client goes from page to page is on none of the
/// later pages, and moves nothing on them.
#[utoipa::path(
    get, path = "/v1/dead-letters", operation_id = "listDeadLetters", tag = "dead letters", params(Parameters),
    responses((status = 200, description = "A part of the dead letters", body = Page)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    UrlQuery(parameters): UrlQuery<Parameters>,
) -> Result<Json<Page>, Problem> {
    let Asked { filter, after, limit } = parameters.validate().map_err(Problem::invalid_fields)?;
    let mut rest = filter.clone();
    rest.ids.end = after.map_or(rest.ids.end, |after| after.min(rest.ids.end));
    // One more, to know whether there are more.
    let found = app.store.dead_letters(&caller.tenant, &rest, i64::try_from(limit + 1).unwrap_or(i64::MAX)).await;
    let mut found = found.map_err(|error| away("dead letters cannot be read", &error))?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| has_more).map(|last| cursor::encode(last.id, &filter));
    Ok(Json(Page { dead_letters: found.into_iter().map(DeadLetterBody::from).collect(), limit, next_cursor }))
}

impl Parameters {
    fn validate(self) -> Result<Asked, Vec<Violation>> {
        let mut violations = Vec::new();
        let mut complain = |name: &str, message: &str| {
            violations.push(Violation::of_parameter(name, &format!("listDeadLetters.{name}"), message));
        };
        let (created_after, created_before) = (self.created_after.as_deref(), self.created_before.as_deref());
        let ids = dead_letter_times::ids(created_after, created_before, &mut complain);
        let message_id =
            self.message_id.and_then(|given| given.parse().map_err(|_| complain("message_id", "must be a UUID")).ok());
        let redriven = self
            .redriven
            .and_then(|given| given.parse().map_err(|_| complain("redriven", "must be true or false")).ok());
        let limit = match self.limit.map(|given| given.parse()) {
            None => USUAL,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => {
                complain("limit", &format!("must be a whole number from 1 to {MOST}"));
                USUAL
            }
        };
        let filter = DeadLetterFilter { ids, message_id, redriven };
        let after = self.cursor.and_then(|cursor| {
            let after = cursor::decode(&cursor, &filter);
            if after.is_none() {
                complain("cursor", cursor::NOT_OF_THIS_LIST);
            }
            after
        });
        if violations.is_empty() { Ok(Asked { filter, after, limit }) } else { Err(violations) }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::*;

    fn validate(query: &str) -> Result<Asked, Vec<String>> {
        let uri = format!("http://sms/v1/dead-letters?{query}").parse().expect("a URI");
        let Query(parameters) = Query::<Parameters>::try_from_uri(&uri).expect("a readable query");
        let told = |violation: Violation| format!("{} {}", violation.pointer, violation.message);
        parameters.validate().map_err(|violations| violations.into_iter().map(told).collect())
    }

    #[test]
    fn without_parameters_everything_is_listed_in_pages() {
        let filter = DeadLetterFilter { ids: Uuid::nil()..Uuid::max(), message_id: None, redriven: None };
        assert_eq!(validate(""), Ok(Asked { filter, after: None, limit: USUAL }));
    }

    #[test]
    fn every_parameter_narrows_the_list() {
        let uuid = |text: &str| text.parse::<Uuid>().expect("a UUID");
        let filter = DeadLetterFilter {
            ids: uuid("01a205b3-d000-0000-0000-000000000000")..uuid("01a20ada-2c00-0000-0000-000000000000"),
            message_id: Some(uuid("01a205b3-d001-7000-8000-000000000000")),
            redriven: Some(true),
        };
        let last = uuid("01a205b3-d001-7000-8000-000000000001");
        let cursor = cursor::encode(last, &filter);
        let query = format!(
            "created_after=2026-11-23T00:00:00Z&created_before=2026-11-24T00:00:00Z\
             &message_id=01a205b3-d001-7000-8000-000000000000&redriven=true&limit=1000&cursor={cursor}"
        );
        assert_eq!(validate(&query), Ok(Asked { filter, after: Some(last), limit: 1000 }));
        let other = validate(&format!("redriven=false&cursor={cursor}"));
        assert_eq!(other, Err(vec!["cursor must be the next_cursor of a page with the same filters".to_owned()]));
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let wrong = "created_after=x&created_before=x&message_id=x&redriven=maybe&limit=1001&cursor=x";
        let time = "must be a time with zone (RFC 3339), such as 2026-11-23T14:00:00Z";
        assert_eq!(
            validate(wrong),
            Err(vec![
                format!("created_after {time}"),
                format!("created_before {time}"),
                "message_id must be a UUID".to_owned(),
                "redriven must be true or false".to_owned(),
                "limit must be a whole number from 1 to 1000".to_owned(),
                "cursor must be the next_cursor of a page with the same filters".to_owned(),
            ])
        );
        for limit in ["0", "-1", "1.5", ""] {
            assert!(validate(&format!("limit={limit}")).is_err(), "{limit}");
        }
    }
}

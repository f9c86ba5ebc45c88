//! `POST /v1/internal/claims`.

use std::{iter, sync::Arc};

use axum::{Json, extract::State};
use contract::{ClaimResult, ClaimResults, Claims, LARGEST_BATCH};

use super::{AppState, json_body::JsonBody};
use crate::problem::{Problem, Violation};

/// Grants each attempt to whoever asks first. Tells what became of each claim, in order.
pub async fn handle(State(app): State<Arc<AppState>>, body: JsonBody) -> Result<Json<ClaimResults>, Problem> {
    let Claims { claims } = body.decode()?;
    if claims.len() > LARGEST_BATCH {
        let message = format!("At most {LARGEST_BATCH} claims can be brought at once");
        return Err(Problem::invalid_fields(vec![Violation::of("claims", "claim.claims", message)]));
    }
    let asked: Vec<_> = claims.iter().map(|claim| (claim.message_id, claim.attempt)).collect();
    let outcomes = app.store.claim(&asked).await.map_err(|error| super::away("claims cannot be stored", &error))?;
    let results =
        iter::zip(asked, outcomes).map(|((message_id, _), outcome)| ClaimResult { message_id, outcome }).collect();
    Ok(Json(ClaimResults { results }))
}

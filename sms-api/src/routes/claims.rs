//! `POST /v1/internal/claims` and `POST /v1/internal/claims/release`.

use std::{iter, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use contract::{Claim, ClaimResult, ClaimResults, Claims, LARGEST_BATCH};

use super::{AppState, json_body::JsonBody};
use crate::problem::{Problem, Violation};

/// Grants each attempt to whoever asks first. Tells what became of each claim, in order.
pub async fn claim(State(app): State<Arc<AppState>>, body: JsonBody) -> Result<Json<ClaimResults>, Problem> {
    let claims = decode(&body)?;
    let outcomes = app.store.claim(&claims).await.map_err(|error| super::away("claims cannot be stored", &error))?;
    let result = |(claim, outcome): (&Claim, _)| ClaimResult { message_id: claim.message_id, outcome };
    Ok(Json(ClaimResults { results: iter::zip(&claims, outcomes).map(result).collect() }))
}

/// Takes claims back whose messages were not sent. What their claimants do not hold stays as it is.
pub async fn release(State(app): State<Arc<AppState>>, body: JsonBody) -> Result<StatusCode, Problem> {
    let claims = decode(&body)?;
    app.store.release(&claims).await.map_err(|error| super::away("claims cannot be taken back", &error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn decode(body: &JsonBody) -> Result<Vec<Claim>, Problem> {
    let Claims { claims } = body.decode()?;
    if claims.len() > LARGEST_BATCH {
        let message = format!("At most {LARGEST_BATCH} claims can be brought at once");
        return Err(Problem::invalid_fields(vec![Violation::of("claims", "claim.claims", message)]));
    }
    Ok(claims)
}

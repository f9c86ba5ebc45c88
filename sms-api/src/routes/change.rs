//! What changing one message answers, whichever change it is.

use axum::Json;
use uuid::Uuid;

use super::{away, message_body::MessageBody, message_id};
use crate::{
    problem::{Kind, Problem},
    store::{Changed, Error},
};

/// The changed message, or why it was not changed; `rule` says when it can be.
pub fn answer(id: Uuid, changed: Result<Changed, Error>, rule: &str) -> Result<Json<MessageBody>, Problem> {
    match changed.map_err(|error| away("messages cannot be changed", &error))? {
        Changed::Done(message) => Ok(Json((*message).into())),
        Changed::UnknownMessage => Err(message_id::not_found(id)),
        Changed::NotIn(status) => {
            Err(Problem::new(Kind::WrongStatus, format!("{rule}; this one is {}.", status.name())))
        }
    }
}

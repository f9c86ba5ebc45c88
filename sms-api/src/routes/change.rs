//! What changing one message answers, whichever change it is.

use axum::{
    Json,
    extract::{Path, rejection::PathRejection},
};
use uuid::Uuid;

use super::{away, message_body::MessageBody};
use crate::{
    problem::{Kind, Problem},
    store::{Changed, Error},
};

/// The id of a URL. A malformed one is the id of no message.
pub fn id(given: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    match given {
        Ok(Path(id)) => Ok(id),
        Err(_) => Err(Problem::new(Kind::MessageNotFound, "Message not found: the id is not a UUID.")),
    }
}

/// That the tenant has no message with this id.
pub fn not_found(id: Uuid) -> Problem {
    Problem::new(Kind::MessageNotFound, format!("Message not found: {id}"))
}

/// The changed message, or why it was not changed; `rule` says when it can be.
pub fn answer(id: Uuid, changed: Result<Changed, Error>, rule: &str) -> Result<Json<MessageBody>, Problem> {
    match changed.map_err(|error| away("messages cannot be changed", &error))? {
        Changed::Done(message) => Ok(Json((*message).into())),
        Changed::UnknownMessage => Err(not_found(id)),
        Changed::NotIn(status) => {
            Err(Problem::new(Kind::WrongStatus, format!("{rule}; this one is {}.", status.name())))
        }
    }
}

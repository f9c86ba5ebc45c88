//! What an answer means where no rule says it: the status codes of RFC 9110, read so that a mistake in how we call
//! costs no message, and no message is sent twice without need. docs/providers.md has it as a table. Pure.

use std::time::Duration;

use reqwest::StatusCode;

use super::answered;
use crate::decide::Outcome;

pub(super) fn outcome(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
    let reason = answered(status);
    match status.as_u16() {
        200..=299 => Outcome::Delivered { provider_message_id: None },
        // These ask for the same request elsewhere, so it was not taken here. It is not followed: credentials and
        // messages would go to where nobody configured them to go.
        301 | 307 | 308 => {
            Outcome::Unavailable { reason: format!("{reason}: it moved, and http.url must name where it is now") }
        }
        // Credentials, credit, the URL or the call itself are wrong, and once that is set right the message can go. Two of
        // them: the provider gave up waiting for the request, or does not want to risk it this early (RFC 8470).
        401..=408 | 410 | 411 | 414 | 415 | 421 | 425 | 431 => Outcome::Unavailable { reason },
        429 => Outcome::Throttled { retry_after },
        400..=499 => Outcome::Refused { reason },
        503 if retry_after.is_some() => Outcome::Throttled { retry_after },
        503 => Outcome::Unavailable { reason },
        // Other redirects answer requests that may have been carried out, and so may other errors of the server.
        _ => Outcome::Unknown { reason },
    }
}

//! What the operator answers when it is asked whether the pipeline is ready.

use std::net::SocketAddr;

use serde_json::Value;

use crate::http::Client;

/// An answer of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Everything runs as asked for.
    Ready,
    /// Something is missing, in the operator's words.
    NotReady(String),
    /// Nobody answers.
    Silent(String),
}

/// Asks once.
pub fn ask(client: &Client, operator: SocketAddr) -> Readiness {
    match client.get(operator, "/readyz") {
        Ok(answer) if answer.status == 200 => Readiness::Ready,
        Ok(answer) => Readiness::NotReady(reasons(&answer.body)),
        Err(error) => Readiness::Silent(format!("{error:#}")),
    }
}

/// The reasons of all failed checks (`{"checks":[{"name":…,"status":"DOWN","data":{"reason":…}}]}`);
/// the whole body if it has another form.
fn reasons(body: &str) -> String {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let checks = answer["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reasons: Vec<&str> = checks.iter().filter_map(|check| check["data"]["reason"].as_str()).collect();
    if reasons.is_empty() { body.trim().to_owned() } else { reasons.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_failed_checks_are_shown() {
        let body =
            r#"{"status":"DOWN","checks":[{"name":"pipeline","status":"DOWN","data":{"reason":"no topics yet"}}]}"#;
        assert_eq!(reasons(body), "no topics yet");
    }

    #[test]
    fn an_answer_of_another_form_is_shown_as_it_is() {
        assert_eq!(reasons("not yet\n"), "not yet");
    }
}

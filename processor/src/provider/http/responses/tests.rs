use super::*;

const RULES: &str = r#"[
    {"when": {"status": "2xx", "body": {"pointer": "/messages/0/status", "equals": "0"}},
     "outcome": "Delivered", "messageId": "/messages/0/message-id"},
    {"when": {"body": {"pointer": "/messages/0/status", "oneOf": ["1", "10"]}}, "outcome": "Throttled"},
    {"when": {"body": {"pointer": "/messages/0/status", "equals": "5"}}, "outcome": "Unknown"},
    {"when": {"body": {"pointer": "/messages/0/status", "equals": "4"}},
     "outcome": "Unavailable", "reason": "/messages/0/error-text"},
    {"when": {"status": "200-299"}, "outcome": "Refused", "reason": "/messages/0/error-text"}
]"#;

const SECOND: Duration = Duration::from_secs(1);

fn rules(json: &str) -> Vec<Rule> {
    let rules: Vec<Rule> = serde_json::from_str(json).expect("rules");
    assert_eq!(rules.iter().map(Rule::validate).collect::<Vec<_>>(), vec![Ok(()); rules.len()]);
    rules
}

fn answer(status: u16, body: &str) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer { status, retry_after: None, body: serde_json::from_str(body).ok() }
}

fn delivered(id: Option<&str>) -> Outcome {
    Outcome::Delivered { provider_message_id: id.map(ToOwned::to_owned) }
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused { reason: reason.to_owned() }
}

fn unavailable(reason: &str) -> Outcome {
    Outcome::Unavailable { reason: reason.to_owned() }
}

fn unknown(reason: &str) -> Outcome {
    Outcome::Unknown { reason: reason.to_owned() }
}

#[track_caller]
fn check(rules_json: &str, answer: &Answer, expected: &Outcome) {
    let mask = |words: &str| words.replace("secret", "…");
    assert_eq!(judge(&rules(rules_json), Otherwise::Status, answer, mask), *expected, "{answer:?}");
}

#[track_caller]
fn check_default(status: u16, expected: &Outcome) {
    check("[]", &answer(status, "{}"), expected);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let ok = r#"{"messages":[{"status":"0","message-id":"0A00"}]}"#;
    check(RULES, &answer(200, ok), &delivered(Some("0A00")));
    check(RULES, &answer(200, r#"{"messages":[{"status":"0"}]}"#), &delivered(None));
    check(RULES, &answer(200, r#"{"messages":[{"status":10}]}"#), &Outcome::Throttled { retry_after: None });
    check(RULES, &answer(200, r#"{"messages":[{"status":"5"}]}"#), &unknown("the provider answered 200 OK"));
    check(RULES, &answer(200, r#"{"messages":[]}"#), &refused("the provider answered 200 OK"));
}

#[test]
fn the_provider_s_words_are_told_and_masked() {
    let body = r#"{"messages":[{"status":"4","error-text":"wrong secret"}]}"#;
    check(RULES, &answer(200, body), &unavailable("the provider answered 200 OK: wrong …"));
}

#[test]
fn a_wish_to_be_left_alone_goes_with_every_rule_that_throttles() {
    let answer = Answer { retry_after: Some(SECOND), ..answer(200, r#"{"messages":[{"status":"1"}]}"#) };
    check(RULES, &answer, &Outcome::Throttled { retry_after: Some(SECOND) });
}

#[test]
fn a_success_that_only_its_unreadable_body_could_tell_is_unknown() {
    let rules = r#"[{"when": {"body": {"pointer": "/status", "equals": "0"}}, "outcome": "Delivered"}]"#;
    let reason = "the provider answered 200 OK, and what else it said is not readable";
    check(rules, &answer(200, "<html>"), &unknown(reason));
    check(rules, &answer(200, "{}"), &delivered(None));
    check("[]", &answer(200, "<html>"), &delivered(None));
}

#[test]
fn a_refusal_that_only_its_unreadable_body_could_tell_costs_no_message() {
    let rules = r#"[{"when": {"status": "422", "body": {"pointer": "/code", "equals": "7"}}, "outcome": "Throttled"}]"#;
    let reason = "the provider answered 422 Unprocessable Entity, and what else it said is not readable";
    check(rules, &answer(422, "<html>"), &unavailable(reason));
    check(rules, &answer(422, "{}"), &refused("the provider answered 422 Unprocessable Entity"));
    check(rules, &answer(400, "<html>"), &refused("the provider answered 400 Bad Request"));
}

#[test]
fn without_a_rule_the_status_says_what_became_of_the_message() {
    for status in [200, 201, 202, 204] {
        check_default(status, &delivered(None));
    }
    check_default(400, &refused("the provider answered 400 Bad Request"));
    check_default(422, &refused("the provider answered 422 Unprocessable Entity"));
    check_default(422, &refused("the provider answered 422 Unprocessable Entity"));
    check_default(503, &unavailable("the provider answered 503 Service Unavailable"));
    for status in [302, 303, 304, 500, 502, 504] {
        assert!(matches!(default::outcome(answer(status, "").status, None), Outcome::Unknown { .. }), "{status}");
    }
}

#[test]
fn where_a_status_says_nothing_only_a_rule_does() {
    let rules = rules(r#"[{"when": {"status": "404"}, "outcome": "Refused"}]"#);
    let judged = |status| judge(&rules, Otherwise::Unknown, &answer(status, "{}"), str::to_owned);
    assert_eq!(judged(404), refused("the provider answered 404 Not Found"));
    assert_eq!(judged(200), unknown("the provider answered 200 OK"));
    assert_eq!(judged(400), unknown("the provider answered 400 Bad Request"));
    assert_eq!(judged(401), unavailable("the provider answered 401 Unauthorized"));
    assert_eq!(judged(429), Outcome::Throttled { retry_after: None });
}

#[test]
fn a_mistake_in_how_we_call_fails_no_message_for_good() {
    for status in [301, 307, 308, 401, 402, 403, 405, 407, 408, 425] {
        assert!(matches!(default::outcome(answer(status, "").status, None), Outcome::Unavailable { .. }), "{status}");
    }
}

#[test]
fn a_provider_that_says_how_long_to_wait_throttles() {
    check_default(429, &Outcome::Throttled { retry_after: None });
    for status in [429, 503] {
        let answer = Answer { retry_after: Some(SECOND), ..answer(status, "") };
        check("[]", &answer, &Outcome::Throttled { retry_after: Some(SECOND) });
    }
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_by_its_field() {
    for (json, expected) in [
        (r#"{"when":{},"outcome":"Refused"}"#, ".when must hold status, body or both"),
        (r#"{"when":{"body":{"pointer":"/a"}},"outcome":"Refused"}"#, ".when.body must hold either equals or oneOf"),
        (r#"{"when":{"status":"2xx"},"outcome":"Refused","messageId":"/a"}"#, ".messageId: only Delivered has one"),
        (r#"{"when":{"status":"2xx"},"outcome":"Delivered","reason":"/a"}"#, ".reason: only Refused, Unavailable and"),
        (r#"{"when":{"status":"429"},"outcome":"Throttled","reason":"/a"}"#, ".reason: only Refused, Unavailable and"),
    ] {
        let rule: Rule = serde_json::from_str(json).expect(json);
        let error = rule.validate().expect_err(json);
        assert!(error.starts_with(expected), "{error}");
    }
}

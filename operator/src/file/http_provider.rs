//! What `spec.processor.provider.http` may say.

use super::{
    parse,
    tests::{EXAMPLE, check_example_refused},
};
use crate::crd::HttpMethod;

const WITH_HTTP: &str = include_str!("../../../crds/examples/twilio.yaml");

const HTTP: &str = "spec.processor.provider.http";

#[test]
fn what_an_http_provider_leaves_out_has_its_default() {
    let quickstart = "simulated: { minDelay: 1s, maxDelay: 3s, failurePercent: 10 }";
    let text = EXAMPLE.replacen(quickstart, "http: { url: \"http://sms.example/\" }", 1);
    let provider = parse(&text, None).expect("accepted").spec.processor.provider;
    assert_eq!(provider.timeout, "30s");
    let http = provider.http.expect("the provider");
    assert_eq!((http.method, http.form, http.json), (HttpMethod::Post, None, None));
    assert!(http.headers.is_empty() && http.secrets.is_empty() && http.responses.is_empty());
}

#[test]
fn a_json_body_may_hold_anything() {
    let body = "json: { to: [\"{{ recipient }}\"], n: 1, deep: { er: { yes: true, none: null } } }";
    let text = WITH_HTTP.replacen("form:\n", &format!("{body}\n        headers:\n"), 1);
    let http = parse(&text, None).expect("accepted").spec.processor.provider.http.expect("the provider");
    let expected = serde_json::json!({"to": ["{{ recipient }}"], "n": 1, "deep": {"er": {"yes": true, "none": null}}});
    assert_eq!(http.json.map(serde_json::Value::Object), Some(expected));
}

#[test]
fn a_request_has_one_body_or_none() {
    for (from, to, expected) in [
        ("form:\n", "json: {}\n        form:\n", "http must not hold both json and form: a request has only one body"),
        (
            "form:\n",
            "method: GET\n        form:\n",
            "method GET has no body: put the values into url instead of json or form",
        ),
    ] {
        check_example_refused(WITH_HTTP, from, to, &format!("{HTTP}: {expected}"));
    }
}

#[test]
fn settings_of_an_http_provider_are_refused_by_their_fields() {
    for (from, to, expected) in [
        ("https://api", "{{ secrets.url }}", ".url: url must start with https:// or http://"),
        (
            "accountSid: { name",
            "account-sid: { name",
            ".secrets: names in secrets must have at most 63 characters of a-z, A-Z, 0-9 and '_', the first no digit, because templates use them as secrets.NAME",
        ),
        (
            "{ name: twilio, key: accountSid }",
            "{ name: \"\", key: accountSid }",
            ".secrets.accountSid.name: name must have 1 to 253 characters",
        ),
        ("key: accountSid }", "key: \"\" }", ".secrets.accountSid.key: key must have 1 to 253 characters"),
    ] {
        check_example_refused(WITH_HTTP, from, to, &format!("{HTTP}{expected}"));
    }
}

#[test]
fn a_provider_that_cannot_be_asked_is_refused_where_it_has_to_be() {
    let query = "query: { url: https://api/x, responses: [{ when: { status: 2xx }, outcome: Delivered }] }";
    let with_query = WITH_HTTP.replacen("      http:\n", &format!("      http:\n        {query}\n"), 1);
    let asks = |text: &str| text.replacen("    provider:\n", "    onUnknownOutcome: Query\n    provider:\n", 1);
    parse(&asks(&with_query), None).expect("it can be asked");
    check_example_refused(
        WITH_HTTP,
        "    provider:\n",
        "    onUnknownOutcome: Query\n    provider:\n",
        "spec.processor: onUnknownOutcome Query needs provider.http.query, which says how the provider is asked",
    );
}

#[test]
fn a_rule_about_answers_is_accepted_where_it_makes_sense() {
    for rule in [
        r#"{ when: { status: "429" }, outcome: Throttled }"#,
        r#"{ when: { status: 400-499, body: { pointer: /code, oneOf: ["1", "2"] } }, outcome: Refused, reason: /why }"#,
        r#"{ when: { body: { pointer: /a/0/b, equals: "0" } }, outcome: Delivered, messageId: /a/0/id }"#,
        "{ when: { status: 5xx }, outcome: Unknown, reason: /error }",
    ] {
        let text = WITH_HTTP.replacen("responses:\n", &format!("responses:\n          - {rule}\n"), 1);
        parse(&text, None).unwrap_or_else(|refused| panic!("{rule}: {refused}"));
    }
}

#[test]
fn a_rule_about_answers_that_makes_no_sense_is_refused() {
    for (rule, expected) in [
        ("{ when: {}, outcome: Unknown }", ".when: when must hold status, body or both"),
        (
            "{ when: { status: 6xx }, outcome: Unknown }",
            ".when.status: status must be written like \"429\", 4xx or 400-499",
        ),
        (
            "{ when: { body: { pointer: a, equals: x } }, outcome: Unknown }",
            ".when.body.pointer: pointer must be a JSON pointer (RFC 6901), such as /messages/0/status",
        ),
        ("{ when: { body: { pointer: /a } }, outcome: Unknown }", ".when.body: body must hold either equals or oneOf"),
        (
            "{ when: { body: { pointer: /a, equals: x, oneOf: [y] } }, outcome: Unknown }",
            ".when.body: body must hold either equals or oneOf",
        ),
        (
            "{ when: { status: 2xx }, outcome: Refused, messageId: /id }",
            ": messageId goes only with outcome: Delivered",
        ),
        (
            "{ when: { status: 2xx }, outcome: Delivered, messageId: id }",
            ".messageId: messageId must be a JSON pointer (RFC 6901), such as /sid",
        ),
        (
            "{ when: { status: 2xx }, outcome: Delivered, reason: /why }",
            ": reason goes only with the outcomes Refused, Unavailable and Unknown",
        ),
        (
            "{ when: { status: 4xx }, outcome: Refused, reason: why }",
            ".reason: reason must be a JSON pointer (RFC 6901), such as /message",
        ),
    ] {
        let to = format!("responses:\n          - {rule}\n");
        check_example_refused(WITH_HTTP, "responses:\n", &to, &format!("{HTTP}.responses[0]{expected}"));
    }
}

const QUERY: &str = r#"query: { url: "https://sms.example/{{ message_id }}", responses: [{ when: { status: 2xx }, outcome: Delivered }] }"#;

fn with_query(query: &str) -> String {
    WITH_HTTP.replacen("        form:\n", &format!("        {query}\n        form:\n"), 1)
}

#[test]
fn a_provider_can_say_how_to_ask_it() {
    let http = parse(&with_query(QUERY), None).expect("accepted").spec.processor.provider.http;
    assert_eq!(http.and_then(|http| http.query).map(|query| query.method), Some(HttpMethod::Get));
}

#[test]
fn a_question_that_cannot_work_is_refused() {
    for (from, to, expected) in [
        ("https://sms", "sms", ".url: url must start with https:// or http://"),
        ("[{ when: { status: 2xx }, outcome: Delivered }]", "[]", ".responses: responses must hold at least one rule"),
    ] {
        let refused = parse(&with_query(&QUERY.replacen(from, to, 1)), None).expect_err("refused");
        assert_eq!(refused.to_string(), format!("{HTTP}.query{expected}"));
    }
}

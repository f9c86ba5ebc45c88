//! Who is let in, and to what.

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use sms_api::access::AccessControl;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    api_keys::{KeysFile, new_key},
    logs,
    replica::{Replica, message},
};

/// Every URL of the public API, with the scope that it needs.
const URLS: [(Method, &str, &str); 15] = [
    (Method::POST, "/v1/messages", "send"),
    (Method::GET, "/v1/messages", "read"),
    (Method::POST, "/v1/messages/batch", "send"),
    (Method::GET, "/v1/messages/failed", "read"),
    (Method::POST, "/v1/messages/failed/retry", "send"),
    (Method::GET, "/v1/messages/stats", "read"),
    (Method::GET, "/v1/messages/00000000-0000-0000-0000-000000000000", "read"),
    (Method::GET, "/v1/messages/00000000-0000-0000-0000-000000000000/events", "read"),
    (Method::POST, "/v1/messages/00000000-0000-0000-0000-000000000000/cancel", "send"),
    (Method::POST, "/v1/messages/00000000-0000-0000-0000-000000000000/retry", "send"),
    (Method::GET, "/v1/users/+15550100/messages", "read"),
    (Method::GET, "/v1/dead-letters", "admin"),
    (Method::POST, "/v1/dead-letters/redrive", "admin"),
    (Method::GET, "/v1/dead-letters/00000000-0000-0000-0000-000000000000", "admin"),
    (Method::POST, "/v1/dead-letters/00000000-0000-0000-0000-000000000000/redrive", "admin"),
];

async fn problem(request: RequestBuilder, status: u16, code: &str) -> (HeaderMap, Value) {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json");
    let body: Value = response.json().await.expect("a JSON body");
    assert_eq!(body["error_code"], code);
    (headers, body)
}

#[sqlx::test(migrations = "./migrations")]
async fn nothing_answers_a_caller_who_is_not_known(database: PgPool) {
    let (entry, key) = new_key(&["--name=billing", "--scopes=send,read,admin"]);
    let replica = Replica::for_callers(&database, KeysFile::of(&[entry]).access()).await;
    let unknown_urls =
        [(Method::GET, "/", ""), (Method::PUT, "/v1/messages", ""), (Method::OPTIONS, "/v1/messages", "")];
    for (method, path, _) in URLS.into_iter().chain(unknown_urls) {
        let request = || replica.public(method.clone(), path).json(&message("hello"));
        for (stranger, detail) in [
            (request(), "This needs an API key: send it as"),
            (request().basic_auth("billing", Some(&key)), "This needs an API key: send it as"),
            (request().bearer_auth("smsk_unknown"), "The API key is not known."),
            (request().header("x-api-key", "smsk_unknown"), "The API key is not known."),
            (request().header("x-api-key", ""), "The API key is not known."),
            (
                request().bearer_auth(&key).header("x-api-key", "smsk_unknown"),
                "The request carries API keys that differ",
            ),
        ] {
            let (headers, body) = problem(stranger, 401, "UNAUTHORIZED").await;
            assert_eq!(headers["www-authenticate"], "Bearer");
            assert!(headers.contains_key("x-request-id"));
            assert!(body["detail"].as_str().expect("a detail").starts_with(detail), "{body}");
        }
    }
    let urls = u64::try_from(URLS.len() + 3).expect("few");
    for (reason, count) in [("NoKey", 2), ("UnknownKey", 3), ("ConflictingKeys", 1)] {
        let name = format!(r#"http_requests_refused_total{{reason="{reason}"}}"#);
        assert_eq!(replica.metric(&name).await, count * urls, "{reason}");
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from message").fetch_one(&database).await.expect("a count");
    assert_eq!(stored, 0);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_key_is_taken_from_either_header(database: PgPool) {
    let (entry, key) = new_key(&["--name=billing", "--scopes=send"]);
    let replica = Replica::for_callers(&database, KeysFile::of(&[entry]).access()).await;
    let post = || replica.public(Method::POST, "/v1/messages").json(&message("hello"));
    for request in [
        post().bearer_auth(&key),
        post().header("authorization", format!("bearer {key}")),
        post().header("x-api-key", &key),
        post().header("x-api-key", &key).bearer_auth(&key),
    ] {
        assert_eq!(request.send().await.expect("an answer").status(), 202);
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_key_opens_the_urls_of_its_scopes_and_no_others(database: PgPool) {
    let scopes = ["send", "read", "admin"];
    let keys = scopes.map(|scope| new_key(&[&format!("--name={scope}-only"), &format!("--scopes={scope}")]));
    let entries = keys.each_ref().map(|(entry, _)| entry.clone());
    let replica = Replica::for_callers(&database, KeysFile::of(&entries).access()).await;
    let mut refused = 0;
    for ((_, key), scope) in keys.iter().zip(scopes) {
        for (method, path, needed) in URLS {
            let request = replica.public(method, path).bearer_auth(key).json(&message("hello"));
            if scope == needed {
                let status = request.send().await.expect("an answer").status();
                assert!([200, 202, 400, 404].contains(&status.as_u16()), "{path}: {status}");
            } else {
                let (_, body) = problem(request, 403, "FORBIDDEN").await;
                let detail =
                    format!("This needs the scope {needed}, which the API key \"{scope}-only\" does not have.");
                assert_eq!(body["detail"], json!(detail));
                refused += 1;
            }
        }
        problem(replica.public(Method::GET, "/").bearer_auth(key), 404, "NOT_FOUND").await;
        let put = replica.public(Method::PUT, "/v1/messages").bearer_auth(key);
        let (headers, _) = problem(put, 405, "METHOD_NOT_ALLOWED").await;
        assert_eq!(headers["allow"], "POST,GET,HEAD,OPTIONS");
    }
    assert_eq!(replica.metric(r#"http_requests_refused_total{reason="MissingScope"}"#).await, refused);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_request_is_logged_with_the_name_of_its_key_and_nothing_of_the_key(database: PgPool) {
    let name = format!("name-{}", Uuid::now_v7());
    let (entry, key) = new_key(&[&format!("--name={name}"), "--scopes=read"]);
    let hash = entry["sha256"].as_str().expect("a hash").to_owned();
    let file = KeysFile::of(&[entry]);
    let keys = Replica::for_callers(&database, file.access()).await;
    let anonymous = Replica::for_callers(&database, AccessControl::anonymous(None)).await;
    let stranger = format!("smsk_{}", Uuid::now_v7());
    for (replica, key, named) in
        [(&keys, &key, json!(name)), (&keys, &stranger, Value::Null), (&anonymous, &key, json!("anonymous"))]
    {
        let id = format!("request-{}", Uuid::now_v7());
        let read = replica.public(Method::GET, "/v1/messages/stats").header("x-request-id", &id);
        read.bearer_auth(key).header("x-api-key", key).send().await.expect("an answer");
        assert_eq!(logs::span_of_request(&id).await["key_name"], named);
    }
    let everything = [logs::text(), keys.observed("/metrics").await.1, keys.observed("/readyz").await.1].concat();
    for secret in [&key, &stranger, &hash] {
        assert!(!everything.contains(secret.trim_start_matches("smsk_")), "{secret} can be seen");
    }
    assert!(!keys.observed("/metrics").await.1.contains(&name), "a label would grow with every key");
    for replica in [keys, anonymous] {
        replica.stop().await;
    }
}

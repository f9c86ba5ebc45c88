//! Every URL and what it answers.

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    replica::{Replica, message},
    topic::Topic,
};

/// Sends the request, and proves that the answer is this problem in the shape that every problem has.
async fn problem(request: RequestBuilder, status: u16, code: &str) -> (HeaderMap, Value) {
    let response = request.send().await.expect("an answer");
    let (found, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{text}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let body: Value = serde_json::from_str(&text).expect("a JSON body");
    assert_eq!((&body["status"], &body["error_code"]), (&json!(status), &json!(code)));
    let name = code.to_ascii_lowercase().replace('_', "-");
    assert_eq!(body["type"], format!("https://smspipeline.dev/problems/{name}"));
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    (headers, body)
}

#[sqlx::test(migrations = "./migrations")]
async fn an_accepted_message_is_answered_in_full_and_can_be_read(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let response = replica.post(&message("Grüße 🎈")).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["content-type"], "application/json");
    let location = response.headers()["location"].to_str().expect("a text").to_owned();
    let text = response.text().await.expect("a body");
    let body: Value = serde_json::from_str(&text).expect("a JSON body");
    let id = body["id"].as_str().expect("an id");
    let created_at = body["created_at"].as_str().expect("a time");
    assert!(created_at.ends_with('Z'), "{created_at}");
    assert_eq!(
        text,
        format!(
            r#"{{"id":"{id}","sender":"+15550100","recipient":"+4915112345678","text":"Grüße 🎈","status":"PENDING","created_at":"{created_at}","updated_at":"{created_at}","priority":"normal","attempt":1,"final":false,"segments":1,"encoding":"UCS-2"}}"#
        )
    );
    assert_eq!(location, format!("http://{}/v1/messages/{id}", replica.host()));
    assert_eq!(replica.message(id).await, body);
    assert_eq!(replica.message(&id.to_uppercase()).await, body);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn head_is_answered_as_get_without_the_body(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("hello").await;
    for (path, status) in [
        (format!("/v1/messages/{id}"), 200),
        (format!("/v1/messages/{}", uuid::Uuid::now_v7()), 404),
        ("/v1/messages/abc".to_owned(), 404),
        ("/".to_owned(), 404),
    ] {
        let ask = async |method| {
            let request = replica.public(method, &path).header("x-request-id", "the-same");
            let response = request.send().await.expect("an answer");
            let (status, mut headers) = (response.status(), response.headers().clone());
            headers.remove("date");
            (status, headers, response.text().await.expect("a body"))
        };
        let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!((get.0.as_u16(), head.0), (status, get.0), "{path}");
        assert_eq!(head.1, get.1, "{path}");
        assert_eq!(head.1["content-length"], get.2.len().to_string().as_str());
        assert_eq!(head.2, "");
    }
    let no_get = replica.public(Method::HEAD, "/v1/messages/batch").send().await.expect("an answer");
    assert_eq!(
        (no_get.status().as_u16(), &no_get.headers()["allow"]),
        (405, &"POST,OPTIONS".parse().expect("a value"))
    );
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn options_tells_what_a_url_allows(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let internal = replica.internal(Method::OPTIONS, "/v1/internal/delivery-report").bearer_auth(crate::replica::TOKEN);
    for (request, allow) in [
        (replica.public(Method::OPTIONS, "/v1/messages"), "POST,GET,HEAD,OPTIONS"),
        (replica.public(Method::OPTIONS, "/v1/messages/abc"), "GET,HEAD,OPTIONS"),
        (replica.public(Method::OPTIONS, "/v1/dead-letters"), "GET,HEAD,OPTIONS"),
        (replica.public(Method::OPTIONS, "/v1/dead-letters/redrive"), "POST,OPTIONS"),
        (internal, "POST,OPTIONS"),
    ] {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["allow"], allow);
        assert!(!response.headers().contains_key("content-length"), "an answer of 204 has none");
    }
    problem(replica.public(Method::OPTIONS, "/"), 404, "NOT_FOUND").await;
    problem(replica.internal(Method::OPTIONS, "/v1/internal/delivery-report"), 401, "UNAUTHORIZED").await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_the_peer_accepts_is_accepted(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for (content_type, body) in [
        (None, message("no content type").to_string()),
        (Some("application/json; charset=utf-8"), message("a charset").to_string()),
        (None, json!({ "sender": "12", "recipient": 15_550_100, "text": 123, "more": { "ignored": [] } }).to_string()),
        (None, message(&"😀".repeat(800)).to_string()),
    ] {
        let mut request = replica.public(Method::POST, "/v1/messages").body(body.clone());
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 202, "{body}");
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn bad_posts_are_refused_with_a_problem(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let post = |body: String| replica.public(Method::POST, "/v1/messages").body(body);
    for body in ["", "null", "{", "[]", r#""text""#, r#"{"text":"\ud800"}"#] {
        problem(post(body.to_owned()), 400, "MALFORMED_BODY").await;
    }
    for content_type in ["text/plain", "application/xml"] {
        let request = post(message("hello").to_string()).header("content-type", content_type);
        problem(request, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    }
    problem(post(message(&"a".repeat(1024 * 1024)).to_string()), 413, "BODY_TOO_LARGE").await;

    let (_, body) = problem(post(json!({ "sender": "", "text": "" }).to_string()), 400, "INVALID_FIELDS").await;
    assert_eq!(
        body["violations"],
        json!([
            { "field": "sendMessage.request.recipient", "message": "Recipient phone number is required" },
            { "field": "sendMessage.request.sender", "message": "Sender phone number is required" },
            {
                "field": "sendMessage.request.sender",
                "message": "Invalid sender phone number format. Use international format (e.g., +1234567890)"
            },
            { "field": "sendMessage.request.text", "message": "Message text is required" },
            { "field": "sendMessage.request.text", "message": "Message text must be between 1 and 1600 characters" },
        ])
    );
    assert_eq!(body["errors"][0], json!({ "pointer": "#/recipient", "detail": "Recipient phone number is required" }));
    let stored: i64 = sqlx::query_scalar("select count(*) from message").fetch_one(&database).await.expect("a count");
    assert_eq!(stored, 0);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn unknown_urls_methods_and_ids_are_answered_with_a_problem(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let public = |method: Method, path: &str| replica.public(method, path);
    problem(public(Method::GET, "/"), 404, "NOT_FOUND").await;
    problem(public(Method::POST, "/v1/internal/delivery-report"), 404, "NOT_FOUND").await;
    let (headers, _) = problem(public(Method::PUT, "/v1/messages"), 405, "METHOD_NOT_ALLOWED").await;
    assert_eq!(headers["allow"], "POST,GET,HEAD,OPTIONS");
    let brew = Method::from_bytes(b"BREW").expect("a method");
    let (headers, _) = problem(public(brew.clone(), "/v1/messages"), 405, "METHOD_NOT_ALLOWED").await;
    assert_eq!(headers["allow"], "POST,GET,HEAD,OPTIONS");
    problem(public(brew, "/v1/messages/"), 404, "NOT_FOUND").await;
    let id = uuid::Uuid::now_v7();
    let (headers, _) = problem(public(Method::DELETE, &format!("/v1/messages/{id}")), 405, "METHOD_NOT_ALLOWED").await;
    assert_eq!(headers["allow"], "GET,HEAD,OPTIONS");
    let (_, body) = problem(public(Method::GET, &format!("/v1/messages/{id}")), 404, "MESSAGE_NOT_FOUND").await;
    assert_eq!(body["detail"], format!("Message not found: {id}"));
    for malformed in ["1-1-1-1-1", "abc", "%FF"] {
        problem(public(Method::GET, &format!("/v1/messages/{malformed}")), 404, "MESSAGE_NOT_FOUND").await;
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn the_internal_api_answers_nothing_without_its_token(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for path in ["/v1/internal/delivery-report", "/v1/messages", "/"] {
        let request = || replica.internal(Method::POST, path).json(&json!({}));
        let (headers, _) = problem(request(), 401, "UNAUTHORIZED").await;
        assert_eq!(headers["www-authenticate"], "Bearer");
        problem(request().bearer_auth("wrong"), 401, "UNAUTHORIZED").await;
    }
    let with_token = replica.internal(Method::POST, "/v1/messages").bearer_auth(crate::replica::TOKEN);
    problem(with_token, 404, "NOT_FOUND").await;
    replica.stop().await;
}

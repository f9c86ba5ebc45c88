//! `x-request-id`: on every answer, in the request's span, and nowhere else.

use reqwest::{Method, RequestBuilder};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    logs,
    replica::{Replica, TOKEN, message},
    topic::Topic,
};

async fn answered_id(request: RequestBuilder, status: u16) -> String {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    let ids: Vec<_> = response.headers().get_all("x-request-id").iter().collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0].to_str().expect("visible ASCII").to_owned()
}

#[sqlx::test(migrations = "./migrations")]
async fn every_answer_carries_the_id_of_its_request(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let (public, internal) = (|m, path| replica.public(m, path), |m, path| replica.internal(m, path));
    let report = "/v1/internal/delivery-report";
    for (request, status) in [
        (public(Method::POST, "/v1/messages").json(&message("hello")), 202),
        (public(Method::POST, "/v1/messages"), 400),
        (public(Method::GET, "/"), 404),
        (public(Method::HEAD, "/"), 404),
        (public(Method::PUT, "/v1/messages"), 405),
        (public(Method::OPTIONS, "/v1/messages"), 204),
        (internal(Method::POST, report), 401),
        (internal(Method::POST, report).bearer_auth(TOKEN), 400),
    ] {
        let again = request.try_clone().expect("a request without a stream");
        assert_eq!(answered_id(request.header("x-request-id", "order/4711"), status).await, "order/4711");
        let (first, second) = (again.try_clone().expect("a request without a stream"), again);
        let (first, second) = (answered_id(first, status).await, answered_id(second, status).await);
        assert_ne!(first, second);
        assert_eq!(first.parse::<Uuid>().expect("a UUID").get_version_num(), 7);
    }
    let too_long = public(Method::GET, "/").header("x-request-id", "x".repeat(129));
    assert_ne!(answered_id(too_long, 404).await, "x".repeat(129));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn the_span_of_a_request_has_its_id_and_nothing_of_its_message(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = format!("request-{}", Uuid::now_v7());
    let secret = format!("text-{}", Uuid::now_v7());
    let post = replica.public(Method::POST, "/v1/messages").header("x-request-id", &id).json(&message(&secret));
    assert_eq!(answered_id(post, 202).await, id);
    let span = logs::span_of_request(&id).await;
    assert_eq!(span["name"], "http request");
    assert_eq!((&span["method"], &span["route"]), (&"POST".into(), &"/v1/messages".into()));
    assert!(!logs::text().contains(&secret));
    assert!(!replica.observed("/metrics").await.1.contains(&id));
    replica.stop().await;
}

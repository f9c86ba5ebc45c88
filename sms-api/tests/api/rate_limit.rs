//! How much a key may ask for, and what its client is told.

use reqwest::{Method, Response};
use serde_json::Value;
use sms_api::{access::AccessControl, rate_limit::RateLimit};
use sqlx::PgPool;

use crate::{
    api_keys::{KeysFile, new_key},
    replica::Replica,
};

async fn get(replica: &Replica, path: &str, key: &str) -> Response {
    replica.public(Method::GET, path).bearer_auth(key).send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("none", |value| value.to_str().expect("visible ASCII"))
}

/// Asks until the limit is reached. How many requests that takes depends on how long they take.
async fn first_limited(replica: &Replica, key: &str) -> Response {
    for _ in 0..1000 {
        let response = get(replica, "/v1/messages/stats", key).await;
        if response.status() == 429 {
            return response;
        }
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "ratelimit-policy"), r#""default";q=5;w=5"#);
    }
    panic!("no limit was met");
}

#[sqlx::test(migrations = "./migrations")]
async fn a_key_past_its_limit_is_told_when_to_come_back_and_no_other_key_suffers(database: PgPool) {
    let (limited, limited_key) = new_key(&["--name=limited", "--scopes=read", "--requests-per-second=1", "--burst=5"]);
    let (other, other_key) = new_key(&["--name=other", "--scopes=read"]);
    let replica = Replica::for_callers(&database, KeysFile::of(&[limited, other]).access()).await;

    let first = get(&replica, "/nothing", &limited_key).await;
    assert_eq!(first.status(), 404, "what an answer says of the limit does not depend on what else it says");
    assert_eq!(header(&first, "ratelimit-policy"), r#""default";q=5;w=5"#);
    assert_eq!(header(&first, "ratelimit"), r#""default";r=4;t=1"#);
    assert_eq!(header(&first, "retry-after"), "none");

    let refused = first_limited(&replica, &limited_key).await;
    assert_eq!(header(&refused, "ratelimit-policy"), r#""default";q=5;w=5"#);
    assert_eq!(header(&refused, "ratelimit"), r#""default";r=0;t=1"#);
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    let body: Value = refused.json().await.expect("a JSON body");
    assert_eq!(body["error_code"], "RATE_LIMITED");
    assert_eq!(body["detail"], "There were too many requests; send this one again in 1 s.");
    assert_eq!(replica.metric(r#"http_requests_refused_total{reason="RateLimited"}"#).await, 1);

    for _ in 0..10 {
        let free = get(&replica, "/v1/messages/stats", &other_key).await;
        assert_eq!(free.status(), 200);
        assert_eq!((header(&free, "ratelimit-policy"), header(&free, "ratelimit")), ("none", "none"));
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn anonymous_callers_share_one_limit(database: PgPool) {
    let limit = RateLimit::new(1, Some(5)).expect("a valid limit");
    let replica = Replica::for_callers(&database, AccessControl::anonymous(Some(limit))).await;
    let refused = first_limited(&replica, "whoever").await;
    assert_eq!(header(&refused, "retry-after"), "1");
    replica.stop().await;
}

//! Every answer that the API's document names can be had, and looks as documented.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use jiff::{Span, Timestamp};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sms_api::store;
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use crate::{
    api_keys::{KeysFile, new_key},
    dead_letter_topic::DeadLetterTopic,
    idempotency::under_way,
    replica::{Replica, message},
    topic::Topic,
};

/// One method of one URL, and a request that it answers well.
struct Operation {
    method: Method,
    template: &'static str,
    path: String,
    body: Option<Value>,
}

/// The API as it is asked here: what was asked is in the document, and what was answered is noted.
struct Asker {
    replica: Replica,
    /// The same, for which PostgreSQL is away.
    without_database: Replica,
    /// A key for everything; two of which none is for everything; one that is soon used up.
    key: String,
    reader: String,
    sender: String,
    limited: String,
    document: Value,
    seen: BTreeSet<(String, u16)>,
}

impl Operation {
    fn new(method: Method, template: &'static str, body: Option<Value>) -> Self {
        Self { method, template, path: template.replace("{user_id}", "+15550100"), body }
    }

    /// The same on something that there is.
    fn on(self, id: &str) -> Self {
        Self { path: self.path.replace("{id}", id), ..self }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    fn request(&self, replica: &Replica) -> RequestBuilder {
        let request = replica.public(self.method.clone(), &self.path);
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

impl Asker {
    async fn start(database: &PgPool, topic: &Topic) -> Self {
        let [all, reader, sender, limited] = [
            new_key(&["--name=all", "--scopes=send,read,admin"]),
            new_key(&["--name=reader", "--scopes=read"]),
            new_key(&["--name=sender", "--scopes=send"]),
            new_key(&["--name=limited", "--scopes=read", "--requests-per-second=1", "--burst=1"]),
        ];
        let file = KeysFile::of(&[&all, &reader, &sender, &limited].map(|(entry, _)| entry.clone()));
        let replica = Replica::set(database, topic, |parts| parts.access = file.access()).await;
        let nobody = PgConnectOptions::new().host("127.0.0.1").port(1);
        let without_database = Replica::without_kafka_and(database, |parts| {
            parts.access = file.access();
            parts.database = store::connect_lazily(nobody);
        })
        .await;
        let document = replica.public(Method::GET, "/openapi.json").send().await.expect("an answer");
        let document = document.json().await.expect("a document");
        let (key, reader, sender, limited) = (all.1, reader.1, sender.1, limited.1);
        Self { replica, without_database, key, reader, sender, limited, document, seen: BTreeSet::new() }
    }

    /// Asks, proves that the answer has this status and looks as documented, and gives its body.
    async fn ask(&mut self, operation: &Operation, request: RequestBuilder, status: u16) -> Value {
        let answer = request.send().await.expect("an answer");
        let asked = operation.name();
        let found = answer.status().as_u16();
        let media_type = answer.headers()["content-type"].to_str().expect("a text").to_owned();
        let text = answer.text().await.expect("a body");
        assert_eq!(found, status, "{asked}: {text}");
        let documented = &self.documented_answer(operation, found)["content"];
        assert!(
            documented.get(&media_type).is_some(),
            "{asked}: {found} as {media_type}, but documented: {documented}"
        );
        self.seen.insert((asked, found));
        serde_json::from_str(&text).expect("a JSON body")
    }

    /// Asks with the key for everything.
    async fn ask_known(&mut self, operation: &Operation, status: u16) -> Value {
        let request = operation.request(&self.replica).bearer_auth(&self.key);
        self.ask(operation, request, status).await
    }

    /// What any operation can answer.
    async fn ask_in_all_ways(&mut self, operation: &Operation) {
        let (key, reader, sender, limited) =
            (self.key.clone(), self.reader.clone(), self.sender.clone(), self.limited.clone());
        self.ask(operation, operation.request(&self.replica), 401).await;
        let needs_sending = operation.method == Method::POST && !operation.template.contains("dead-letters");
        let wrong_key = if needs_sending { &reader } else { &sender };
        self.ask(operation, operation.request(&self.replica).bearer_auth(wrong_key), 403).await;
        while operation.request(&self.replica).bearer_auth(&limited).send().await.expect("an answer").status() != 429 {}
        self.ask(operation, operation.request(&self.replica).bearer_auth(&limited), 429).await;
        self.ask(operation, operation.request(&self.without_database).bearer_auth(&key), 503).await;
        if operation.template.contains("{id}") {
            let unknown = Operation::new(operation.method.clone(), operation.template, None);
            self.ask_known(&unknown.on(&Uuid::nil().to_string()), 404).await;
        }
        if operation.body.is_some() {
            let post = || self.replica.public(operation.method.clone(), &operation.path).bearer_auth(&key);
            let (text, large, no_object) = (
                post().body("{}").header("content-type", "text/plain"),
                post().body(vec![b' '; 1 << 21]),
                post().body("[]"),
            );
            self.ask(operation, text, 415).await;
            self.ask(operation, large, 413).await;
            self.ask(operation, no_object, 400).await;
        } else if !self.documented_answer(operation, 400).is_null() {
            let wrong = self.replica.public(operation.method.clone(), &format!("{}?limit=0", operation.path));
            self.ask(operation, wrong.bearer_auth(&key), 400).await;
        }
    }

    /// What the document says of an answer; null where it does not name it.
    fn documented_answer(&self, operation: &Operation, status: u16) -> &Value {
        let method = operation.method.as_str().to_ascii_lowercase();
        &self.document["paths"][operation.template][method]["responses"][status.to_string()]
    }

    /// Lets bodies be waited for, all at a time because each takes ten seconds.
    async fn ask_without_bodies(&mut self, operations: &[&Operation]) {
        let statuses = join_all(operations.iter().map(async |operation| {
            let mut connection = TcpStream::connect(self.replica.host()).await.expect("an open port");
            let head = format!(
                "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n",
                operation.path, self.key
            );
            connection.write_all(head.as_bytes()).await.expect("an open connection");
            let mut answer = [0; 12];
            let read = timeout(Duration::from_secs(30), connection.read_exact(&mut answer)).await;
            read.expect("an answer in time").expect("an answer");
            String::from_utf8_lossy(&answer).into_owned()
        }))
        .await;
        for (operation, status) in operations.iter().zip(statuses) {
            assert_eq!(status, "HTTP/1.1 408", "{}", operation.template);
            self.seen.insert((operation.name(), 408));
        }
    }

    /// Everything that the document names.
    fn documented(&self) -> BTreeSet<(String, u16)> {
        let mut documented = BTreeSet::new();
        for (path, methods) in self.document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                for status in operation["responses"].as_object().expect("answers").keys() {
                    let asked = format!("{} {path}", method.to_ascii_uppercase());
                    documented.insert((asked, status.parse().expect("a status")));
                }
            }
        }
        documented
    }
}

/// The id of a message that was accepted with these fields beside the usual ones.
async fn accepted(asker: &Asker, fields: &Value) -> String {
    let mut body = message("hello");
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    let post = asker.replica.public(Method::POST, "/v1/messages").bearer_auth(&asker.key).json(&body);
    let body: Value = post.send().await.expect("an answer").json().await.expect("a JSON body");
    body["id"].as_str().expect("an id").to_owned()
}

#[sqlx::test(migrations = "./migrations")]
async fn every_answer_that_the_document_names_can_be_had_and_looks_as_documented(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let mut asker = Asker::start(&database, &topic).await;

    accepted(&asker, &json!({})).await;
    dead_letters.park(0, &topic.next().await.value.to_string(), "refused").await;
    dead_letters.is_read().await;
    let letter: Uuid = sqlx::query_scalar("select id from dead_letter").fetch_one(&database).await.expect("one");
    let letter = letter.to_string();
    let tomorrow = (Timestamp::now() + Span::new().hours(24)).to_string();
    let scheduled = accepted(&asker, &json!({ "send_at": tomorrow })).await;
    let failed = accepted(&asker, &json!({})).await;
    asker.replica.report(&json!({ "message_id": failed, "status": "FAILED" })).await;
    let pending = accepted(&asker, &json!({})).await;

    let (get, post) = (Method::GET, Method::POST);
    let send = Operation::new(post.clone(), "/v1/messages", Some(message("hello")));
    let batch =
        Operation::new(post.clone(), "/v1/messages/batch", Some(json!({ "messages": [message("1"), message("2")] })));
    let cancel = |id| Operation::new(Method::POST, "/v1/messages/{id}/cancel", None).on(id);
    let retry = |id| Operation::new(Method::POST, "/v1/messages/{id}/retry", None).on(id);
    let redrive = Operation::new(post.clone(), "/v1/dead-letters/{id}/redrive", None).on(&letter);
    let retry_failed = Operation::new(post.clone(), "/v1/messages/failed/retry", Some(json!({})));
    let redrive_all = Operation::new(post, "/v1/dead-letters/redrive", Some(json!({})));
    let reads = [
        Operation::new(get.clone(), "/v1/messages", None),
        Operation::new(get.clone(), "/v1/messages/failed", None),
        Operation::new(get.clone(), "/v1/messages/stats", None),
        Operation::new(get.clone(), "/v1/messages/{id}", None).on(&pending),
        Operation::new(get.clone(), "/v1/messages/{id}/events", None).on(&pending),
        Operation::new(get.clone(), "/v1/users/{user_id}/messages", None),
        Operation::new(get.clone(), "/v1/dead-letters", None),
        Operation::new(get, "/v1/dead-letters/{id}", None).on(&letter),
    ];
    let writes = [&send, &batch, &cancel(&scheduled), &retry(&failed), &redrive, &retry_failed, &redrive_all];
    for operation in reads.iter().chain(writes) {
        asker.ask_in_all_ways(operation).await;
    }
    asker.ask_without_bodies(&[&send, &batch, &retry_failed, &redrive_all]).await;

    for operation in &reads {
        asker.ask_known(operation, 200).await;
    }
    asker.ask_known(&cancel(&scheduled), 200).await;
    asker.ask_known(&cancel(&pending), 409).await;
    asker.ask_known(&retry(&failed), 200).await;
    asker.ask_known(&retry(&pending), 409).await;
    asker.ask_known(&redrive, 200).await;
    asker.ask_known(&redrive, 409).await;
    asker.ask_known(&retry_failed, 202).await;
    asker.ask_known(&redrive_all, 202).await;
    let dry =
        Operation { body: Some(json!({ "sender": "10", "recipient": "11", "text": "x", "dry_run": true })), ..send };
    asker.ask_known(&dry, 200).await;
    let send = Operation { body: Some(message("hello")), ..dry };

    let stuck = under_way(&database, "all", "busy").await;
    for (operation, other) in [(&send, message("other")), (&batch, json!({ "messages": [message("other")] }))] {
        let with_key = |asker: &Asker, key: &str| {
            operation.request(&asker.replica).bearer_auth(&asker.key).header("idempotency-key", key)
        };
        let key = Uuid::now_v7().to_string();
        let (busy, first) = (with_key(&asker, "busy"), with_key(&asker, &key));
        let reused = with_key(&asker, &key).json(&other);
        asker.ask(operation, busy, 409).await;
        asker.ask(operation, first, 202).await;
        asker.ask(operation, reused, 422).await;
    }
    stuck.rollback().await.expect("the end of the transaction");

    // A fault of the service is what PostgreSQL refuses although the service let it pass. Where nothing is stored only a
    // panic is one, and no request brings that about.
    let refuse = "alter table message add constraint no_fault check (text <> 'fault')";
    sqlx::query(refuse).execute(&database).await.expect("a constraint");
    for (operation, fault) in [(&send, message("fault")), (&batch, json!({ "messages": [message("fault")] }))] {
        let request = operation.request(&asker.replica).bearer_auth(&asker.key).json(&fault);
        asker.ask(operation, request, 500).await;
    }
    let mut documented = asker.documented();
    documented.retain(|(asked, status)| *status != 500 || [send.name(), batch.name()].contains(asked));

    assert_eq!(asker.seen, documented);
    asker.replica.stop().await;
    asker.without_database.stop().await;
}

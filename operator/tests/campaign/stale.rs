//! Answers that are too old: each question is asked before the user does anything, and answered so later.

use std::{any::Any, collections::BTreeMap};

use axum::http::Request;
use kafka::{Admin, Config, Configurable, TopicDescription};
use kube::{Client, client::Body};

/// Something that the operator asks, with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Of the API server.
    Kubernetes { uri: String, accept: String },
    /// How these topics are.
    Topics(Vec<String>),
    /// How these are set, as [`Configurable`] is printed.
    Configs(Vec<String>),
}

/// What it was told before the user did anything.
#[derive(Clone)]
pub enum Answer {
    Kubernetes { status: u16, body: Vec<u8> },
    Topics(BTreeMap<String, TopicDescription>),
    Configs(BTreeMap<Configurable, Config>),
}

/// Asks; `name` puts what differs from one trial to the next in the place of its placeholders.
pub async fn ask(client: &Client, admin: &Admin, question: &Question, name: impl Fn(&str) -> String) -> Answer {
    match question {
        Question::Kubernetes { uri, accept } => {
            let request = Request::get(name(uri)).header("accept", accept).body(Body::empty()).expect("a request");
            let response = client.send(request).await.expect("the API server answers");
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await.expect("the API server answers");
            Answer::Kubernetes { status, body: body.to_vec() }
        }
        Question::Topics(topics) => {
            let names = topics.iter().map(|topic| name(topic)).collect();
            Answer::Topics(admin.describe_topics(names).await.expect("Kafka answers"))
        }
        Question::Configs(printed) => {
            let mut configs = BTreeMap::new();
            for resource in printed.iter().filter_map(|printed| configurable(&name(printed))) {
                // A topic that is not there has none.
                if let Ok(mut found) = admin.describe_configs(vec![resource.clone()]).await {
                    configs.extend(found.pop().map(|config| (resource, config)));
                }
            }
            Answer::Configs(configs)
        }
    }
}

fn configurable(printed: &str) -> Option<Configurable> {
    let (kind, name) = printed.split_once(' ')?;
    match kind {
        "topic" => Some(Configurable::Topic(name.to_owned())),
        "group" => Some(Configurable::Group(name.to_owned())),
        _ => Some(Configurable::Broker(name.parse().ok()?)),
    }
}

/// Puts an old answer of the brokers in the place of a new one.
pub fn replace(new: &mut (dyn Any + Send), old: Answer) {
    type Topics = BTreeMap<String, Result<TopicDescription, kafka::Error>>;
    type Configs = Vec<(Configurable, Result<Config, kafka::Error>)>;
    match old {
        Answer::Topics(old) => {
            let new = new.downcast_mut::<Topics>().expect("DescribeTopics gives topics");
            *new = old.into_iter().map(|(name, topic)| (name, Ok(topic))).collect();
        }
        Answer::Configs(old) => {
            let new = new.downcast_mut::<Configs>().expect("DescribeConfigs gives settings");
            for (resource, config) in new {
                let unknown = || kafka::Error::Topic {
                    call: "DescribeConfigs",
                    topic: resource.to_string(),
                    reason: "Unknown topic or partition".to_owned(),
                };
                *config = old.get(resource).cloned().ok_or_else(unknown);
            }
        }
        Answer::Kubernetes { .. } => panic!("an answer of the API server for the brokers"),
    }
}

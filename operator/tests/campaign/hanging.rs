//! Brokers that never answer.

use std::{any::Any, future, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures::{StreamExt, poll, stream::FuturesUnordered};
use kafka::{Call, Error, Interceptor, Said};
use kube::{Api, Client, api::PostParams};
use sms_operator::{controller, crd::SmsPipeline};

use crate::{process, trial};

/// More than rounds that are at work at once, and pipelines that are served at once on one Kafka cluster.
const ROUNDS: usize = 100;
/// How long the pipeline may take whose brokers answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Never answers a call about a pipeline whose name says so. Nothing real hangs for good: its calls time out.
struct Hanging;

impl Interceptor for Hanging {
    fn before<'a>(&'a self, call: &'a Call) -> Said<'a> {
        let hangs = call.about.iter().any(|about| about.contains("hanging"));
        if hangs { Box::pin(future::pending()) } else { Box::pin(future::ready(Ok(()))) }
    }

    fn after<'a>(&'a self, _call: &'a Call, _said: Result<&'a mut (dyn Any + Send), &'a Error>) -> Said<'a> {
        Box::pin(future::ready(Ok(())))
    }
}

#[tokio::test]
async fn however_many_rounds_wait_for_brokers_that_hang_other_pipelines_go_on() {
    let servers = crate::servers().await;
    let client = Client::try_from(servers.kubernetes.clone()).expect("a client");
    let context = Arc::new(process::context(client.clone(), Arc::new(Hanging)));
    let pipelines = Api::<SmsPipeline>::namespaced(client.clone(), &servers.namespace);
    let make = async |name: &str, kafka: &str| {
        trial::write_database_url(&client, &servers.namespace, name, "hunter2").await;
        let made = pipelines.create(&PostParams::default(), &trial::pipeline(name, name, kafka)).await;
        Arc::new(made.expect("it is made"))
    };
    // Another address, so that it has a connection of its own.
    let hanging = make("hanging", &servers.kafka.replace("127.0.0.1", "localhost")).await;
    let answered = make("answered", &servers.kafka).await;

    let mut rounds: FuturesUnordered<_> =
        (0..ROUNDS).map(|_| controller::reconcile(Arc::clone(&hanging), Arc::clone(&context))).collect();
    // All of them have begun before the other one comes.
    assert!(matches!(poll!(pin!(rounds.next())), Poll::Pending));
    let other = controller::reconcile(answered, Arc::clone(&context));
    // Some of the others end too, with the news that nobody is answered.
    let others = async { while rounds.next().await.is_some() {} };
    let ended = async {
        tokio::select! {
            ended = other => ended,
            () = others => panic!("all rounds have ended, also those that were never answered"),
        }
    };

    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it does not wait for the others");
    ended.expect("it succeeds");
    let status = pipelines.get("answered").await.expect("it is there").status.expect("it was looked at");
    let topics = status.conditions.iter().find(|condition| condition.type_ == "TopicsReady").expect("it is told");
    assert_eq!(topics.status, "True", "{}", topics.message);
}

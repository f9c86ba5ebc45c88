//! A log that is read as a whole, and brokers that hang, on real brokers.
//!
//! Needs what `cargo xtask test` prepares: Java, and Kafka in the cache (it is fetched when it is not there).

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use kafka::{Admin, Call, Error, Interceptor, NewTopic, Said, Settings};

/// More than a call may take: the time for an answer, and that for one connection after another.
const BOUND: Duration = Duration::from_secs(15);

struct Broker {
    kafka: Kafka,
    admin: Admin,
    _folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
        let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
        let kafka = Kafka::start(&binaries, &settings).expect("the broker starts");
        let admin = Admin::new(&Settings::plaintext(kafka.bootstrap_servers()), "tests").expect("usable settings");
        Self { kafka, admin, _folder: folder }
    }

    async fn create(&self, name: &str) {
        let config = BTreeMap::from([("cleanup.policy", "compact".to_owned())]);
        let topic = NewTopic { name: name.to_owned(), partitions: 1, replication_factor: 1, config };
        self.admin.create_topics(&[topic]).await.expect("the topic is created");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_written_reads_everything_that_was_written_before() {
    let broker = Broker::start();
    broker.create("log").await;
    let admin = &broker.admin;
    assert_eq!(admin.read_log("log").await.expect("an empty log"), []);
    for (key, value) in [("a", Some("1")), ("b", Some("2")), ("a", None)] {
        admin.append_to_log("log", key, value).await.expect("it is written");
        let last = admin.read_log("log").await.expect("a log").pop().expect("what was just written");
        assert_eq!((last.key.as_str(), last.value.as_deref()), (key, value));
    }
    let offsets: Vec<_> = admin.read_log("log").await.expect("a log").iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, [1, 2], "the last one under each key");
}

/// Counts how often records are fetched.
#[derive(Default)]
struct Fetches(AtomicU32);

impl Interceptor for Fetches {
    fn after<'a>(&'a self, call: &'a Call, _said: Result<&'a mut (dyn Any + Send), &'a Error>) -> Said<'a> {
        self.0.fetch_add(u32::from(call.name == "Fetch"), Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_new_is_not_fetched_again_and_a_topic_that_was_made_anew_is() {
    let broker = Broker::start();
    broker.create("log").await;
    let fetches = Arc::new(Fetches::default());
    let admin = broker.admin.clone().intercepted(fetches.clone());
    let keys = async || {
        let read = admin.read_log("log").await.expect("a log");
        (read.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), fetches.0.load(Ordering::Relaxed))
    };
    admin.append_to_log("log", "a", Some("1")).await.expect("it is written");
    assert_eq!(keys().await, (vec!["a".to_owned()], 1));
    assert_eq!(keys().await, (vec!["a".to_owned()], 1));

    // By another client, as somebody else would.
    let stranger = Admin::new(&Settings::plaintext(broker.kafka.bootstrap_servers()), "stranger").expect("a client");
    stranger.append_to_log("log", "b", Some("2")).await.expect("it is written");
    assert_eq!(keys().await, (vec!["a".to_owned(), "b".to_owned()], 2));

    admin.delete_topics(&["log".to_owned()]).await.expect("it is deleted");
    while !admin.describe_topics(vec!["log".to_owned()]).await.expect("an answer").is_empty() {}
    broker.create("log").await;
    for key in ["c", "d", "e"] {
        admin.append_to_log("log", key, Some("3")).await.expect("it is written");
    }
    assert_eq!(keys().await.0, ["c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_ends_every_call_in_time_and_delays_no_other() {
    let (hanging, working) = (Broker::start(), Broker::start());
    hanging.create("log").await;
    hanging.admin.read_log("log").await.expect("a log");
    hanging.kafka.pause();
    let names = vec!["log".to_owned()];

    let began = Instant::now();
    let hung = async {
        tokio::join!(
            hanging.admin.describe_topics(names.clone()),
            hanging.admin.read_log("log"),
            hanging.admin.append_to_log("log", "a", None),
            hanging.admin.delete_topics(&names),
        )
    };
    let answered = async {
        working.admin.describe_topics(names.clone()).await.expect("an answer");
        began.elapsed()
    };
    let ((described, read, written, deleted), answered) = tokio::join!(hung, answered);

    assert!(answered < Duration::from_secs(3), "{answered:?}");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    for error in [described.err(), read.err(), written.err(), deleted.err()] {
        assert!(matches!(error, Some(Error::Call { .. })), "{error:?}");
    }
    hanging.kafka.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_ask_at_once_get_each_its_own_answer() {
    let broker = Broker::start();
    let names: Vec<String> = (0..20).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        broker.create(name).await;
    }
    let ask = async |name: &String| {
        let found = broker.admin.describe_topics(vec![name.clone(), "missing".to_owned()]).await.expect("an answer");
        assert_eq!(found.keys().collect::<Vec<_>>(), [name]);
    };
    let mut asking: Vec<_> = names.iter().map(|name| Box::pin(ask(name))).collect();
    // All of them begin before the first one ends.
    std::future::poll_fn(|context| {
        asking.retain_mut(|question| question.as_mut().poll(context).is_pending());
        if asking.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

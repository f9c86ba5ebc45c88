//! One scenario with one disturbance: processes of the operator, one after the other, until nothing is left to do.
//!
//! A process is a tokio runtime with a [`Context`] of its own. It ends as a crash does, at once and whatever it is about to
//! do: its future is dropped, and its runtime is left behind.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use sms_operator::{
    controller::{self, topics::owners::OWNERS_TOPIC},
    crd::SmsPipeline,
};

use crate::{
    faults::{Calls, Effect, Fault, Point},
    process::{Process, Servers, in_a_process},
    scenario::{Action, Scenario},
    stale::{self, Question},
    state::{Place, State, TOPICS},
};

/// After so many rounds a pipeline must be as wanted.
const MOST_ROUNDS: u32 = 40;

/// What does not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturbance {
    Nothing,
    /// One call; and what it asks, where its answer is an old one.
    Call(Point, Fault, Option<Question>),
    /// The watches of what was made show nothing.
    NoWatch,
    /// They show how it was before the user did anything.
    OldWatch,
    /// They do so for some rounds after each thing that the user does.
    LateWatch(u32),
    /// For some rounds the pipeline is handed to reconcile as it was before what the user did.
    OldPipeline(u32),
}

/// How a trial has ended.
pub struct Outcome {
    /// Everything that is compared.
    pub end: Result<String, String>,
    pub recorded: Vec<(Point, Effect)>,
    pub destroyed: BTreeSet<String>,
    pub has_struck: bool,
}

struct Trial<'a> {
    servers: &'a Servers,
    scenario: &'a Scenario,
    disturbance: &'a Disturbance,
    calls: Arc<Calls>,
    names: Vec<String>,
    /// Which of the scenario's actions is next, or under way.
    step: usize,
    has_acted: bool,
    has_begun: bool,
    /// How it was before what is disturbed.
    start: State,
    /// The pipeline as it was before the last thing that the user did.
    old: Option<SmsPipeline>,
    /// Which of its pipelines the user is concerned with.
    current: usize,
    /// Rounds since the last thing that the user did.
    rounds: u32,
}

pub fn run(servers: &Servers, number: usize, scenario: &Scenario, disturbance: &Disturbance) -> Outcome {
    let name = format!("trial-{number:04}x");
    let disturbed = match disturbance {
        Disturbance::Call(point, fault, _) => Some((point.clone(), *fault)),
        _ => None,
    };
    let calls = Arc::new(Calls::new(disturbed));
    calls.name(&servers.namespace, "NAMESPACE");
    calls.name(&name, "PIPELINE");
    let mut trial = Trial {
        servers,
        scenario,
        disturbance,
        calls: Arc::clone(&calls),
        names: vec![name.clone(), format!("{name}-next")],
        step: 0,
        has_acted: false,
        has_begun: false,
        start: State::default(),
        old: None,
        current: 0,
        rounds: 0,
    };
    let end = loop {
        let crashed = Arc::clone(&calls);
        let life = async {
            tokio::select! {
                end = trial.live() => Some(end),
                () = crashed.crashed() => None,
            }
        };
        if let Some(end) = in_a_process(life) {
            break end;
        }
    };
    in_a_process(trial.clean_up());
    Outcome {
        end: end.map(|text| calls.with_placeholders(&text)),
        recorded: calls.recorded(),
        destroyed: calls.destroyed(),
        has_struck: calls.has_struck(),
    }
}

impl Trial<'_> {
    fn name(&self) -> &str {
        &self.names[self.current]
    }

    fn pipelines(&self, client: &Client) -> Api<SmsPipeline> {
        Api::namespaced(client.clone(), &self.servers.namespace)
    }

    fn place<'a>(&'a self, process: &'a Process) -> Place<'a> {
        let (client, admin) = (&process.client, &process.admin);
        Place { client, admin, namespace: &self.servers.namespace, pipelines: &self.names }
    }

    /// Goes on until the scenario is at its end, and tells how everything is then.
    async fn live(&mut self) -> Result<String, String> {
        let process = Process::start(self.servers, &self.calls);
        let actions: Vec<_> = self.scenario.before.iter().chain(&self.scenario.disturbed).cloned().collect();
        while let Some(action) = actions.get(self.step) {
            if self.step == self.scenario.before.len() && !self.has_begun {
                self.begin(&process).await;
            }
            if !self.has_acted {
                self.act(&process, action).await;
                (self.has_acted, self.rounds) = (true, 0);
            }
            self.settle(&process).await?;
            (self.has_acted, self.step) = (false, self.step + 1);
        }
        let state = State::look(&self.place(&process)).await;
        Ok(state.text(&self.start))
    }

    /// From here on calls count, and one of them is disturbed.
    async fn begin(&mut self, process: &Process) {
        let stale = match self.disturbance {
            Disturbance::Call(_, Fault::Stale, Some(question)) => {
                let name = |text: &str| self.calls.without_placeholders(text);
                Some(stale::ask(&process.client, &process.admin, question, name).await)
            }
            _ => None,
        };
        self.start = State::look(&self.place(process)).await;
        self.has_begun = true;
        self.calls.begin(stale);
    }

    async fn act(&mut self, process: &Process, action: &Action) {
        let api = self.pipelines(&process.client);
        self.old = api.get_opt(self.name()).await.expect("the API server answers");
        match action {
            Action::Create(settings) => {
                self.rotate(process, "before").await;
                self.create(&api, settings).await;
                self.calls.name(&self.uid(), "UID");
            }
            Action::Patch(settings) => patch(&api, self.name(), settings).await,
            Action::Rotate => self.rotate(process, "after").await,
            Action::Delete => {
                api.delete(self.name(), &DeleteParams::default()).await.expect("it is deleted");
            }
            Action::Succeed => {
                self.current = 1;
                self.create(&api, &json!({})).await;
                self.calls.name(&self.uid(), "NEXT");
            }
        }
    }

    fn uid(&self) -> String {
        self.old.as_ref().and_then(ResourceExt::uid).expect("a pipeline that was made")
    }

    async fn create(&mut self, api: &Api<SmsPipeline>, settings: &Value) {
        let pipeline = pipeline(self.name(), &self.names[0], &self.servers.kafka);
        api.create(&PostParams::default(), &pipeline).await.expect("it is made");
        patch(api, self.name(), settings).await;
        self.old = Some(api.get(self.name()).await.expect("it is there"));
    }

    async fn rotate(&self, process: &Process, password: &str) {
        write_database_url(&process.client, &self.servers.namespace, &self.names[0], password).await;
    }

    /// Rounds, one after the other, until nothing is left to do.
    async fn settle(&mut self, process: &Process) -> Result<(), String> {
        let api = self.pipelines(&process.client);
        let mut last = String::new();
        while self.rounds < MOST_ROUNDS {
            let is_first = self.rounds == 0;
            let name = self.name().to_owned();
            process.until_quiet(&self.servers.namespace, &name).await;
            let Some(current) = api.get_opt(&name).await.expect("the API server answers") else {
                if is_first && let Some(old) = self.old_pipeline() {
                    self.rounds += 1;
                    let _ = controller::reconcile(Arc::new(old), Arc::clone(&process.context)).await;
                }
                // As `lag::watch` does.
                process.context.forget(&self.servers.namespace, &name);
                process.context.brokers.forget(&self.servers.namespace, &name);
                self.calls.idle().await;
                return Ok(());
            };
            if self.is_watch_told() {
                process.tell(&self.servers.namespace, &name).await;
            }
            let old = self.old_pipeline();
            let (is_current, pipeline) = (old.is_none(), old.unwrap_or(current));
            let (changes, has_struck) = (self.calls.changes(), self.calls.has_struck());
            self.rounds += 1;
            let ended = controller::reconcile(Arc::new(pipeline), Arc::clone(&process.context)).await;
            // What was told something else than how it is looks again within a minute.
            let is_undisturbed = is_current && self.calls.has_struck() == has_struck;
            let is_done = ended.is_ok() && is_undisturbed && self.calls.changes() == changes;
            last = format!("{ended:?}");
            if is_done && api.get_opt(&name).await.expect("the API server answers").is_some_and(|now| is_settled(&now))
            {
                return Ok(());
            }
        }
        let state = State::look(&self.place(process)).await;
        Err(format!(
            "not settled after {MOST_ROUNDS} rounds, the last of which gave {last}: {}",
            state.text(&self.start)
        ))
    }

    fn old_pipeline(&self) -> Option<SmsPipeline> {
        match self.disturbance {
            Disturbance::OldPipeline(rounds) if self.has_begun && self.rounds < *rounds => self.old.clone(),
            _ => None,
        }
    }

    fn is_watch_told(&self) -> bool {
        match self.disturbance {
            Disturbance::NoWatch => false,
            Disturbance::OldWatch => !self.has_begun,
            Disturbance::LateWatch(rounds) => !self.has_begun || self.rounds >= *rounds,
            Disturbance::Nothing | Disturbance::Call(..) | Disturbance::OldPipeline(_) => true,
        }
    }

    /// Leaves nothing to the brokers and the API server that the next trials would be slower for.
    async fn clean_up(&self) {
        let process = Process::start(self.servers, &self.calls);
        let api = self.pipelines(&process.client);
        let no_finalizers = json!({ "metadata": { "finalizers": null } });
        for name in &self.names {
            let _ = api.patch(name, &PatchParams::default(), &Patch::Merge(&no_finalizers)).await;
            let _ = api.delete(name, &DeleteParams::default()).await;
        }
        let secrets = Api::<Secret>::namespaced(process.client.clone(), &self.servers.namespace);
        let _ = secrets.delete(&format!("{}-db", self.names[0]), &DeleteParams::default()).await;
        let _ = process.admin.delete_topics(&TOPICS.map(|topic| format!("{}{topic}", self.names[0]))).await;
        for uid in ["UID", "NEXT"] {
            let uid = self.calls.without_placeholders(uid);
            let _ = process.admin.append_to_log(OWNERS_TOPIC, &format!("{}/{uid}", self.names[0]), None).await;
        }
    }
}

/// One that names the Secret and the topics of `first`.
pub fn pipeline(name: &str, first: &str, kafka: &str) -> SmsPipeline {
    let manifest = include_str!("../../../crds/examples/quickstart.yaml")
        .replace("name: notifications\n", &format!("name: {name}\n"))
        .replace("notifications-db", &format!("{first}-db"))
        .replace("kafka-bootstrap.kafka:9092", kafka)
        .replace("prefix: sms", &format!("prefix: {first}\n      partitionGrowth: Acknowledge"))
        .replace("partitions: 6", "partitions: 1");
    serde_yaml::from_str(&manifest).expect("the example is a pipeline")
}

/// The Secret that it names, of a database that is away.
pub async fn write_database_url(client: &Client, namespace: &str, first: &str, password: &str) {
    let name = format!("{first}-db");
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name },
        "stringData": { "uri": format!("postgresql://sms:{password}@127.0.0.1:1/sms") },
    });
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply("campaign").force();
    api.patch(&name, &parameters, &Patch::Apply(&secret)).await.expect("it is written");
}

async fn patch(api: &Api<SmsPipeline>, name: &str, settings: &Value) {
    let spec = json!({ "spec": settings });
    api.patch(name, &PatchParams::default(), &Patch::Merge(&spec)).await.expect("it is changed");
}

/// Whether the status tells of the spec as it is, and of no trouble but that no pod runs without nodes.
fn is_settled(pipeline: &SmsPipeline) -> bool {
    let Some(status) = &pipeline.status else { return false };
    let mut conditions = status.conditions.iter();
    let has_topics = conditions.any(|condition| condition.type_ == "TopicsReady" && condition.status == "True");
    has_topics && status.observed_generation == pipeline.metadata.generation
}

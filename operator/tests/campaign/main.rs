//! Whatever fails at whichever call of the operator: in the end everything is as if nothing had failed.
//!
//! Each scenario runs undisturbed once, and what it asks of the API server and of the brokers is written down. Then it runs
//! again for every one of these calls and every way in which it can go wrong, and for watches and caches that are behind.
//! The servers are real ones; the operator runs in this process, so that a call is stopped exactly where it shall be.
//! Afterwards everything must be as after the undisturbed run, and nothing may have been deleted or ended that the undisturbed
//! run leaves alone.
//!
//! Source: Sun et al., *Automatic Reliability Testing for Cluster Management Controllers* (Sieve, OSDI 2022), whose three
//! kinds of perturbation are these: intermediate states (a crash between two calls), stale states (old answers and late
//! watches), and unobserved states (what happened between two looks). What is checked is the eventually stable
//! reconciliation of Sun et al., *Anvil: Verifying Liveness of Cluster Management Controllers* (OSDI 2024): once failures
//! end, what is desired is reached and stays.

mod brokers;
mod faults;
mod hanging;
mod kubernetes;
mod process;
mod scenario;
mod stale;
mod state;
mod table;
mod trial;

use std::{
    collections::BTreeSet,
    io::{Write, stderr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, CustomResourceExt,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use sms_operator::crd::SmsPipeline;

use faults::Fault;
use process::{Servers, in_a_process};
use scenario::Scenario;
use table::Row;
use trial::{Disturbance, Outcome};

/// Of the whole campaign, one trial in so many is run where no more is asked for. A prime number, so that each kind of
/// fault is among them.
const SAMPLE: usize = 41;
/// How many trials run side by side: they wait more than they compute.
const AT_ONCE: usize = 6;

#[test]
fn whichever_call_fails_everything_ends_as_if_none_had_and_nothing_is_deleted_for_it() {
    let servers = in_a_process(servers());
    let scenarios = scenario::all();
    // Before all others, so that the topic of the claims is there for each of them.
    trial::run(&servers, 9999, &scenarios[0], &Disturbance::Nothing).end.expect("the first pipeline");
    let started = Instant::now();
    let undisturbed = side_by_side(&scenarios, |number, scenario| {
        let outcome = trial::run(&servers, number, scenario, &Disturbance::Nothing);
        assert!(outcome.end.is_ok(), "{}: {:?}", scenario.name, outcome.end);
        outcome
    });
    let trials: Vec<(usize, Disturbance)> = undisturbed
        .iter()
        .enumerate()
        .flat_map(|(index, outcome)| disturbances(outcome).into_iter().map(move |disturbance| (index, disturbance)))
        .collect();
    let whole = trials.len();
    let step = if is_whole() { 1 } else { SAMPLE };
    let trials: Vec<_> = trials.into_iter().step_by(step).collect();
    let rows: Vec<_> =
        scenarios.iter().zip(&undisturbed).map(|(scenario, outcome)| Row::new(scenario, outcome)).collect();
    let rows = Mutex::new(rows);
    let divergences = side_by_side(&trials, |number, (index, disturbance)| {
        let (scenario, expected) = (&scenarios[*index], &undisturbed[*index]);
        let outcome = trial::run(&servers, scenarios.len() + number, scenario, disturbance);
        let divergence = divergence(scenario, disturbance, expected, &outcome);
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows[*index].add(disturbance, outcome.has_struck, divergence.is_some());
        if let Some(divergence) = &divergence {
            tell(divergence);
        }
        divergence
    });
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    tell(&table::print(&rows, whole, started.elapsed()));
    let divergences = divergences.into_iter().flatten().count();
    assert_eq!(divergences, 0, "trials whose end differs, told above");
}

/// Everything that can go wrong once in a scenario whose calls are these.
fn disturbances(undisturbed: &Outcome) -> Vec<Disturbance> {
    let calls = undisturbed.recorded.iter().flat_map(|(point, effect)| {
        let question = match effect {
            faults::Effect::Read(question) => question.clone(),
            faults::Effect::Write | faults::Effect::Destroy => None,
        };
        effect.faults().iter().map(move |fault| {
            let question = question.clone().filter(|_| *fault == Fault::Stale);
            Disturbance::Call(point.clone(), *fault, question)
        })
    });
    let behind = (1..=3).flat_map(|rounds| [Disturbance::LateWatch(rounds), Disturbance::OldPipeline(rounds)]);
    calls.chain([Disturbance::NoWatch, Disturbance::OldWatch]).chain(behind).collect()
}

/// How a trial differs from the undisturbed run.
fn divergence(scenario: &Scenario, disturbance: &Disturbance, expected: &Outcome, found: &Outcome) -> Option<String> {
    let about = format!("DIVERGENCE in {:?} with {disturbance:?}", scenario.name);
    let too_much: BTreeSet<_> = found.destroyed.difference(&expected.destroyed).collect();
    let expected = expected.end.as_deref().unwrap_or_default();
    match &found.end {
        Err(error) => Some(format!("{about}: {error}")),
        Ok(end) if end != expected => {
            let difference = similar::TextDiff::from_lines(expected, end);
            Some(format!("{about}\n{}", difference.unified_diff().context_radius(3)))
        }
        Ok(_) if !too_much.is_empty() => Some(format!("{about}: it deletes or ends {too_much:?}")),
        Ok(_) => None,
    }
}

/// Runs `work` for each, some at the same time, and gives what came out in their order.
fn side_by_side<T: Sync, R: Send>(things: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(things.len()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(things.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(thing) = things.get(number) else { break };
                    let result = work(number, thing);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Not captured, so that the table shows also when all is well.
fn tell(text: &str) {
    writeln!(stderr(), "{text}").expect("standard error is open");
}

fn is_whole() -> bool {
    variable("CAMPAIGN") == "whole"
}

async fn servers() -> Servers {
    let read = Kubeconfig::read_from(variable("KUBECONFIG")).expect("a kubeconfig");
    let config =
        Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a usable kubeconfig");
    let client = Client::try_from(config.clone()).expect("a client");
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let definition = SmsPipeline::crd();
    let apply = PatchParams::apply("campaign").force();
    definitions.patch(SmsPipeline::crd_name(), &apply, &Patch::Apply(&definition)).await.expect("the CRD is installed");
    let is_established = kube::runtime::conditions::is_crd_established();
    let established = kube::runtime::wait::await_condition(definitions, SmsPipeline::crd_name(), is_established);
    let established = tokio::time::timeout(Duration::from_secs(30), established).await.expect("the CRD is served");
    established.expect("the API server answers");
    let namespace = format!("campaign-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let mut object = Namespace::default();
    object.metadata.name = Some(namespace.clone());
    Api::all(client).create(&PostParams::default(), &object).await.expect("the namespace is made");
    Servers { kubernetes: config, kafka: variable("KAFKA_BOOTSTRAP_SERVERS"), namespace }
}

fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place where the campaign learns of its servers")]
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with cargo xtask test"))
}

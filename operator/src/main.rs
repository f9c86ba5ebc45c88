//! The operator's executable: wiring only.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use kube::{
    Client, Config,
    runtime::reflector::{ObjectRef, Store},
};
use prometheus_client::registry::Registry;
use sms_operator::{
    brokers::Brokers,
    cli,
    config::{Cli, Command, Local, Run},
    controller::{
        self, Context,
        apply::{Made, Served},
        backoff::Backoff,
        events::Events,
        rotation::Rotations,
        secrets,
        seen::Seen,
        turns::Turns,
        validate::DefaultImages,
    },
    crd::SmsPipeline,
    lag,
    leadership::{Election, LEASE},
    local,
    metrics::Metrics,
    scaling::{KubernetesFleet, Metrics as ScalingMetrics, Scaler, Scaling, decisions},
};
use telemetry::{Health, Telemetry, error_chain, server, shutdown};
use uuid::Uuid;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(settings) => ended(run(settings).await),
        Command::Local(settings) => ended(run_local(settings).await),
        Command::Crd => cli::tell(cli::crd::run()),
        Command::Validate(settings) => cli::tell(cli::validate::run(&settings)),
        Command::Render(settings) => cli::tell(cli::render::run(&settings)),
        Command::Diff(settings) => cli::tell(Box::pin(cli::diff::run(&settings)).await),
        Command::Explain(settings) => cli::tell(cli::explain::run(&settings).await),
        Command::Simulate(settings) => cli::tell(cli::simulate::run(&settings)),
        Command::Completions { shell } => cli::tell(cli::completions::run(shell)),
    }
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-operator: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// How long the API server may let a round wait. One that has lost its power answers never, and a round holds up others.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a watch may tell nothing: more than the 290 s after which the API server ends one.
const WATCH_TIMEOUT: Duration = Duration::from_mins(5);

async fn run(settings: Run) -> anyhow::Result<()> {
    let listener = server::bind(settings.telemetry.metrics_address, "metrics and health (METRICS_ADDRESS)").await?;
    let telemetry = Telemetry::init("sms-operator", &settings.telemetry)?;
    let shutdown = shutdown::requested(&settings.telemetry)?;
    let (health, metrics, mut registry) = (Health::default(), Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let scaling = scaling(&mut registry);
    let kubernetes = health.check("kubernetes");
    let routes = decisions(Arc::clone(&scaling));
    let serving = tokio::spawn(server::serve_with(listener, registry, health, routes, shutdown.clone()));

    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = settings.watch_namespace, "starting");
    let mut config = Config::infer().await.context("found neither a kubeconfig nor a ServiceAccount to use")?;
    (config.read_timeout, config.reset_reader_on_write) = (Some(WATCH_TIMEOUT), true);
    let watching = Client::try_from(config.clone()).context("failed to set up a client of the API server")?;
    config.read_timeout = Some(ANSWER_TIMEOUT);
    let client = Client::try_from(config).context("failed to set up a client of the API server")?;
    let namespace = settings.watch_namespace.as_deref();
    let identity = format!("{}_{}", settings.identity, Uuid::new_v4());
    // Where all namespaces are looked after, the Lease is in the operator's own.
    let lease_namespace = namespace.unwrap_or(client.default_namespace());
    let election = Election::new(client.clone(), lease_namespace, LEASE, identity.clone());
    let mut lost = false;
    // One that waits is ready: it is there to take over.
    if let Some(installation) = election.won(|| kubernetes.up(), &shutdown).await {
        kubernetes.down("the SmsPipelines are not yet read");
        let context = Arc::new(Context {
            client: client.clone(),
            served: Served::default(),
            seen: Seen::default(),
            made: Made::default(),
            secrets_seen: secrets::Seen::default(),
            rotations: Rotations::default(),
            brokers: Brokers::new(Vec::new(), Arc::new(metrics.clone())),
            backoff: Backoff::default(),
            turns: Turns::default(),
            events: Events::new(client.clone(), identity),
            images: DefaultImages { api: settings.api_image, processor: settings.processor_image },
            metrics,
            installation,
            scaling,
        });
        let interval = Duration::from_secs(settings.lag_interval_seconds);
        let scaler = Scaler::new(Arc::clone(&context.scaling), KubernetesFleet::new(client.clone()), interval)
            .context("failed to set up an HTTP client")?;
        let (decided, woken) = tokio::sync::mpsc::unbounded_channel();
        let observing = |store: Store<SmsPipeline>| {
            let (context, shutdown) = (Arc::clone(&context), shutdown.clone());
            tokio::spawn(async move {
                let pipelines = || store.state();
                let news = |news: lag::News<'_>| match news {
                    lag::News::Gone { namespace, name } => context.forget(namespace, name),
                    // A controller that has ended needs no waking.
                    lag::News::Decided(pipeline) => drop(decided.send(ObjectRef::from_obj(pipeline))),
                };
                let (brokers, metrics) = (&context.brokers, &context.metrics);
                lag::watch(pipelines, brokers, metrics, &scaler, interval, news, shutdown).await;
            });
        };
        context.metrics.leads(true);
        let leading =
            controller::run(&watching, namespace, Arc::clone(&context), kubernetes, observing, woken, shutdown.clone());
        lost = tokio::select! {
            () = leading => false,
            () = election.lost() => true,
        };
        context.metrics.leads(false);
        if !lost {
            election.release().await;
        }
    }
    shutdown.cancel();
    serving.await??;
    telemetry.flush();
    if lost {
        bail!("this operator leads no longer: it ends, to begin anew as one that waits");
    }
    Ok(())
}

fn scaling(registry: &mut Registry) -> Arc<Scaling> {
    let metrics = ScalingMetrics::default();
    metrics.register(registry);
    Arc::new(Scaling::new(metrics))
}

async fn run_local(settings: Local) -> anyhow::Result<()> {
    let shared = settings.telemetry();
    let metrics = Metrics::default();
    let pipeline = local::Pipeline::open(&settings, &metrics).await?;
    let listener = server::bind(shared.metrics_address, "metrics and health (--metrics-address)").await?;
    let telemetry = Telemetry::init("sms-operator", &shared)?;
    let shutdown = shutdown::requested(&shared)?;
    let (health, mut registry) = (Health::default(), Registry::default());
    metrics.register(&mut registry);
    let scaling = scaling(&mut registry);
    let ready = health.check("pipeline");
    let routes = decisions(Arc::clone(&scaling));
    let serving = tokio::spawn(server::serve_with(listener, registry, health, routes, shutdown.clone()));
    let ended = pipeline.run(metrics, scaling, ready, shutdown.clone()).await;
    shutdown.cancel();
    serving.await??;
    telemetry.flush();
    ended
}

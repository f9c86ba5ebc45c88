//! The operator's executable: wiring only.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use kube::{Client, CustomResourceExt};
use prometheus_client::registry::Registry;
use sms_operator::{
    brokers::Brokers,
    cli,
    config::{Cli, Command, Local, Run},
    controller::{self, Context, apply::Served, backoff::Backoff, events::Events, validate::DefaultImages, within},
    crd::SmsPipeline,
    lag,
    leadership::Election,
    local,
    metrics::Metrics,
    yaml,
};
use telemetry::{Health, Telemetry, server, shutdown};
use uuid::Uuid;

/// The Lease of the operators that look after the same pipelines.
const LEASE: &str = "sms-operator";

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(settings) => ended(run(settings).await),
        Command::Local(settings) => ended(run_local(settings).await),
        Command::Crd => ended(print_crd()),
        Command::Validate(settings) => cli::tell(cli::validate::run(&settings)),
        Command::Render(settings) => cli::tell(cli::render::run(&settings)),
        Command::Diff(settings) => cli::tell(Box::pin(cli::diff::run(&settings)).await),
        Command::Simulate(settings) => cli::tell(cli::simulate::run(&settings)),
        Command::Completions { shell } => cli::tell(cli::completions::run(shell)),
    }
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_crd() -> anyhow::Result<()> {
    print!("{}", yaml::write(&SmsPipeline::crd()).context("failed to render the CRD")?);
    Ok(())
}

async fn run(settings: Run) -> anyhow::Result<()> {
    let listener = server::bind(settings.telemetry.metrics_address, "metrics and health (METRICS_ADDRESS)").await?;
    let telemetry = Telemetry::init("sms-operator", &settings.telemetry)?;
    let shutdown = shutdown::requested(&settings.telemetry)?;
    let (health, metrics, mut registry) = (Health::default(), Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let kubernetes = health.check("kubernetes");
    let serving = tokio::spawn(server::serve(listener, registry, health, shutdown.clone()));

    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = settings.watch_namespace, "starting");
    let client = Client::try_default().await.context("found neither a kubeconfig nor a ServiceAccount to use")?;
    let namespace = settings.watch_namespace.as_deref();
    let identity = format!("{}_{}", settings.identity, Uuid::new_v4());
    let context = Arc::new(Context {
        client: client.clone(),
        served: Served::default(),
        brokers: Brokers::default(),
        backoff: Backoff::default(),
        events: Events::new(client.clone(), identity.clone()),
        images: DefaultImages { api: settings.api_image, processor: settings.processor_image },
        metrics,
    });
    let interval = Duration::from_secs(settings.lag_interval_seconds);
    let observing = |store: kube::runtime::reflector::Store<SmsPipeline>| {
        let (context, shutdown) = (Arc::clone(&context), shutdown.clone());
        tokio::spawn(async move {
            let pipelines = || store.state().iter().map(|pipeline| SmsPipeline::clone(pipeline)).collect();
            let gone = |namespace: &str, name: &str| context.forget(namespace, name);
            lag::watch(pipelines, &context.brokers, &context.metrics, interval, gone, shutdown).await;
        });
    };
    // Where all namespaces are looked after, the Lease is in the operator's own.
    let lease_namespace = namespace.unwrap_or(client.default_namespace());
    let election = Election::new(client.clone(), lease_namespace, LEASE, identity);
    let mut lost = false;
    // One that waits is ready: it is there to take over.
    if election.won(|| kubernetes.up(), &shutdown).await {
        kubernetes.down("the SmsPipelines are not yet read");
        context.metrics.leads(true);
        let pipelines = within(&client, namespace);
        let leading =
            controller::run(pipelines, namespace, Arc::clone(&context), kubernetes, observing, shutdown.clone());
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

async fn run_local(settings: Local) -> anyhow::Result<()> {
    let shared = settings.telemetry();
    let pipeline = local::Pipeline::open(&settings).await?;
    let listener = server::bind(shared.metrics_address, "metrics and health (--metrics-address)").await?;
    let telemetry = Telemetry::init("sms-operator", &shared)?;
    let shutdown = shutdown::requested(&shared)?;
    let (health, metrics, mut registry) = (Health::default(), Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let ready = health.check("pipeline");
    let serving = tokio::spawn(server::serve(listener, registry, health, shutdown.clone()));
    pipeline.run(metrics, ready, shutdown.clone()).await;
    shutdown.cancel();
    serving.await??;
    telemetry.flush();
    Ok(())
}

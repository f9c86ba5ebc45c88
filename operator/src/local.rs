//! The operator without a cluster: the same resource as processes on one machine.
//!
//! Parsing, validation, `build`, topics and status are those of the cluster; only the places differ where
//! Secrets come from, where Deployments go and where the status is written.

mod fleet;
mod ordinals;
mod replica;
mod secrets;
mod supervisor;
mod translate;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use telemetry::Check;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{supervisor::Supervisor, translate::Places};
use crate::{
    brokers::Brokers,
    config::Local,
    controller::{
        build::build,
        dereference::reach_database,
        reasons::NOT_APPLIED,
        status::{self, Findings, Unapplied, Unusable},
        topics::{Topics, Unready},
        validate::{DefaultImages, ValidatedPipeline, validate},
    },
    crd::SmsPipeline,
    file, lag,
    metrics::{Metrics, ReconcileResult},
    scaling::{Scaler, Scaling},
};

/// How often the file and the replicas are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How soon topics that are not as wanted are looked at again, and how soon those that are.
const TOPICS_RETRY: Duration = Duration::from_secs(3);
const TOPICS_RESYNC: Duration = Duration::from_mins(1);

/// One pipeline on this machine.
pub struct Pipeline {
    file: PathBuf,
    status_file: PathBuf,
    secrets: PathBuf,
    /// The file's text when it was last read.
    text: String,
    current: SmsPipeline,
    /// What runs: the current one, or the one before it was paused.
    carried_out: Option<ValidatedPipeline>,
    brokers: Arc<Brokers>,
    supervisor: Supervisor,
    topics: Option<Result<Topics, Unready>>,
    topics_due: Instant,
    lag_interval: Duration,
}

impl Pipeline {
    /// Reads and checks everything that a user can have wrong, before anything is started.
    pub async fn open(settings: &Local, metrics: &Metrics) -> anyhow::Result<Self> {
        let text = fs::read_to_string(&settings.file)
            .with_context(|| format!("failed to read {}", settings.file.display()))?;
        let mut current = parse(&text, None)
            .map_err(|refused| anyhow!("{} is not a usable SmsPipeline:\n{refused}", settings.file.display()))?;
        current.metadata.generation = Some(1);
        for (address, flag) in
            [(settings.api_address, "--api-address"), (settings.internal_address, "--internal-address")]
        {
            tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}: choose another {flag}"))?;
        }
        let bin_dir = match &settings.bin_dir {
            Some(folder) => folder.clone(),
            None => own_folder().context("failed to find the folder of sms-operator; name it with --bin-dir")?,
        };
        for program in ["sms-api", "sms-processor"] {
            if !bin_dir.join(program).is_file() {
                bail!("{} has no executable {program}: build it, or name its folder with --bin-dir", bin_dir.display());
            }
        }
        let state_dir = &settings.state_dir;
        fs::create_dir_all(state_dir).with_context(|| format!("failed to make {}", state_dir.display()))?;
        let state_dir = state_dir.canonicalize().with_context(|| format!("failed to open {}", state_dir.display()))?;
        let log_format = format!("{:?}", settings.log_format).to_lowercase();
        let places = Places {
            bin_dir,
            secrets: state_dir.join("secrets"),
            api: settings.api_address,
            internal: settings.internal_address,
            connect_to: settings.connect_to.clone(),
            environment: BTreeMap::from([
                ("LOG_FORMAT".to_owned(), log_format),
                ("RUST_LOG".to_owned(), settings.log_filter.clone()),
                ("EXIT_ON_STDIN_CLOSE".to_owned(), "true".to_owned()),
            ]),
        };
        let replaced = settings.connect_to.iter().map(|pair| (pair.named.clone(), pair.used.clone())).collect();
        Ok(Self {
            file: settings.file.clone(),
            status_file: state_dir.join("status.json"),
            secrets: state_dir.join("secrets"),
            supervisor: Supervisor::new(places, settings.metrics_address, &state_dir)?,
            text,
            current,
            carried_out: None,
            brokers: Arc::new(Brokers::new(replaced, Arc::new(metrics.clone()))),
            topics: None,
            topics_due: Instant::now(),
            lag_interval: Duration::from_secs(settings.lag_interval_seconds),
        })
    }

    /// Runs until `shutdown`, then ends every replica.
    pub async fn run(
        mut self,
        metrics: Metrics,
        scaling: Arc<Scaling>,
        ready: Check,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let interval = self.lag_interval;
        let scaler = Scaler::new(Arc::clone(&scaling), self.supervisor.fleet(), interval)
            .context("failed to set up an HTTP client")?;
        let shown = Arc::new(Mutex::new(Arc::new(self.current.clone())));
        let lag = {
            let (shown, brokers) = (Arc::clone(&shown), Arc::clone(&self.brokers));
            let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
            tokio::spawn(async move {
                let pipelines = || vec![Arc::clone(&shown.lock().unwrap_or_else(PoisonError::into_inner))];
                // The next tick looks at what the autoscaler has decided.
                lag::watch(pipelines, &brokers, &metrics, &scaler, interval, |_| {}, shutdown).await;
            })
        };
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.read_edit();
            match Box::pin(self.reconcile(&metrics, &scaling)).await {
                Ok(()) => metrics.reconciled(ReconcileResult::done),
                Err(error) => {
                    metrics.reconciled(ReconcileResult::failed);
                    tracing::error!(error = format!("{error:#}"), "reconcile failed");
                }
            }
            let status = self.current.status.clone().unwrap_or_default();
            if status::is_ready(&status) {
                ready.up();
            } else {
                ready.down(status::explanation(&status));
            }
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(self.current.clone());
        }
        self.supervisor.stop_all().await;
        if let Err(error) = lag.await {
            tracing::error!(%error, "watching lag failed");
        }
        Ok(())
    }

    /// Takes an edited file over. One that is refused changes nothing: what was running keeps running.
    fn read_edit(&mut self) {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) if text == self.text => return,
            Ok(text) => text,
            // An editor may have moved the file away for a moment; deleting it is no request to stop.
            Err(_) => return,
        };
        match parse(&text, Some(&self.current)) {
            Ok(mut edited) => {
                tracing::info!(file = %self.file.display(), "the file was edited");
                edited.metadata.generation = self.current.metadata.generation.map(|generation| generation + 1);
                edited.status = self.current.status.take();
                self.current = edited;
                self.topics_due = Instant::now();
            }
            Err(refused) => {
                tracing::error!(file = %self.file.display(), error = %refused, "the edit was refused; what ran before goes on");
            }
        }
        self.text = text;
    }

    async fn reconcile(&mut self, metrics: &Metrics, scaling: &Scaling) -> anyhow::Result<()> {
        let images = DefaultImages { api: String::new(), processor: String::new() };
        let (name, namespace) = (self.current.name_any(), self.current.namespace().unwrap_or_default());
        let mut findings = Findings { paused: self.current.paused_by(), ..Findings::default() };
        let mut failed = None;
        let validated = match secrets::dereference(&self.secrets, &self.current).await {
            Ok(mut referenced) => {
                referenced.processors = scaling.asked_for(&self.current, self.supervisor.processors());
                validate(&self.current, &referenced, &images).map_err(Unusable::Invalid)
            }
            Err(error) => {
                let unread = Unusable::Unread(format!("{error:#}"));
                failed = Some(error);
                Err(unread)
            }
        };
        // Only now, so that no count is carried out before the decision that led to it is told.
        findings.scaling = Some(scaling.finding(&self.current));
        match validated {
            Err(unusable) => findings.usable = Some(Err(unusable)),
            Ok(validated) => {
                findings.usable = Some(Ok(()));
                let database = validated.database.clone();
                if findings.paused.is_none() {
                    findings.topics = Some(self.topics(&validated).await);
                    self.carried_out = Some(validated);
                }
                // Also what is paused: that a replica which ends is started again is no change.
                if let Some(pipeline) = &self.carried_out {
                    findings.workloads = Some(match self.supervisor.run(&build(pipeline)).await {
                        Ok(workloads) => {
                            metrics.replicas(&namespace, &name, workloads.api.existing, workloads.processor.existing);
                            Ok(workloads)
                        }
                        Err(error) => {
                            let message = format!("{error:#}");
                            failed = Some(error);
                            Err(Unapplied { reason: NOT_APPLIED, message })
                        }
                    });
                }
                if findings.lacks_api() {
                    findings.database_unreachable = reach_database(&database).await;
                }
            }
        }
        let before = self.current.status.as_ref();
        let status = status::summarize(&name, self.current.metadata.generation, before, &findings, Timestamp::now());
        if before != Some(&status) {
            self.current.status = Some(status);
            let text = serde_json::to_string_pretty(&self.current).context("failed to render the status")?;
            replace_file(&self.status_file, &text)?;
        }
        self.topics = findings.topics;
        failed.map_or(Ok(()), Err)
    }

    /// The topics, looked at again only when that is due: a broker need not be asked each second.
    async fn topics(&mut self, pipeline: &ValidatedPipeline) -> Result<Topics, Unready> {
        match self.topics.take() {
            Some(known) if Instant::now() < self.topics_due => known,
            Some(_) | None => {
                let topics = self.brokers.ensure_topics(&pipeline.kafka).await;
                self.topics_due = Instant::now() + if topics.is_ok() { TOPICS_RESYNC } else { TOPICS_RETRY };
                topics
            }
        }
    }
}

/// The pipeline in `text`, with what an API server would add to it.
fn parse(text: &str, before: Option<&SmsPipeline>) -> Result<SmsPipeline, file::Refused> {
    let mut pipeline = file::parse(text, before)?;
    pipeline.meta_mut().namespace.get_or_insert_with(|| file::DEFAULT_NAMESPACE.to_owned());
    pipeline.meta_mut().uid = Some(format!("local-{}", pipeline.name_any()));
    Ok(pipeline)
}

/// Replaces a file in one step, so that no reader finds half of it.
fn replace_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

fn own_folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new("/")).to_owned())
}

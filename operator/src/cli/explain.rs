//! `explain`: how the number of processors of a pipeline was decided, in words and numbers, and whether the same inputs still
//! lead to the same answer.

use std::{fmt::Write, fs, path::Path, time::Duration};

use anyhow::{Context, bail};
use autoscaler::{Recorded, replay};
use axum::http::Request;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::ListParams};
use telemetry::error_chain;

use super::{Answer, Outcome, read};
use crate::{config::Explain, leadership::LEASE, scaling::decisions_path};

/// How long an operator may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the decisions, the last one at the end.
pub async fn run(settings: &Explain) -> anyhow::Result<Answer> {
    let text = match settings.from.as_deref() {
        Some(from) if from.starts_with("http://") || from.starts_with("https://") => {
            let namespace = settings.namespace.as_deref().unwrap_or("default");
            ask(&format!("{}{}", from.trim_end_matches('/'), path(settings, namespace))).await?
        }
        Some(file) => read(Path::new(file))?.1,
        None => ask_leader(settings).await?,
    };
    if let Some(file) = &settings.save {
        fs::write(file, &text).with_context(|| format!("failed to write {}", file.display()))?;
    }
    explain(&settings.pipeline, &text)
}

fn path(settings: &Explain, namespace: &str) -> String {
    format!("{}?last={}", decisions_path(namespace, &settings.pipeline), settings.last)
}

async fn ask(url: &str) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().context("failed to set up an HTTP client")?;
    let answer = client.get(url).send().await.with_context(|| format!("no operator answers at {url}"))?;
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    if !status.is_success() {
        bail!("{url} answers {status}: {text}");
    }
    Ok(text)
}

/// Asks the operator that leads, through the API server: it has the address of every pod.
async fn ask_leader(settings: &Explain) -> anyhow::Result<String> {
    let client = Client::try_default().await.context("found neither a kubeconfig nor a ServiceAccount to use")?;
    let namespace = settings.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
    let leases = match &settings.operator_namespace {
        Some(operators) => Api::<Lease>::namespaced(client.clone(), operators),
        None => Api::<Lease>::all(client.clone()),
    };
    let leases = leases
        .list(&named)
        .await
        .context("failed to find the operator: name its namespace with --operator-namespace")?;
    let mut refusals = String::new();
    for lease in leases {
        let (operators, holder) = (lease.metadata.namespace, lease.spec.and_then(|spec| spec.holder_identity));
        let (Some(operators), Some(holder)) = (operators, holder.filter(|holder| !holder.is_empty())) else { continue };
        let pod = holder.rsplit_once('_').map_or(holder.as_str(), |(pod, _)| pod);
        let url = format!("/api/v1/namespaces/{operators}/pods/{pod}:9090/proxy{}", path(settings, &namespace));
        let request = Request::get(url).body(Vec::new()).context("failed to make a request")?;
        match tokio::time::timeout(TIMEOUT, client.request_text(request)).await {
            Ok(Ok(text)) => return Ok(text),
            Ok(Err(error)) => {
                let _ = write!(refusals, "\npod {operators}/{pod}: {}", error_chain(&error));
            }
            Err(_) => {
                let _ = write!(refusals, "\npod {operators}/{pod}: no answer within {TIMEOUT:?}");
            }
        }
    }
    bail!(
        "no operator tells of SmsPipeline {namespace}/{}: reach one with kubectl port-forward and --from{refusals}",
        settings.pipeline
    )
}

fn explain(pipeline: &str, text: &str) -> anyhow::Result<Answer> {
    let recorded: Vec<Recorded> = serde_json::from_str(text).context("what was read is no record of decisions")?;
    if recorded.is_empty() {
        bail!("nothing was decided yet about {pipeline}");
    }
    let mut answer = Answer::default();
    for one in &recorded {
        let decision = &one.decision;
        let _ = writeln!(answer.printed, "{}  {}", decision.at, decision.text);
        let age = |signal: &autoscaler::SignalAge| match signal.age_seconds {
            Some(age) => format!("{} {age:.1} s", signal.name),
            None => format!("{} unknown", signal.name),
        };
        let ages: Vec<_> = decision.signals.iter().map(age).collect();
        let _ = writeln!(answer.printed, "  age of the signals: {}", ages.join(", "));
        let again = replay(one);
        if serde_json::to_string(&again)? != serde_json::to_string(decision)? {
            let _ = writeln!(answer.printed, "  THIS VERSION DECIDES OTHERWISE: {}", again.text);
            answer.outcome = Outcome::Found;
        }
    }
    let _ = writeln!(
        answer.notes,
        "{} decisions about {pipeline}; decided again from what was known then{}",
        recorded.len(),
        if answer.outcome == Outcome::Good { ", each gave the same answer" } else { ", some gave another answer" },
    );
    Ok(answer)
}

//! Logs on standard output and, where an endpoint is set, traces over OTLP.

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::Settings;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// Keeps the way to the trace collector open; spans still buffered are sent by [`Telemetry::flush`].
#[derive(Debug)]
pub struct Telemetry {
    tracer_provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets up logs and traces for the whole process; called once, in `main`, inside the async runtime.
    pub fn init(service: &'static str, settings: &Settings) -> anyhow::Result<Self> {
        let filter = filter(&settings.log_filter)?;
        let lines = match settings.log_format {
            LogFormat::Json => {
                tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).boxed()
            }
            LogFormat::Pretty => tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).boxed(),
        };
        let provider = settings
            .otlp_endpoint
            .as_deref()
            .map(|endpoint| tracer_provider(service, endpoint, settings.trace_sample_percent))
            .transpose();
        // Traces are told of, never died of: the service's own work needs no collector.
        let (tracer_provider, unusable) = match provider {
            Ok(provider) => (provider, None),
            Err(error) => (None, Some(error)),
        };
        let spans = tracer_provider
            .as_ref()
            .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            // A filter of its own: fewer log lines must not mean fewer traces.
            .with(spans.with_filter(LevelFilter::INFO))
            .try_init()
            .context("logging is already set up in this process")?;
        if let Some(error) = unusable {
            tracing::error!(error = format!("{error:#}"), "no traces are sent");
        }
        Ok(Self { tracer_provider })
    }

    /// Sends the spans that still wait; the last act of `main`.
    pub fn flush(self) {
        if let Some(provider) = self.tracer_provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

/// Which lines are written. Whatever is asked for of a target, an answer of a Kubernetes API server is not among them: its client
/// warns of one that it cannot read by quoting all of it, and it may be a Secret.
fn filter(asked: &str) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::try_new(asked).with_context(|| format!("invalid log filter {asked:?}"))?;
    Ok(filter.add_directive("kube_client::client=error".parse()?))
}

fn tracer_provider(service: &'static str, endpoint: &str, sample_percent: u8) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("invalid OTLP endpoint {endpoint:?}"))?;
    let share = f64::from(sample_percent) / 100.0;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_answer_of_an_api_server_is_quoted_whatever_is_asked_for() {
        for asked in ["info", "trace", "info,kube_client=debug", "info,kube_client::client=trace"] {
            let written = Written::default();
            let writer = written.clone();
            let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
            let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter(asked).expect("a filter")));
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "kube_client::client", "hunter2, expected value at line 1 column 1");
                tracing::error!(target: "sms_operator", "told");
            });
            let written = written.0.lock().expect("nobody panicked").clone();
            let written = String::from_utf8(written).expect("text");
            assert!(!written.contains("hunter2") && written.contains("told"), "{asked}: {written}");
        }
    }
}

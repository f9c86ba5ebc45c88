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
        let filter = EnvFilter::try_new(&settings.log_filter)
            .with_context(|| format!("invalid log filter {:?}", settings.log_filter))?;
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

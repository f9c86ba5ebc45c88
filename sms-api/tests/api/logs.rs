//! What this process logs, kept so that tests can read it.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::{self, format::FmtSpan},
    layer::SubscriberExt,
};

use crate::replica::eventually;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Written;

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs and traces everything; traces go nowhere, but they are made. One subscriber for all tests: one per test
/// would miss spans that other tests' threads met first.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tracer = SdkTracerProvider::builder().build().tracer("tests");
        let spans = tracing_opentelemetry::layer().with_tracer(tracer);
        let lines = fmt::layer().json().with_span_events(FmtSpan::CLOSE).with_writer(|| Written);
        let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(spans).with(lines);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else sets it");
    });
}

pub fn text() -> String {
    String::from_utf8(WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("logs are UTF-8")
}

/// The span of the request that has this id, once it is closed.
pub async fn span_of_request(id: &str) -> Value {
    eventually("the request's span", async || {
        text().lines().filter(|line| line.contains(id)).find_map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("a line is JSON");
            (line["span"]["request_id"] == id).then(|| line["span"].take())
        })
    })
    .await
}

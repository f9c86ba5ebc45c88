use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, any_value::Value},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// An OTLP collector that keeps what it is sent.
pub struct Collector {
    /// Where it listens.
    pub endpoint: String,
    spans: Arc<Mutex<Vec<RecordedSpan>>>,
    serving: JoinHandle<()>,
}

/// One span as a service sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSpan {
    /// `service.name` of the sender.
    pub service: String,
    /// Name of the span.
    pub name: String,
    /// The trace that it belongs to.
    pub trace: Vec<u8>,
    /// Its id.
    pub span: Vec<u8>,
    /// The span that caused it; empty at the root.
    pub parent: Vec<u8>,
}

struct Recorder(Arc<Mutex<Vec<RecordedSpan>>>);

impl Collector {
    /// Starts a collector on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let spans = Arc::<Mutex<Vec<RecordedSpan>>>::default();
        let service = TraceServiceServer::new(Recorder(Arc::clone(&spans)));
        let serving = tokio::spawn(async move {
            let served = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)).await;
            served.expect("the collector serves");
        });
        Self { endpoint: format!("http://{address}"), spans, serving }
    }

    /// The spans sent so far.
    pub fn spans(&self) -> Vec<RecordedSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tonic::async_trait]
impl TraceService for Recorder {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = match service.and_then(|attribute| attribute.value) {
                Some(AnyValue { value: Some(Value::StringValue(name)) }) => name,
                Some(_) | None => String::new(),
            };
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let recorded = spans.map(|span| RecordedSpan {
                service: service.clone(),
                name: span.name,
                trace: span.trace_id,
                span: span.span_id,
                parent: span.parent_span_id,
            });
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(recorded);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

//! HTTP/1.1 and HTTP/2 on one port, within bounds that axum's own server does not have: how many connections there are,
//! and how long one may do nothing.

use std::{future, io, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::routes::Api;

/// How many connections, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many may be open; further ones wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, the pause before it included. Longer than the minute for which load
    /// balancers keep idle connections: whoever closes first must be the one who knows of no request under way.
    pub head: Duration,
}

/// For a pod of the usual size: an idle connection takes some 20 KiB.
pub const LIMITS: Limits = Limits { connections: 4096, head: Duration::from_secs(75) };

/// How long to wait where the machine has no more file descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_secs(1);

/// Serves until `stopping`, and then until every request that has begun is answered.
pub async fn serve(listener: TcpListener, api: Api, limits: Limits, stopping: CancellationToken) {
    let mut protocols = Builder::new(TokioExecutor::new());
    protocols.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    protocols.http2().timer(TokioTimer::new()).keep_alive_interval(limits.head).max_concurrent_streams(256);
    let server = Server { protocols, api, limits, open: GracefulShutdown::new() };
    let places = Arc::new(Semaphore::new(limits.connections));
    let accept_all = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the places");
            match listener.accept().await {
                Ok((connection, _)) => server.answer(connection, place),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections, trying again");
                    sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    };
    stopping.run_until_cancelled(accept_all).await;
    // So that whoever comes now is refused at once and turns to another replica.
    drop(listener);
    server.open.shutdown().await;
}

struct Server {
    protocols: Builder<TokioExecutor>,
    api: Api,
    limits: Limits,
    open: GracefulShutdown,
}

impl Server {
    /// Answers the requests of one connection in a task of its own.
    fn answer(&self, connection: TcpStream, place: OwnedSemaphorePermit) {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let (asked, head) = (Arc::new(Notify::new()), self.limits.head);
        let first_request = Arc::clone(&asked);
        let service = ServiceExt::<Request>::map_request(self.api.clone(), move |request: Request<Incoming>| {
            asked.notify_one();
            request.map(Body::new)
        });
        let connection = self.protocols.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
        let connection = self.open.watch(connection.into_owned());
        tokio::spawn(async move {
            // hyper's timeout begins when it knows which of the protocols a client speaks, if it ever says.
            let silence = async {
                if timeout(head, first_request.notified()).await.is_ok() {
                    future::pending::<()>().await;
                }
            };
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                },
                () = silence => tracing::debug!("a connection on which nothing was asked is closed"),
            }
            drop(place);
        });
    }
}

/// Such errors say nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

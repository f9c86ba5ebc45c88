//! When a process should end.

use std::io::Read;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::Settings;

/// A token that is cancelled on SIGTERM, on SIGINT and, where the settings say so, when standard input closes.
pub fn requested(settings: &Settings) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let exit_on_stdin_close = settings.exit_on_stdin_close;
    let token = CancellationToken::new();
    let requested = token.clone();
    tokio::spawn(async move {
        let reason = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = standard_input_closed(exit_on_stdin_close) => "standard input closed",
        };
        tracing::info!(reason, "shutting down");
        requested.cancel();
    });
    Ok(token)
}

/// Reads on a thread of its own: the runtime would wait at its end for a blocking read that never returns.
async fn standard_input_closed(watched: bool) {
    if !watched {
        return std::future::pending().await;
    }
    let (closed, when_closed) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        // The receiver is gone only when the process ends anyway.
        let _ = closed.send(());
    });
    let _ = when_closed.await;
}

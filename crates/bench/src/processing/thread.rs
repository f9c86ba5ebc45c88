//! Work that blocks, beside the async runtime.

use std::thread;

use anyhow::Context;
use tokio::sync::oneshot;

/// Runs `work` on a thread of its own. Not one of the runtime's: it would be waited for when the benchmark is interrupted,
/// and librdkafka may wait for minutes for a Kafka that has stopped.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    let (done, result) = oneshot::channel();
    thread::spawn(move || {
        // An error means that nobody waits any more.
        let _ = done.send(work());
    });
    result.await.context("a thread of the benchmark panicked")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_work_returns_comes_back_and_a_panic_is_an_error() {
        assert_eq!(run(|| Ok(7)).await.expect("it works"), 7);
        assert!(run::<()>(|| panic!("on purpose")).await.is_err());
    }
}

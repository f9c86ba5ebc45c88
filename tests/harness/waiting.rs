use std::time::{Duration, Instant};

/// How often a condition is looked at.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `probe` gives a value, and says what was waited for when it does not in time.
pub async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

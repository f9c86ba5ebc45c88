//! Where pipelines wait for the Kafka cluster that they share.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// How many pipelines are served at once. More would only wait for each other at the brokers, until their calls had taken
/// too long.
const AT_ONCE: usize = 32;
/// After so long without an answer to anybody, whoever waits is told so.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pipelines of one Kafka cluster that are served or wait for it.
pub(super) struct Line {
    places: Semaphore,
    /// When the brokers last did what somebody asked for.
    answered: Mutex<Instant>,
}

impl Default for Line {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), answered: Mutex::new(Instant::now()) }
    }
}

impl Line {
    /// What `call` gives, made when it is this one's turn. Where the brokers answer nobody, whoever waits does not wait for all
    /// who came before.
    pub(super) async fn served<T, E: From<kafka::Error>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let _place = self.place().await?;
        let result = call.await;
        if result.is_ok() {
            *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        result
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, kafka::Error> {
        let mut place = pin!(self.places.acquire());
        loop {
            match timeout(PATIENCE, &mut place).await {
                Ok(Ok(place)) => return Ok(place),
                Err(_) if self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < PATIENCE => {}
                Ok(Err(_)) | Err(_) => {
                    let reason = format!(
                        "no answer to anybody for {} s, and {AT_ONCE} other pipelines wait for one",
                        PATIENCE.as_secs()
                    );
                    return Err(kafka::Error::Call { call: "DescribeTopics", reason });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use futures::future::join_all;

    use super::*;

    async fn hanging() -> Result<(), kafka::Error> {
        future::pending().await
    }

    async fn slow() -> Result<(), kafka::Error> {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_brokers_that_answer_nobody_is_told_so() {
        let line = Line::default();
        let hanging = join_all((0..AT_ONCE).map(|_| line.served(hanging())));
        let (begin, waiting) = (Instant::now(), line.served(slow()));
        let told = tokio::select! {
            biased;
            _ = hanging => panic!("nothing answers"),
            told = waiting => told.expect_err("there is no place").to_string(),
        };
        assert!(told.contains("no answer to anybody for 15 s"), "{told}");
        assert_eq!(begin.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn as_long_as_others_are_answered_whoever_waits_waits_for_its_turn() {
        let line = Line::default();
        let (begin, rounds) = (Instant::now(), 6);
        let served = join_all((0..rounds * AT_ONCE).map(|_| line.served(slow()))).await;
        assert!(served.iter().all(Result::is_ok));
        assert_eq!(begin.elapsed().as_secs(), 60, "{rounds} times {AT_ONCE} of them, 10 s each");
    }
}

//! How many rounds are at work at once. One that waits for brokers or a database takes no place meanwhile, so that however
//! many of them hang, the pipelines of others go on.

use tokio::sync::{Semaphore, SemaphorePermit};

/// An operator that begins has a round due for every pipeline. All at once would keep the API server from answering the
/// renewal of the Lease, and hold the objects of all pipelines in memory.
const AT_ONCE: usize = 32;

/// The places for rounds at work.
#[derive(Debug)]
pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self::new(AT_ONCE)
    }
}

impl Turns {
    fn new(at_once: usize) -> Self {
        Self(Semaphore::new(at_once))
    }

    /// Waits for a place. Whoever has waited longest is next.
    pub(super) async fn take(&self) -> Turn<'_> {
        Turn { turns: self, place: self.place().await }
    }

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // Only a closed semaphore refuses, and nobody closes this one.
        self.0.acquire().await.ok()
    }
}

/// The place of one round.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    place: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Lets others work until [`Turn::again`].
    pub(super) fn rest(&mut self) {
        self.place = None;
    }

    /// Waits for a place after a rest.
    pub(super) async fn again(&mut self) {
        if self.place.is_none() {
            self.place = self.turns.place().await;
        }
    }

    /// Lets others work until `waiting` has come to its end.
    pub(super) async fn resting<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        self.rest();
        let waited = waiting.await;
        self.again().await;
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::{future, pin::pin};

    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn a_round_that_waits_for_a_broker_gives_its_place_to_another() {
        let turns = Turns::new(1);
        let mut hanging = turns.take().await;
        assert!(turns.take().now_or_never().is_none(), "the only place is taken");
        let mut waiting = pin!(hanging.resting(future::pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        assert!(turns.take().now_or_never().is_some(), "free while the broker hangs");
    }

    #[tokio::test]
    async fn a_round_whose_broker_has_answered_waits_for_its_turn() {
        let turns = Turns::new(1);
        let mut first = turns.take().await;
        first.rest();
        let second = turns.take().await;
        let mut again = pin!(first.again());
        assert!(poll!(&mut again).is_pending());
        drop(second);
        assert!(poll!(&mut again).is_ready());
    }
}

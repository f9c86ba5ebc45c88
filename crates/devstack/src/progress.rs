//! How a slow step tells what it is doing, without knowing who looks on.

/// Hears of slow work. `xtask` draws it, tests mostly use [`Silent`].
pub trait Progress {
    /// A new step began, for instance "fetching PostgreSQL 18.4.0".
    fn step(&self, title: &str);

    /// The current step moved on. `total` is `None` while nobody knows it.
    fn advance(&self, done: u64, total: Option<u64>, detail: &str);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _title: &str) {}

    fn advance(&self, _done: u64, _total: Option<u64>, _detail: &str) {}
}

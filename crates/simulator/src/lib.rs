//! Plays traces of traffic through the rule of the autoscaler and through the formulas of others.
//!
//! The rule is the very code that runs in production; the world around it is a model: partitions with queues, pods that take
//! time to start, a group that pauses when its members change, a provider with limits. One second is one step, every random
//! number comes from a seed, and only `+ − × ÷ √` are used on fractions, so a run gives the same figures on every machine.
//!
//! One file per question: what happens (`scenario`, `world`), who decides (`policy`), how one run goes (`run`), what came of
//! it (`outcome`), and how that is shown (`table`, `plot`, `document`).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of records, replicas and seconds are far below 2^53 and never negative"
)]

pub mod document;
mod outcome;
pub mod plot;
mod policy;
mod random;
mod run;
mod scenario;
mod sensitivity;
mod table;
mod world;

pub use outcome::{Outcome, Sample};
pub use policy::{ALL as POLICIES, PolicyName, UnknownPolicy};
pub use run::{Comparison, compare, run};
pub use scenario::{InvalidScenario, NAMES as TRACES, Scenario, UnknownTrace};
pub use table::comparison as table;

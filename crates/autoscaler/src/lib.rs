//! How many processors there should be: the rule of the autoscaler.
//!
//! Pure: [`decide`] takes settings, signals and what it remembers, and gives a [`Decision`] and what to remember. It reads no
//! clock, network or environment, so a recorded decision is [replayed](replay) to the same answer, and the simulator plays
//! traces through this very code.
//!
//! The rule in short, with λ records coming each second, `T` the time within which a backlog is to be gone and μ what one
//! replica does each second with all its slots taken:
//!
//! ```text
//! need = (backlog ÷ T + λ · pause ÷ T) ÷ 0.9 + λ ÷ utilization
//! n    = the smallest count whose fullest replica, with ⌈P ÷ n⌉ of P partitions, has a share of the need that is at most μ
//! ```
//!
//! One file per question: what the signals say (`measure`), what a replica can do (`capacity`), what is needed (`need`), what
//! more replicas cannot help (`partitions`, `provider`, `effect`), which count that is (`formula`), whether now is the time
//! (`gate`, `patience`, `choice`, `window`), what would be if it were done (`preview`), what is told and for how long
//! (`lasting`), and all of it together (`rule`).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of records and replicas are far below 2^53"
)]
#![cfg_attr(test, expect(clippy::cast_sign_loss, reason = "what tests count is never negative"))]

mod capacity;
mod choice;
mod decision;
mod effect;
mod formula;
mod gate;
mod lasting;
mod measure;
mod memory;
mod need;
mod partitions;
mod patience;
mod preview;
mod provider;
mod record;
mod rule;
mod settings;
mod signals;
mod text;
mod window;

pub use capacity::Capacity;
pub use decision::{Acting, Bound, Decision, Finding, Reason, SignalAge, Terms};
pub use effect::{Step, Useless};
pub use lasting::Lasting;
pub use measure::PodSums;
pub use memory::Memory;
pub use need::steps;
pub use partitions::PartitionMemory;
pub use record::{Decisions, Recorded, replay};
pub use rule::decide;
pub use settings::{InvalidSettings, Mode, Settings};
pub use signals::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor, Signal, Signals};
pub use text::{grouped, number};
pub use window::Window;

//! What is only told, in a dry run or while the count is held.
//!
//! It goes on from what was told before, as it would if that had been done: otherwise noise between two counts would be told
//! as a step up again and again, and of steps down only the first. Where something is unknown or waited for, it is the real
//! count that stays. No record waits for a count that is only told, so it follows each peak at once.

use std::cmp::Ordering;

use crate::{
    decision::{Decision, Reason},
    settings::Settings,
};

/// Why a count that is only told is not the real one, which is where people look at it from.
pub(crate) fn reason(settings: &Settings, decision: &Decision) -> Reason {
    let Decision { current, desired, reason, .. } = *decision;
    match (desired.cmp(&current), reason) {
        (Ordering::Greater, _) if current < settings.min_replicas && desired == settings.min_replicas => {
            Reason::BelowMinimum
        }
        (Ordering::Greater, _) if current == 0 => Reason::Wake,
        (Ordering::Greater, _) => Reason::ScaleUp,
        (Ordering::Less, _) if current > settings.max_replicas && desired == settings.max_replicas => {
            Reason::AboveMaximum
        }
        (Ordering::Less, _) if desired == 0 => Reason::ScaleToZero,
        (Ordering::Less, _) => Reason::ScaleDown,
        // There were more or fewer in what was told until now.
        (
            Ordering::Equal,
            Reason::ScaleUp
            | Reason::ScaleDown
            | Reason::Wake
            | Reason::ScaleToZero
            | Reason::BelowMinimum
            | Reason::AboveMaximum,
        ) => Reason::Steady,
        (Ordering::Equal, reason) => reason,
    }
}

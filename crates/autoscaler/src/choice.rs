//! What is done now of what is recommended: waiting, trying one step at a time, and going down slowly.

use std::time::Duration;

use crate::{
    decision::{Bound, Reason},
    gate::{self, Overdue, Wait},
    memory::Memory,
    need::Demand,
    patience::Patience,
    settings::Settings,
    signals::Signals,
};

/// What is to be chosen from.
pub(crate) struct Choice {
    /// The count to go on from.
    pub current: u32,
    pub count: u32,
    pub bound: Bound,
    /// For how long records may wait before replicas are added; none where that is only told.
    pub patience: Option<Patience>,
    pub is_behind: bool,
    pub is_rate_known: bool,
    /// Whether records have been finished since the last look.
    pub is_at_work: bool,
    pub range: (u32, u32),
    pub unfinished: u64,
}

/// From what is recommended to what is done now.
pub(crate) fn choose(
    settings: &Settings,
    signals: &Signals,
    next: &mut Memory,
    demand: &Demand,
    silent: &[String],
    choice: &Choice,
    wait: Option<Wait>,
) -> (u32, Reason, Option<String>) {
    let current = choice.current;
    if current == 0 {
        next.held_since = None;
        return if choice.unfinished > 0 {
            (choice.count.max(1), Reason::Wake, None)
        } else {
            (0, Reason::Steady, None)
        };
    }
    let is_at_rest = wait.is_none();
    if let Some(wait) = wait {
        let (desired, reason) = hold(settings, signals, next, &wait);
        let is_overdue = reason == Reason::Fallback;
        if is_overdue && wait.overdue == Overdue::StepsUp && choice.is_at_work && choice.count > desired {
            return (choice.count, Reason::ScaleUp, None);
        }
        if !(is_overdue && wait.overdue == Overdue::AnyStep) {
            return (desired, reason, Some(wait.text));
        }
    } else {
        next.held_since = None;
    }
    if !choice.is_rate_known {
        return (current, Reason::Learning, None);
    }
    // A step that does not come to rest is never judged.
    let is_on_trial = is_at_rest && next.step.as_ref().is_some_and(|step| step.is_on_trial(demand.input));
    if choice.count > current && is_on_trial {
        return (current, Reason::JudgingStep, None);
    }
    if choice.count > current {
        return if choice.patience.is_some_and(Patience::lasts) {
            (current, Reason::WaitingToScaleUp, None)
        } else {
            (choice.count, Reason::ScaleUp, None)
        };
    }
    if choice.count == current {
        return (current, Reason::Steady, None);
    }
    let largest = [(&next.input_window, settings.scale_down_after), (&next.window, backlog_window(settings))]
        .map(|(window, length)| window.largest(signals.at, length).unwrap_or(current));
    let Some(largest) = largest.into_iter().max().filter(|largest| *largest < current) else {
        return (current, Reason::WaitingToScaleDown, None);
    };
    if let Some(silent) = silent.first() {
        return (current, Reason::SignalUnknown, Some(silent.clone()));
    }
    let is_useless = matches!(choice.bound, Bound::ProviderLimit | Bound::Ineffective);
    if choice.is_behind && !is_useless {
        return (current, Reason::Behind, None);
    }
    if largest == 0 && current == 1 {
        return (0, Reason::ScaleToZero, None);
    }
    let half = current.div_ceil(2);
    (demand.aligned(largest.max(half), choice.range.0).max(half), Reason::ScaleDown, None)
}

/// Keeps the count; once that has taken too long, the declared one if it is more.
pub(crate) fn hold(settings: &Settings, signals: &Signals, next: &mut Memory, wait: &Wait) -> (u32, Reason) {
    next.held_since.get_or_insert(signals.at);
    let current = signals.replicas;
    let fallback = settings.fallback.unwrap_or(0).min(settings.max_replicas);
    if gate::is_overdue(settings, signals, next) {
        (current.max(fallback), Reason::Fallback)
    } else {
        (current, wait.reason)
    }
}

/// For how long the replicas that a backlog needed are kept when it is gone: it is no sign of another.
pub(crate) fn backlog_window(settings: &Settings) -> Duration {
    settings.scale_down_after.min(settings.drain_within)
}

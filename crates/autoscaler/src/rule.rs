//! The rule: from what is seen and remembered to a count.

use std::collections::BTreeMap;

use crate::{
    capacity::Capacity,
    choice::{Choice, backlog_window, choose, hold},
    decision::{Acting, Bound, Decision, Finding, Reason, Terms},
    effect::{Step, Transition, USUAL_PAUSE_SECONDS, Useless, learnt_of_steps},
    formula::Formula,
    gate::{self, Overdue, Wait},
    measure::{self, Seen},
    memory::Memory,
    need::{Demand, Given},
    patience::{self, Patience},
    preview,
    provider::{self, Provider},
    settings::{Mode, Settings},
    signals::{Signal, Signals},
    text,
};

/// From how many times the smoothed input on two looks in a row are a jump.
const JUMP: f64 = 1.1;
/// From which part of the input on what the backlog needs counts as being behind.
const BEHIND: f64 = 0.05;

/// Decides how many replicas there should be, and what to remember for the next time. [`Settings::check`] must have found
/// nothing wrong.
pub fn decide(settings: &Settings, signals: &Signals, memory: &Memory) -> (Decision, Memory) {
    let mut next = memory.clone();
    next.set_back(signals.at);
    let wait = gate::wait(settings, signals, &next);
    let acting = match (settings.mode, signals.hold_until) {
        (_, Some(until)) if signals.at < until => Acting::HeldUntil(until),
        (Mode::DryRun, _) => Acting::DryRun,
        (Mode::Auto, _) => Acting::Acts,
    };
    if acting == Acting::Acts {
        next.told = None;
    }
    let is_calm = wait.is_none() && next.calm_looks > 0;
    let (outcome, held) = match measure::look(settings, signals, &next, is_calm) {
        Ok(seen) => weigh(settings, signals, &mut next, seen, wait, acting),
        Err(unknown) => {
            // What came meanwhile may need every replica there is.
            next.window.forget();
            next.input_window.forget();
            next.calm_looks = 0;
            let wait = Wait { reason: Reason::SignalUnknown, text: unknown, overdue: Overdue::NoStep };
            let (desired, reason) = hold(settings, signals, &mut next, &wait);
            (Outcome::held(desired, reason), Some(wait.text))
        }
    };
    let mut decision = Decision {
        at: signals.at,
        current: signals.replicas,
        desired: outcome.desired,
        recommended: outcome.recommended.map(|(count, _)| count),
        reason: outcome.reason,
        bound: outcome.recommended.map(|(_, bound)| bound),
        acting,
        terms: outcome.terms,
        findings: outcome.findings,
        signals: signals.ages(),
        text: String::new(),
    };
    if decision.desired < settings.min_replicas {
        (decision.desired, decision.reason) = (settings.min_replicas, Reason::BelowMinimum);
    }
    if decision.desired > settings.max_replicas {
        // What the user sets is no inference: it needs no signal, no window and no half way.
        (decision.desired, decision.reason) = (settings.max_replicas, Reason::AboveMaximum);
    }
    if outcome.is_preview {
        next.told = Some(decision.desired);
        decision.reason = preview::reason(settings, &decision);
    }
    decision.text = text::explain(&decision, held.as_deref());
    if let Some(to) = decision.to_apply() {
        let Forecast { input_before, done_before, expected, was_behind } = outcome.forecast;
        next.step = Some(Step {
            at: signals.at,
            from: signals.replicas,
            to,
            // Where the group is unknown, it must at least have noticed the step before.
            epoch: group_epoch(signals).or(next.step.as_ref().and_then(|step| step.epoch)),
            input_before,
            done_before,
            expected,
            was_behind,
            done_meanwhile: (0.0, 0.0),
            settled_at: None,
            done_after: (0.0, 0.0),
            judged: false,
        });
        next.transition = Some(Transition::begin(done_before));
        // What is waited for from now on is this step.
        next.held_since = None;
    }
    (decision, next)
}

struct Outcome {
    desired: u32,
    reason: Reason,
    recommended: Option<(u32, Bound)>,
    terms: Option<Terms>,
    findings: Vec<Finding>,
    forecast: Forecast,
    /// Whether it goes on from what was told instead of from what there is.
    is_preview: bool,
}

impl Outcome {
    /// Nothing could be recommended.
    fn held(desired: u32, reason: Reason) -> Outcome {
        let forecast = Forecast::default();
        Outcome { desired, reason, recommended: None, terms: None, findings: Vec::new(), forecast, is_preview: false }
    }
}

/// What a step that is taken now should bring. Rates are records per second.
#[derive(Default)]
struct Forecast {
    input_before: f64,
    done_before: f64,
    expected: f64,
    was_behind: bool,
}

/// Everything between looking and choosing: learning, the formula and its bounds.
fn weigh(
    settings: &Settings,
    signals: &Signals,
    next: &mut Memory,
    mut seen: Seen,
    wait: Option<Wait>,
    acting: Acting,
) -> (Outcome, Option<String>) {
    let (now, current) = (signals.at, signals.replicas);
    let is_preview = acting != Acting::Acts && wait.is_none() && seen.silent.is_empty();
    let from = next.told.filter(|_| is_preview).unwrap_or(current);
    let rates: Vec<_> = seen.rates.values().cloned().collect();
    let mut capacity = next.capacity.take().unwrap_or_else(|| Capacity::guess(settings));
    capacity.learn(now, &rates);
    let provider = provider::look(settings, &seen, next.provider_limit);
    next.provider_limit = provider.measured;
    follow_step(next, signals, &seen, wait.is_none());

    let partitions = seen.partitions.values().map(BTreeMap::len).max().unwrap_or(1) as u32;
    let fewest = settings.min_replicas.max(1);
    let most = settings.max_replicas.min(partitions).max(fewest);
    let given = Given {
        jump: jump(&seen, next.last_input),
        pause_seconds: next.pause_seconds.unwrap_or(USUAL_PAUSE_SECONDS),
        capacity: capacity.per_replica(),
        most,
    };
    let mut demand = Demand::of(settings, &seen, given);
    let idle_rate = BEHIND * given.capacity * f64::from(current);
    let is_behind = demand.of_backlog > BEHIND * demand.input.max(idle_rate);
    judge(next, signals, &seen, is_behind, wait.as_ref());

    let range = (fewest, most);
    let formula = Formula { settings, demand: &demand, provider: &provider, memory: next, given, range, current: from };
    let (mut count, mut bound) = formula.count(1.0);
    let able = given.capacity * f64::from(from);
    let step_seconds = next.step_seconds.unwrap_or(patience::USUAL_STEP_SECONDS);
    let patience = Patience::of(settings, demand.longest_wait_seconds, demand.input, able, step_seconds);
    // No record waits for a count that is only told, so that it would be too low for ever.
    let patience_of_step = Some(patience).filter(|_| !is_preview);
    let room = patience::room_to_scale_in(patience_of_step);
    let (mut with_room, _) = formula.count(room);
    let (mut for_input, _) = formula.count(room * (1.0 - demand.part_of_backlog()));
    if capacity.is_below_usual() && count > current.max(1) * 2 {
        // More is needed because replicas do less than usual: whether more of them help is to be seen first.
        count = demand.aligned(current.max(1) * 2, range.0);
    }
    let is_idle = seen.unfinished() == 0 && seen.in_flight == 0 && seen.input_now == Some(0.0);
    if is_idle && settings.min_replicas == 0 {
        (count, bound, with_room, for_input) = (0, Bound::Need, 0, 0);
    }
    let is_rate_known = seen.all().all(|partition| partition.input.is_some());
    if is_rate_known {
        next.window.add(now, with_room.max(count), backlog_window(settings), settings.stale_after());
        next.input_window.add(now, for_input, settings.scale_down_after, settings.stale_after());
    }
    let mut findings = std::mem::take(&mut demand.findings);
    findings.extend(provider.findings.iter().cloned());
    findings.extend(next.useless.as_ref().map(Useless::finding));
    findings.extend(capacity.finding(now));
    next.lasting.follow(&mut findings);
    let forecast = {
        let share = demand.fullest_share(count.max(1), 1.0);
        let able = if share > 0.0 { given.capacity * demand.total() / share } else { 0.0 };
        let expected = able.min(demand.total()).min(provider.limit.unwrap_or(f64::INFINITY));
        Forecast { input_before: demand.input, done_before: demand.done, expected, was_behind: is_behind }
    };
    let terms = terms(settings, &seen, &demand, &provider, given, patience, range, count, partitions);
    let is_at_work = is_rate_known && seen.done_now.is_some_and(|done| done > 0.0);
    let unfinished = seen.unfinished();
    let choice = Choice {
        current: from,
        count,
        bound,
        patience: patience_of_step,
        is_behind,
        is_rate_known,
        is_at_work,
        range,
        unfinished,
    };
    let (desired, reason, held) = choose(settings, signals, next, &demand, &seen.silent, &choice, wait);

    next.capacity = Some(capacity);
    next.last_input = seen.input_now;
    next.partitions = std::mem::take(&mut seen.partitions);
    next.looked_at = std::mem::take(&mut seen.looked_at);
    next.pods = std::mem::take(&mut seen.pods);
    let recommended = (is_rate_known || reason == Reason::Wake).then(|| (count, next.lasting.bound(count, bound)));
    (Outcome { desired, reason, recommended, terms: Some(terms), findings, forecast, is_preview }, held)
}

/// By what the smoothed input is too low: two looks in a row that are higher are a jump and no noise.
fn jump(seen: &Seen, last_input: Option<f64>) -> f64 {
    let smoothed: f64 = seen.all().filter_map(|partition| partition.input).sum();
    match (seen.input_now, last_input) {
        (Some(now), Some(last)) if now.min(last) > JUMP * smoothed && smoothed > 0.0 => now.min(last) / smoothed,
        _ => 1.0,
    }
}

/// Measures the pause of a step under way, and notes when it has come to rest.
fn follow_step(next: &mut Memory, signals: &Signals, seen: &Seen, is_at_rest: bool) {
    next.calm_looks = if is_at_rest { next.calm_looks.saturating_add(1) } else { 0 };
    let Some(step) = next.step.as_mut().filter(|step| step.settled_at.is_none()) else { return };
    if let (Some(transition), Some(done)) = (&mut next.transition, seen.done_now) {
        let waiting = seen.all().map(|partition| partition.waiting).sum();
        transition.follow(done, seen.seconds, waiting);
    }
    if is_at_rest {
        step.settled_at = Some(signals.at);
        if step.to > step.from {
            let took = signals.at.duration_since(step.at).as_secs_f64();
            next.step_seconds = Some(patience::learn_step_seconds(next.step_seconds, took));
        }
        if let Some(pause) = next.transition.take().and_then(|transition| transition.pause_seconds()) {
            let before = next.pause_seconds.unwrap_or(USUAL_PAUSE_SECONDS);
            next.pause_seconds = Some(learnt_of_steps(before, pause));
        }
    }
}

/// Judges the last step where enough was seen of it, and forgets a verdict that counts no longer.
fn judge(next: &mut Memory, signals: &Signals, seen: &Seen, is_behind: bool, wait: Option<&Wait>) {
    if let (Some(useless), Some(done)) = (&mut next.useless, seen.done_now) {
        useless.follow(done, seen.seconds);
    }
    next.useless = next.useless.take().filter(|useless| useless.holds(signals.at, is_behind));
    let (Some(step), Some(done)) = (&mut next.step, seen.done_now) else { return };
    match wait.map(|wait| wait.reason) {
        None => {
            if let Some(useless) = step.watch(signals.at, done, seen.seconds, is_behind) {
                next.useless = Some(useless);
            }
        }
        Some(Reason::PodsChanging) if is_behind && step.settled_at.is_none() => step.compare_with(done, seen.seconds),
        Some(_) => {}
    }
}

#[expect(clippy::too_many_arguments, reason = "one for each source of a term")]
fn terms(
    settings: &Settings,
    seen: &Seen,
    demand: &Demand,
    provider: &Provider,
    given: Given,
    patience: Patience,
    range: (u32, u32),
    count: u32,
    partitions: u32,
) -> Terms {
    let busy: Vec<f64> = seen.rates.values().map(|pod| pod.busy).collect();
    Terms {
        input: demand.input,
        done: demand.done,
        unfinished: seen.unfinished(),
        in_flight: seen.in_flight,
        waiting: demand.waiting,
        drain_within_seconds: settings.drain_within.as_secs_f64(),
        pause_seconds: given.pause_seconds,
        utilization: settings.utilization,
        need_of_backlog: demand.of_backlog,
        need_of_pause: demand.of_pause,
        need_of_input: demand.of_input,
        need: demand.total(),
        expected_wait_seconds: patience.expected_wait_seconds,
        allowed_wait_seconds: patience.allowed_wait_seconds,
        provider_limit: provider.limit,
        capacity: given.capacity,
        busy: (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64),
        partitions,
        range,
        fullest_share: demand.fullest_share(count.max(1), 1.0),
    }
}

fn group_epoch(signals: &Signals) -> Option<i64> {
    match &signals.group {
        Signal::Known { value, .. } => value.epoch,
        Signal::Unknown { .. } => None,
    }
}

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod tests;

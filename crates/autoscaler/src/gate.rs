//! Whether now is the time for a step: every pod that was asked for is ready, and the group has come to rest with them.

use crate::{
    decision::Reason,
    memory::Memory,
    settings::Settings,
    signals::{GroupState, Signals, age_seconds},
};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub reason: Reason,
    pub text: String,
    pub overdue: Overdue,
}

/// Which steps are taken anyway once something has been waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// All of them: pods that find no place to run may never come.
    AnyStep,
    /// Steps up, where something is done: one pod that is broken must not keep the others from getting help.
    StepsUp,
    /// None. Where no pod is ready or nothing is known, more of them would most likely not be ready either.
    NoStep,
}

/// What a step has to wait for; none when it may be taken.
pub(crate) fn wait(settings: &Settings, signals: &Signals, memory: &Memory) -> Option<Wait> {
    let waiting = |reason, text: String, overdue| Some(Wait { reason, text, overdue });
    let stale = settings.stale_after();
    let pods = match signals.pods.fresh(signals.at, stale) {
        Ok(pods) => pods,
        Err(problem) => {
            return waiting(Reason::SignalUnknown, format!("how many pods are ready {problem}"), Overdue::NoStep);
        }
    };
    if signals.replicas == 0 && pods.ready == 0 {
        // Nobody is there who could come to rest.
        return None;
    }
    let group = match signals.group.fresh(signals.at, stale) {
        Ok(group) => group,
        Err(problem) => {
            return waiting(Reason::SignalUnknown, format!("the state of the group {problem}"), Overdue::NoStep);
        }
    };
    let steps_up = if pods.ready > 0 { Overdue::StepsUp } else { Overdue::NoStep };
    if pods.crash_looping > 0 {
        let text = format!("{} pods end again and again", pods.crash_looping);
        return waiting(Reason::CrashLooping, text, steps_up);
    }
    match group.state {
        GroupState::Stable => {}
        GroupState::Empty if pods.ready == 0 => {}
        GroupState::Empty | GroupState::Rebalancing => {
            return waiting(Reason::Rebalancing, "the group gives out its partitions anew".to_owned(), steps_up);
        }
    }
    if group.members < pods.ready || group.members > pods.ready + pods.draining {
        let text = format!("the group has {} members and {} pods are ready", group.members, pods.ready);
        return waiting(Reason::Rebalancing, text, steps_up);
    }
    if pods.ready == 0 {
        // What the pods wait for to be ready, a database for instance, does not come with more of them.
        return waiting(Reason::PodsChanging, format!("none of {} pods is ready", signals.replicas), Overdue::NoStep);
    }
    if pods.ready != signals.replicas {
        let text = format!("{} of {} pods are ready", pods.ready, signals.replicas);
        return waiting(Reason::PodsChanging, text, Overdue::AnyStep);
    }
    let step = memory.step.as_ref().filter(|step| step.settled_at.is_none())?;
    if group.epoch.is_some() && group.epoch == step.epoch {
        return waiting(Reason::Rebalancing, "the group has not noticed the last step".to_owned(), Overdue::AnyStep);
    }
    None
}

/// Whether what is waited for has taken too long.
pub(crate) fn is_overdue(settings: &Settings, signals: &Signals, memory: &Memory) -> bool {
    memory.held_since.is_some_and(|since| age_seconds(since, signals.at) >= settings.fallback_after.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::{
        effect::Step,
        signals::{Group, Pods, Signal},
    };

    const AT_REST: Pods = Pods { ready: 3, starting: 0, crash_looping: 0, draining: 0 };

    fn signals(pods: Pods, state: GroupState, members: u32) -> Signals {
        let at = Timestamp::UNIX_EPOCH;
        Signals {
            at,
            replicas: 3,
            hold_until: None,
            pods: Signal::Known { at, value: pods },
            group: Signal::Known { at, value: Group { state, members, epoch: Some(7) } },
            lanes: Vec::new(),
            processors: Vec::new(),
        }
    }

    #[track_caller]
    fn check(signals: &Signals, memory: &Memory, expected: Option<(Reason, &str)>) {
        let wait = wait(&Settings::new(1, 6, Duration::from_mins(1)), signals, memory);
        assert_eq!(wait.as_ref().map(|wait| (wait.reason, wait.text.as_str())), expected);
    }

    #[test]
    fn a_group_at_rest_with_all_pods_lets_a_step_be_taken() {
        check(&signals(AT_REST, GroupState::Stable, 3), &Memory::default(), None);
    }

    #[test]
    fn pods_that_drain_may_still_be_members() {
        let draining = Pods { draining: 2, ..AT_REST };
        for members in 3..=5 {
            check(&signals(draining, GroupState::Stable, members), &Memory::default(), None);
        }
    }

    #[test]
    fn everything_else_is_waited_for_by_its_name() {
        let memory = Memory::default();
        let check = |pods, state, members, expected| check(&signals(pods, state, members), &memory, Some(expected));
        let rebalancing = (Reason::Rebalancing, "the group gives out its partitions anew");
        check(AT_REST, GroupState::Rebalancing, 3, rebalancing);
        check(AT_REST, GroupState::Empty, 0, rebalancing);
        check(AT_REST, GroupState::Stable, 2, (Reason::Rebalancing, "the group has 2 members and 3 pods are ready"));
        check(AT_REST, GroupState::Stable, 4, (Reason::Rebalancing, "the group has 4 members and 3 pods are ready"));
        let starting = Pods { ready: 2, starting: 1, ..AT_REST };
        check(starting, GroupState::Stable, 2, (Reason::PodsChanging, "2 of 3 pods are ready"));
        let unready = Pods { starting: 3, ..Pods::default() };
        check(unready, GroupState::Empty, 0, (Reason::PodsChanging, "none of 3 pods is ready"));
        let crashing = Pods { ready: 2, crash_looping: 1, ..AT_REST };
        check(crashing, GroupState::Stable, 2, (Reason::CrashLooping, "1 pods end again and again"));
    }

    #[test]
    fn what_is_unknown_is_waited_for() {
        let mut unknown = signals(AT_REST, GroupState::Stable, 3);
        unknown.group = Signal::Unknown { why: "no broker answers".to_owned() };
        let expected = (Reason::SignalUnknown, "the state of the group is unknown: no broker answers");
        check(&unknown, &Memory::default(), Some(expected));
        unknown.pods = Signal::Unknown { why: "timeout".to_owned() };
        let expected = (Reason::SignalUnknown, "how many pods are ready is unknown: timeout");
        check(&unknown, &Memory::default(), Some(expected));
    }

    #[test]
    fn none_asked_for_and_none_there_is_at_rest_whatever_the_group() {
        for state in [GroupState::Empty, GroupState::Rebalancing, GroupState::Stable] {
            let mut asleep = signals(Pods::default(), state, 0);
            asleep.replicas = 0;
            check(&asleep, &Memory::default(), None);
        }
    }

    #[test]
    fn there_is_one_step_in_each_epoch_of_the_group() {
        let step = Step {
            at: Timestamp::UNIX_EPOCH,
            from: 2,
            to: 3,
            epoch: Some(7),
            input_before: 0.0,
            done_before: 0.0,
            expected: 0.0,
            was_behind: false,
            done_meanwhile: (0.0, 0.0),
            settled_at: None,
            done_after: (0.0, 0.0),
            judged: false,
        };
        let at_rest = signals(AT_REST, GroupState::Stable, 3);
        let memory = |step| Memory { step: Some(step), ..Memory::default() };
        let expected = (Reason::Rebalancing, "the group has not noticed the last step");
        check(&at_rest, &memory(step.clone()), Some(expected));
        check(&at_rest, &memory(Step { epoch: Some(6), ..step.clone() }), None);
        check(&at_rest, &memory(Step { epoch: None, ..step }), None);
    }
}

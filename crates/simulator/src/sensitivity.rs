//! How much the rule's figures depend on what it does not know: one thing is changed at a time.

use std::{fmt::Write, time::Duration};

use crate::{outcome::Outcome, policy::PolicyName, run::run, scenario::Scenario, table::hours};

type Change = (&'static str, fn(&mut Scenario));

const CHANGES: [Change; 9] = [
    ("as the trace is", |_| {}),
    ("first guess 0.4 of the truth", |scenario| scenario.settings.first_guess *= 0.4),
    ("first guess twice the truth", |scenario| scenario.settings.first_guess *= 2.0),
    ("pods start in 5 to 8 s", |scenario| scenario.start_seconds = (5, 8)),
    ("pods start in 60 to 90 s", |scenario| scenario.start_seconds = (60, 90)),
    ("the group pauses for 0 s", |scenario| scenario.pause_seconds = 0),
    ("the group pauses for 15 s", |scenario| scenario.pause_seconds = 15),
    ("no noise", |scenario| scenario.noise = 0.0),
    ("noise of 20 %", |scenario| scenario.noise = 0.2),
];

const TRACES: [&str; 3] = ["backlog", "flash-crowd", "sawtooth"];
const UTILIZATIONS: [f64; 4] = [0.7, 0.8, 0.9, 1.0];
const SCALE_DOWN_AFTER_MINUTES: [u64; 3] = [1, 3, 5];

fn trace(name: &str) -> Scenario {
    Scenario::named(name).expect("the traces that come with the simulator have their names")
}

/// The rows of a Markdown table: each change, and for each trace cost, age and steps.
pub(crate) fn changes(seed: u64) -> String {
    let mut text = "| |".to_owned() + &TRACES.map(|name| format!(" {name} |")).concat() + "\n|---|---|---|---|\n";
    for (title, change) in CHANGES {
        let _ = write!(text, "| {title} |");
        for name in TRACES {
            let mut scenario = trace(name);
            change(&mut scenario);
            let _ = write!(text, " {} |", cell(&run(&scenario, &PolicyName::drain_slo(), seed)));
        }
        text += "\n";
    }
    text
}

/// The rows of a Markdown table: each utilization on the trace of a week.
pub(crate) fn utilizations(seed: u64) -> String {
    let mut text = "| utilization | diurnal-week |\n|---|---|\n".to_owned();
    for utilization in UTILIZATIONS {
        let mut scenario = trace("diurnal-week");
        scenario.settings.utilization = utilization;
        let _ = writeln!(text, "| {utilization} | {} |", cell(&run(&scenario, &PolicyName::drain_slo(), seed)));
    }
    text
}

/// The rows of a Markdown table: for how long fewer replicas must have been enough, on the trace of a week and where what comes
/// is just what two replicas can do.
pub(crate) fn windows(seed: u64) -> String {
    let mut text = "| scale_down_after | diurnal-week | a day at what 2 replicas can do, noise of 5 % | of 20 % |\n|---|---|---|---|\n"
        .to_owned();
    let edge = |noise| {
        let steady = trace("steady");
        let full = 2.0 * steady.settings.first_guess;
        Scenario { rate: vec![(0.0, full)], noise, ..steady }
    };
    for minutes in SCALE_DOWN_AFTER_MINUTES {
        let _ = write!(text, "| {minutes}m |");
        for mut scenario in [trace("diurnal-week"), edge(0.05), edge(0.2)] {
            scenario.settings.scale_down_after = Duration::from_mins(minutes);
            let _ = write!(text, " {} |", cell(&run(&scenario, &PolicyName::drain_slo(), seed)));
        }
        text += "\n";
    }
    text
}

fn cell(outcome: &Outcome) -> String {
    let (hours, age, steps) = (hours(outcome), outcome.age_p99, outcome.steps);
    let drained = outcome.drained_after.first().map(|after| match after {
        Some(after) => format!(", drained in {after} s"),
        None => ", never drained".to_owned(),
    });
    format!("{hours} h, {age} s, {steps} steps{}", drained.unwrap_or_default())
}

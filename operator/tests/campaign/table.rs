//! What was tried, as a table.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use crate::{
    faults::Fault,
    scenario::Scenario,
    trial::{Disturbance, Outcome},
};

/// One scenario.
pub struct Row {
    scenario: &'static str,
    points: usize,
    /// How many trials there were, by what was disturbed.
    trials: BTreeMap<String, u32>,
    /// Trials that did not make the call which was to be disturbed.
    missed: u32,
    divergences: u32,
}

impl Row {
    pub fn new(scenario: &Scenario, undisturbed: &Outcome) -> Self {
        let points = undisturbed.recorded.len();
        Self { scenario: scenario.name, points, trials: BTreeMap::new(), missed: 0, divergences: 0 }
    }

    pub fn add(&mut self, disturbance: &Disturbance, has_struck: bool, is_divergent: bool) {
        *self.trials.entry(column(disturbance)).or_default() += 1;
        self.missed += u32::from(matches!(disturbance, Disturbance::Call(..)) && !has_struck);
        self.divergences += u32::from(is_divergent);
    }
}

fn column(disturbance: &Disturbance) -> String {
    match disturbance {
        Disturbance::Call(_, fault, _) => format!("{fault:?}"),
        _ => BEHIND.to_owned(),
    }
}

const BEHIND: &str = "Behind";

pub fn print(rows: &[Row], whole: usize, took: Duration) -> String {
    let columns: Vec<_> = Fault::ALL.iter().map(|fault| format!("{fault:?}")).chain([BEHIND.to_owned()]).collect();
    let mut text = format!("\n{:<22}{:>7}", "scenario", "calls");
    for column in columns.iter().map(String::as_str).chain(["trials", "missed", "divergences"]) {
        let _ = write!(text, "{column:>12}"); // writing to a String cannot fail
    }
    for row in rows {
        let _ = write!(text, "\n{:<22}{:>7}", row.scenario, row.points);
        let counts = columns.iter().map(|column| row.trials.get(column).copied().unwrap_or_default());
        for count in counts.chain([row.trials.values().sum(), row.missed, row.divergences]) {
            let _ = write!(text, "{count:>12}");
        }
    }
    let sum = |count: fn(&Row) -> u32| rows.iter().map(count).sum::<u32>();
    let (trials, divergences) = (sum(|row| row.trials.values().sum()), sum(|row| row.divergences));
    let (seconds, missed) = (took.as_secs(), sum(|row| row.missed));
    let points: usize = rows.iter().map(|row| row.points).sum();
    let scenarios = rows.len();
    let _ = write!(
        text,
        "\n{scenarios} scenarios, {points} calls, {trials} trials of {whole}, {missed} of them without the call that was to \
         be disturbed, {divergences} divergences, {seconds} s"
    );
    text
}

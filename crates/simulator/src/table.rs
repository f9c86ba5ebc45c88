//! Outcomes as people read them in a terminal.

use autoscaler::number;

use crate::{outcome::Outcome, run::Comparison};

/// One line for each policy, under what the trace is about.
pub fn comparison(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    let head = [
        "policy",
        "replica-hours",
        "× least",
        "steps",
        "pauses",
        "most",
        "age p50",
        "p99",
        "max",
        "too old",
        "drained",
    ];
    let rows: Vec<Vec<String>> = comparison.outcomes.iter().map(|outcome| row(comparison, outcome)).collect();
    format!(
        "{}: {}\nto be done within {} s; ages in seconds, * where the p99 is above {} s, which could be kept\n\n{}",
        scenario.name,
        scenario.about,
        scenario.settings.drain_within.as_secs(),
        comparison.age_allowed,
        columns(&head, &rows),
    )
}

fn row(comparison: &Comparison, outcome: &Outcome) -> Vec<String> {
    let mark = if comparison.is_kept_by(outcome) { "" } else { "*" };
    let drained = |after: &Option<u32>| after.map_or("never".to_owned(), |after| format!("{after} s"));
    vec![
        outcome.policy.clone(),
        hours(outcome),
        format!("{:.2}", comparison.relative_cost(outcome)),
        outcome.steps.to_string(),
        outcome.pauses.to_string(),
        outcome.most_replicas.to_string(),
        outcome.age_p50.to_string(),
        format!("{}{mark}", outcome.age_p99),
        outcome.age_max.to_string(),
        format!("{} s", outcome.seconds_too_old),
        outcome.drained_after.iter().map(drained).collect::<Vec<_>>().join(" "),
    ]
}

/// Replica-hours, for people.
pub(crate) fn hours(outcome: &Outcome) -> String {
    number(outcome.replica_seconds as f64 / 3600.0)
}

/// The first column to the left, all others to the right, each as wide as it must be.
fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate();
        let drawn: Vec<String> = cells
            .map(
                |(index, (cell, &width))| {
                    if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text.push_str(drawn.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "100".to_owned()]];
        assert_eq!(columns(&["", "x"], &rows), "        x\na       1\nlong  100\n");
    }
}

//! Tables as people read them in a terminal. Pure.

use std::fmt::Write;

use super::{
    Conditions,
    targets::{Bound, Outcome, Target},
};
use crate::{
    number::number,
    processes::{CpuSeconds, Program},
    statistics::Spread,
};

/// The end of a sentence that has begun with what was measured: who shared the machine, and what else ran before.
pub fn conditions(conditions: &Conditions, shared_by: &str) -> String {
    format!(
        "on {} CPUs shared by {shared_by};\nmedians (least–greatest); load average before the start {}\n",
        conditions.cpus,
        conditions.load_average.map(|average| format!("{average:.2}")).join(" "),
    )
}

/// CPU time of each program, and what that is for a message.
pub fn cpu<'a>(programs: &[Program], rows: impl Iterator<Item = (&'a str, &'a CpuSeconds, &'a CpuSeconds)>) -> String {
    let mut head = vec!["CPU seconds (µs per message)"];
    head.extend(programs.iter().map(|program| program.title()));
    let row = |(title, all, each): (&str, &CpuSeconds, &CpuSeconds)| {
        let cell = |&program: &Program| format!("{:.1} ({:.0})", all.of(program), each.of(program));
        std::iter::once(title.to_owned()).chain(programs.iter().map(cell)).collect()
    };
    columns(&head, &rows.map(row).collect::<Vec<Vec<String>>>())
}

/// What was asked for, and what became of it.
pub fn targets(targets: &[Target]) -> String {
    columns(&["target", "bound", "figure", "", ""], &targets.iter().map(target_row).collect::<Vec<_>>())
}

fn target_row(target: &Target) -> Vec<String> {
    let bound = match target.bound {
        Bound::AtLeast(bound) => format!("≥ {}", plain(bound)),
        Bound::AtMost(bound) => format!("≤ {}", plain(bound)),
        Bound::Below(bound) => format!("< {}", plain(bound)),
    };
    let outcome = match target.outcome {
        Outcome::Met => "met",
        Outcome::Missed => "MISSED",
        Outcome::NotMeasured => "not measured",
    };
    let (median, spread) = target.figure.map(|figure| (number(figure.median), range(figure))).unwrap_or_default();
    vec![target.what.clone(), bound, median, spread, outcome.to_owned()]
}

/// Bounds are round numbers: no digits that nobody chose.
fn plain(bound: f64) -> String {
    if bound < 1000.0 { bound.to_string() } else { number(bound) }
}

/// Nothing where there is but one figure.
pub fn range(spread: Spread) -> String {
    let (min, max) = (number(spread.min), number(spread.max));
    if min == max { String::new() } else { format!("({min}–{max})") }
}

/// The first column to the left, all others to the right, each as wide as it must be.
pub fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut drawn = String::new();
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if index == 0 { write!(drawn, "{cell:<width$}") } else { write!(drawn, "  {cell:>width$}") };
        }
        text.push_str(drawn.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Each of `expected` is a line of `text`, however wide the columns are.
    #[track_caller]
    pub fn check_lines(text: &str, expected: &[&str]) {
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in expected {
            assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "100".to_owned()]];
        assert_eq!(columns(&["", "x"], &rows), "        x\na       1\nlong  100\n");
    }

    #[test]
    fn targets_are_told_with_their_bound_and_outcome() {
        let fast = Target::of("fast", Bound::AtLeast(100_000.0), Spread::of([1.0, 2.0, 3.0]));
        check_lines(&targets(&[fast]), &["fast ≥ 100,000 2.00 (1.00–3.00) MISSED"]);
    }
}

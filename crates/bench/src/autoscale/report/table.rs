//! The report as people read it in a terminal. Pure.

use std::fmt::Write;

use super::{Measured, Report};
use crate::{
    number::number,
    report::table::{self, columns},
};

/// All of it, several tables under each other.
pub fn draw(report: &Report) -> String {
    let shared_by =
        format!("load generator, operator, sms-api, {}, Kafka and processors", report.conditions.postgres());
    let mut text = format!("the number of processors {}\n", table::conditions(&report.conditions, &shared_by));
    let head = ["", "load", "s", "accepted", "processors", "most waiting", "oldest s"];
    text += &columns(&head, &report.phases.iter().map(|phase| phase_row(report, phase)).collect::<Vec<_>>());
    text += "\n";
    for step in report.steps() {
        let _ = writeln!(text, "{:>6.0} s  {}", step.seconds, step.text);
    }
    text += "\n";
    text + &table::targets(&report.targets())
}

fn phase_row(report: &Report, phase: &Measured) -> Vec<String> {
    let most = |figure: fn(&super::Sample) -> Option<f64>| {
        report.during(phase).filter_map(figure).reduce(f64::max).map_or_else(|| "?".to_owned(), number)
    };
    let counts = || report.during(phase).map(|sample| sample.desired);
    let (least, greatest) = (counts().min().unwrap_or_default(), counts().max().unwrap_or_default());
    vec![
        phase.title.to_owned(),
        phase.load.clone(),
        format!("{:.0}", phase.to - phase.from),
        number(phase.accepted as f64),
        if least == greatest { least.to_string() } else { format!("{least}–{greatest}") },
        most(|sample| sample.waiting),
        most(|sample| sample.oldest_seconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};

    #[test]
    fn every_part_of_the_run_and_every_step_is_told() {
        let text = draw(&complete());
        for told in ["constant", "12,000 at once, then 100 per second", "302 s  words", "460 s  words", "met"] {
            assert!(text.contains(told), "{told} in {text}");
        }
    }
}

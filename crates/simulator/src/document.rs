//! What `docs/autoscaling.md` quotes: tables and pictures of every trace and policy, made anew by one command.

use std::fmt::Write;

use autoscaler::number;

use crate::{
    plot,
    policy::PolicyName,
    run::{Comparison, compare},
    scenario::{NAMES, Scenario},
    sensitivity,
};

/// Where what is generated begins and ends in the document.
const BEGIN: &str = "<!-- begin: written by `sms-operator simulate --all --write docs` -->\n";
const END: &str = "<!-- end -->\n";
/// The seed of everything that is quoted.
pub const SEED: u64 = 1;
/// The traces that are shown as pictures, and whose lines are in them.
const PICTURES: [&str; 2] = ["backlog", "flash-crowd"];
const PICTURED: [&str; 4] = ["drain-slo", "keda-lag-tuned", "numaflow", "hpa-cpu"];

/// What is generated.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The part of the document between its two marks.
    pub text: String,
    /// Pictures by the names of their files.
    pub pictures: Vec<(String, String)>,
}

/// That the document has no place for what is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lines {:?} and {:?} are not both there, in this order: put them where the tables belong", BEGIN.trim_end(), END.trim_end())]
pub struct NoPlace;

/// Plays everything that the document quotes.
pub fn generate() -> Generated {
    let scenarios = NAMES.map(|name| Scenario::named(name).expect("a trace of this name"));
    let comparisons = scenarios.map(|scenario| compare(&scenario, &PolicyName::all(), SEED));
    let pictures = comparisons.iter().filter(|found| PICTURES.contains(&found.scenario.name.as_str())).map(picture);
    let text = [
        "Cost as a multiple of the clairvoyant plan's, and the p99 of the age of the oldest record that waits, in seconds; `*` \
         where that is above what could be kept.\n\n",
        &costs_and_ages(&comparisons),
        "\nAll traces together:\n\n",
        &totals(&comparisons),
        "\nWhat the rule's figures depend on: replica-hours, p99 of the age, steps, one thing changed at a time.\n\n",
        &sensitivity::changes(SEED),
        "\n",
        &sensitivity::utilizations(SEED),
        "\n",
        &sensitivity::windows(SEED),
    ];
    Generated { text: text.concat(), pictures: pictures.collect() }
}

/// The document with what is generated in its place.
pub fn replace(document: &str, text: &str) -> Result<String, NoPlace> {
    let (before, rest) = document.split_once(BEGIN).ok_or(NoPlace)?;
    let (_, after) = rest.split_once(END).ok_or(NoPlace)?;
    Ok([before, BEGIN, "\n", text, "\n", END, after].concat())
}

fn picture(comparison: &Comparison) -> (String, String) {
    let mut shown = comparison.clone();
    shown.outcomes.retain(|outcome| PICTURED.contains(&outcome.policy.as_str()));
    (format!("autoscaling-{}.svg", comparison.scenario.name), plot::draw(&shown))
}

fn costs_and_ages(comparisons: &[Comparison]) -> String {
    let mut text = head(comparisons);
    for comparison in comparisons {
        let _ = write!(text, "| {} |", comparison.scenario.name);
        for outcome in &comparison.outcomes {
            let mark = if comparison.is_kept_by(outcome) { "" } else { "\\*" };
            let _ = write!(text, " {:.2}, {}{mark} |", comparison.relative_cost(outcome), outcome.age_p99);
        }
        text += "\n";
    }
    text
}

fn totals(comparisons: &[Comparison]) -> String {
    let mut text = head(comparisons);
    let mut row = |title: &str, cell: &dyn Fn(usize) -> String| {
        let _ = write!(text, "| {title} |");
        for index in 0..PolicyName::all().len() {
            let _ = write!(text, " {} |", cell(index));
        }
        text += "\n";
    };
    let sum = |index: usize| comparisons.iter().map(|found| found.outcomes[index].replica_seconds).sum::<u64>();
    let least: u64 = comparisons.iter().map(|comparison| comparison.least_replica_seconds).sum();
    row("traces on which the age is kept", &|index| {
        let kept = comparisons.iter().filter(|found| found.is_kept_by(&found.outcomes[index])).count();
        format!("{kept} of {}", comparisons.len())
    });
    row("replica-hours", &|index| number(sum(index) as f64 / 3600.0));
    row("the same ÷ the clairvoyant's", &|index| format!("{:.2}", sum(index) as f64 / least as f64));
    row("mean of the multiples", &|index| {
        let multiples = comparisons.iter().map(|found| found.relative_cost(&found.outcomes[index]));
        format!("{:.2}", multiples.sum::<f64>() / comparisons.len() as f64)
    });
    row("steps", &|index| number(comparisons.iter().map(|found| f64::from(found.outcomes[index].steps)).sum::<f64>()));
    text
}

fn head(comparisons: &[Comparison]) -> String {
    let names: Vec<&str> =
        comparisons.iter().take(1).flat_map(|found| &found.outcomes).map(|outcome| outcome.policy.as_str()).collect();
    format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_takes_the_place_of_what_was() {
        let document = format!("a\n{BEGIN}old\n{END}b\n");
        let replaced = replace(&document, "new\n").expect("a place");
        assert_eq!(replaced, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(replace(&replaced, "new\n").expect("a place"), replaced);
        assert_eq!(replace("a", "new"), Err(NoPlace));
    }
}

//! A decision in words and numbers.

use std::fmt::Write;

use crate::{
    decision::{Acting, Bound, Decision, Finding, Reason, Terms},
    need::{USE_FOR_BACKLOG, partitions_of_fullest},
};

/// A number for people: thousands with commas, small ones with a digit after the point.
pub fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.1}");
    }
    grouped(value)
}

/// A whole number with commas between the thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn replicas(count: u32) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

/// What was decided and why; `held` says what is waited for.
pub(crate) fn explain(decision: &Decision, held: Option<&str>) -> String {
    let mut sentences = vec![headline(decision, held)];
    if let Some(terms) = &decision.terms {
        sentences.push(formula(terms, decision.recommended, decision.bound));
    }
    sentences.extend(decision.findings.iter().map(finding));
    match decision.acting {
        Acting::Acts => {}
        Acting::DryRun => sentences.push("Nothing is changed: this is a dry run.".to_owned()),
        Acting::HeldUntil(until) => sentences.push(format!("Nothing is changed: the count is held until {until}.")),
    }
    sentences.join(" ")
}

fn headline(decision: &Decision, held: Option<&str>) -> String {
    let (current, desired) = (decision.current, decision.desired);
    let change = if desired == current {
        format!("{} {}", replicas(current), if current == 1 { "stays" } else { "stay" })
    } else {
        format!("{current} → {}", replicas(desired))
    };
    let because = match decision.reason {
        Reason::Steady => "as many as needed".to_owned(),
        Reason::ScaleUp => "more are needed".to_owned(),
        Reason::ScaleDown => "fewer have been enough for long enough".to_owned(),
        Reason::Wake => "records have come".to_owned(),
        Reason::ScaleToZero => "there has been nothing to do for long enough".to_owned(),
        Reason::BelowMinimum => "there are fewer than the minimum".to_owned(),
        Reason::AboveMaximum => "there are more than the maximum".to_owned(),
        Reason::WaitingToScaleDown => "fewer would be enough, but have not been for long enough".to_owned(),
        Reason::Behind => "fewer would be enough once the backlog is gone".to_owned(),
        Reason::WaitingToScaleUp => waiting_to_scale_up(decision.terms.as_ref()),
        Reason::JudgingStep => "what the last step brings is seen first".to_owned(),
        Reason::Learning => "rates are known from the second look on".to_owned(),
        Reason::SignalUnknown | Reason::PodsChanging | Reason::CrashLooping | Reason::Rebalancing => {
            held.unwrap_or("something is waited for").to_owned()
        }
        Reason::Fallback => {
            format!("waiting took too long ({}): the fallback, or what there is", held.unwrap_or("no rest"))
        }
    };
    format!("{change}: {because}.")
}

fn waiting_to_scale_up(terms: Option<&Terms>) -> String {
    let mut text = "more are needed only once records wait for longer".to_owned();
    if let Some(Terms { expected_wait_seconds: expected, allowed_wait_seconds: allowed, .. }) = terms {
        // A string takes everything that is written to it.
        let _ = write!(
            text,
            "; by the time that a step would help they will have waited for {} s of the {} s that they may",
            number(*expected),
            number(*allowed),
        );
    }
    text
}

fn formula(terms: &Terms, recommended: Option<u32>, bound: Option<Bound>) -> String {
    let count = recommended.unwrap_or(0);
    let mut text = format!(
        "{} records wait and {} come each second; to be done within {} s that needs ({} + {} for a pause of {:.1} s) at \
         {:.0} % use and {} at {:.0} % use: {} per second",
        number(terms.waiting),
        number(terms.input),
        number(terms.drain_within_seconds),
        number(terms.need_of_backlog),
        number(terms.need_of_pause),
        terms.pause_seconds,
        USE_FOR_BACKLOG * 100.0,
        number(terms.need_of_input),
        terms.utilization * 100.0,
        number(terms.need),
    );
    // A string takes everything that is written to it.
    let _ = write!(text, "; one replica does {}", number(terms.capacity));
    if count > 0 {
        let _ = write!(
            text,
            ", so {} with {} of {} partitions at most has {}",
            replicas(count),
            partitions_of_fullest(terms.partitions, count),
            terms.partitions,
            number(terms.fullest_share),
        );
    }
    let (fewest, most) = terms.range;
    let held = match bound {
        None | Some(Bound::Need) => ".".to_owned(),
        Some(Bound::Minimum) => format!("; {fewest} is the minimum."),
        Some(Bound::Maximum) => format!("; {most} is the maximum."),
        Some(Bound::Partitions) => format!("; more than {most} would be without a partition."),
        Some(Bound::HotPartition) => "; more would not help the hottest partition.".to_owned(),
        Some(Bound::ProviderLimit) => "; the provider takes no more.".to_owned(),
        Some(Bound::ProviderFailing) => "; the provider fails most of what it gets.".to_owned(),
        Some(Bound::Ineffective) => "; the last step up did not help.".to_owned(),
    };
    text + &held
}

fn finding(finding: &Finding) -> String {
    match finding {
        Finding::HotPartition { topic, partition, needs, gets, waiting } => format!(
            "Partition {partition} of {topic} needs {} per second and a replica does {} for it at most, {} of its records \
             wait: other replicas cannot help it.",
            number(*needs),
            number(*gets),
            number(*waiting),
        ),
        Finding::PartitionStuck { topic, partition, done, waiting } => format!(
            "{} records of partition {partition} of {topic} wait while {} per second are done and slots are free: they wait \
             for each other, so replicas cannot help.",
            number(*waiting),
            number(*done),
        ),
        Finding::ProviderLimit { per_second, measured } => {
            let how = if *measured { "as measured" } else { "as declared" };
            format!("The provider takes {} per second at most, {how}.", number(*per_second))
        }
        Finding::ProviderFailing { share } => {
            format!("{:.0} % of what the provider gets fails: replicas cannot help.", share * 100.0)
        }
        Finding::StepWithoutEffect { from, to, gained, expected } => format!(
            "The step from {from} to {} brought {} of {} records per second more: no further step up.",
            replicas(*to),
            number(*gained),
            number(*expected),
        ),
        Finding::ThroughputDegraded { usual, now, since } => format!(
            "Since {since} a replica has been able to do {} per second, {:.0} % less than the usual {}.",
            number(*now),
            (1.0 - now / usual) * 100.0,
            number(*usual),
        ),
    }
}

impl Finding {
    /// In words and numbers.
    pub fn text(&self) -> String {
        finding(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, expected) in
            [(0.25, "0.2"), (99.0, "99"), (1234.6, "1,235"), (1e6, "1,000,000"), (-1234.0, "-1,234")]
        {
            assert_eq!(number(value), expected);
        }
    }
}

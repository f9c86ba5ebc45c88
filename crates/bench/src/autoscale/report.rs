//! Everything that a run of `bench autoscale` found, and what it writes. Pure.

pub mod svg;
pub mod table;
mod targets;

use anyhow::Context;
use serde::Serialize;

use super::{phase::Phase, sampler::Sample};
use crate::report::{Conditions, targets::Target};

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How.
    pub conditions: Conditions,
    /// What happened, in order.
    pub phases: Vec<Measured>,
    /// Every decision.
    pub samples: Vec<Sample>,
    /// Messages that were accepted and are not final; none while it runs.
    pub left: Option<i64>,
}

/// One part of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub title: &'static str,
    /// What came, for people.
    pub load: String,
    /// When it began, in seconds since the beginning.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// Messages that were accepted.
    pub accepted: u64,
}

/// The file `autoscale.json`.
#[derive(Serialize)]
struct Written<'a> {
    conditions: &'a Conditions,
    targets: Vec<Target>,
    phases: &'a [Measured],
    samples: &'a [Sample],
}

impl Report {
    /// Nothing was found yet.
    pub fn new(conditions: Conditions) -> Report {
        Report { conditions, phases: Vec::new(), samples: Vec::new(), left: None }
    }

    /// A part of the run is over.
    pub fn add_phase(&mut self, phase: &Phase, from: f64, to: f64, accepted: u64) {
        self.phases.push(Measured { title: phase.title, load: phase.what(), from, to, accepted });
    }

    /// The run is over.
    pub fn end(&mut self, samples: Vec<Sample>, left: i64) {
        self.samples = samples;
        self.left = Some(left);
    }

    /// One part of the run.
    pub fn phase(&self, title: &str) -> Option<&Measured> {
        self.phases.iter().find(|phase| phase.title == title)
    }

    /// The decisions of a part of the run.
    pub fn during<'a>(&'a self, phase: &'a Measured) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(|sample| (phase.from..phase.to).contains(&sample.seconds))
    }

    /// The decisions that changed the count.
    pub fn steps(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.desired != sample.asked_for)
    }

    /// What was asked of the product, and whether it is so.
    pub fn targets(&self) -> Vec<Target> {
        targets::judge(self)
    }

    /// The content of `autoscale.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let Report { conditions, phases, samples, .. } = self;
        let written = Written { conditions, targets: self.targets(), phases, samples };
        serde_json::to_string_pretty(&written).context("the report cannot be written as JSON")
    }
}

#[cfg(test)]
pub mod tests {
    use super::{super::phase::PHASES, *};
    use crate::report::{
        targets::{Outcome, tests::check},
        tests::conditions,
    };

    /// A decision at this second, from so many processors to so many, with so many messages that wait.
    pub fn sample(seconds: f64, asked_for: u32, desired: u32, waiting: f64) -> Sample {
        Sample {
            seconds,
            input: Some(100.0),
            done: Some(100.0),
            waiting: Some(waiting),
            oldest_seconds: Some(0.2),
            ready: Some(asked_for),
            asked_for,
            desired,
            epoch: Some(asked_for.into()),
            text: "words".to_owned(),
        }
    }

    /// Nothing happens at first; the burst brings three processors, and silence takes two away.
    pub fn complete() -> Report {
        let mut report = Report::new(conditions());
        for (phase, from) in PHASES.iter().zip([0.0, 100.0, 200.0, 300.0, 400.0]) {
            report.add_phase(phase, from, from + 100.0, 10_000);
        }
        let mut samples: Vec<_> = (0..30).map(|number| sample(f64::from(number) * 10.0, 1, 1, 0.0)).collect();
        samples.push(sample(302.0, 1, 3, 12_000.0));
        samples.push(Sample { ready: Some(1), ..sample(304.0, 3, 3, 12_000.0) });
        samples.push(sample(306.0, 3, 3, 11_000.0));
        samples.push(sample(320.0, 3, 3, 5000.0));
        samples.push(sample(332.0, 3, 3, 20.0));
        samples.push(sample(460.0, 3, 1, 0.0));
        samples.push(sample(490.0, 1, 1, 0.0));
        report.end(samples, 0);
        report
    }

    #[test]
    fn a_run_is_judged_by_its_constant_part_its_burst_and_what_is_left() {
        let targets = complete().targets();
        check(&targets, "steps while the load is constant", Some(0.0), Outcome::Met);
        check(&targets, "rebalances while the load is constant", Some(0.0), Outcome::Met);
        check(&targets, "seconds from the last processor", Some(26.0), Outcome::Met);
        check(&targets, "processors at the end", Some(1.0), Outcome::Met);
        check(&targets, "accepted messages that are not final", Some(0.0), Outcome::Met);
    }

    #[test]
    fn what_went_wrong_is_missed() {
        let mut report = complete();
        report.samples[20] = sample(50.0, 1, 2, 0.0);
        report.left = Some(7);
        let targets = report.targets();
        check(&targets, "steps while the load is constant", Some(1.0), Outcome::Missed);
        check(&targets, "accepted messages that are not final", Some(7.0), Outcome::Missed);
    }

    #[test]
    fn the_json_has_every_decision() {
        let json: serde_json::Value = serde_json::from_str(&complete().to_json().expect("JSON")).expect("JSON");
        assert_eq!(json["samples"].as_array().map(Vec::len), Some(37));
        assert_eq!(json["phases"][3]["title"], "burst");
    }
}

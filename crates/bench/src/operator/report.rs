//! Everything that a run of `bench operator` found, and what it writes. Pure.

pub mod svg;
pub mod table;
mod targets;

use anyhow::Context;
use serde::Serialize;

use super::measurement::{Convergence, Steady};
use crate::report::{Conditions, targets::Target};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How.
    pub conditions: Conditions,
    /// How many pipelines there were, of four topics each.
    pub pipelines: u32,
    /// The first time.
    pub convergence: Convergence,
    /// While nothing changed.
    pub steady: Steady,
}

/// The file `operator.json`.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    report: &'a Report,
    targets: Vec<Target>,
}

impl Report {
    /// What was asked of the product, and whether it is so.
    pub fn targets(&self) -> Vec<Target> {
        targets::judge(self)
    }

    /// Calls that describe topics for each time that all pipelines were looked at.
    fn describes(&self) -> f64 {
        self.steady.counts.describes_per_resync(self.pipelines)
    }

    /// The content of `operator.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let written = Written { report: self, targets: self.targets() };
        serde_json::to_string_pretty(&written).context("the report cannot be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::measurement::tests::counts, *};
    use crate::{processes::Memory, report::tests::conditions};

    pub fn complete() -> Report {
        let memory = Memory { resident_mb: 100.0, peak_mb: 150.0 };
        let convergence = Convergence { seconds: 60.0, half_seconds: 30.0, reconciles: counts(), memory };
        let steady = Steady { minutes: 10, ready: 50, counts: counts(), cpu_seconds: 6.0, memory };
        Report { conditions: conditions(), pipelines: 50, convergence, steady }
    }

    #[test]
    fn the_json_has_conditions_figures_and_targets() {
        let json: Value = serde_json::from_str(&complete().to_json().expect("JSON")).expect("JSON");
        assert_eq!((&json["pipelines"], &json["conditions"]["cpus"]), (&50.into(), &2.into()));
        assert_eq!(json["steady"]["counts"]["writes"]["APPLY services"], 3.0);
        assert_eq!(json["targets"][0]["outcome"], "missed");
    }
}

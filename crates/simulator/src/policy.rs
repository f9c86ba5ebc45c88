//! Who decides how many replicas there are. One file per formula; each names where it is published.

mod brandwatch;
mod clairvoyant;
mod drain_slo;
mod fixed;
mod hpa;
mod hpa_cpu;
mod keda_lag;
mod numaflow;
mod prompt;

use std::{fmt, str::FromStr};

use autoscaler::Decision;
pub(crate) use clairvoyant::{ALLOWED, Clairvoyant};

use crate::{scenario::Scenario, world::World};

/// A formula with what it remembers.
pub trait Policy {
    /// Called every second; how many replicas there should be, if that is to change.
    fn decide(&mut self, world: &World<'_>) -> Option<u32>;

    /// The decisions that it explains, where it does: those that differ from the one before, and the last one.
    fn decisions(&self) -> &[Decision] {
        &[]
    }
}

/// The policies that can be named, with what a number behind the name means.
pub const ALL: [(&str, &str); 9] = [
    ("drain-slo", "the rule of this autoscaler"),
    ("keda-lag", "KEDA's Kafka scaler and an HPA with its defaults, lagThreshold 10, or another as in keda-lag:5000"),
    ("keda-lag-tuned", "the same with half of what one replica does within drain_within as lagThreshold"),
    ("numaflow", "Numaflow's autoscaling of sources with its defaults"),
    ("brandwatch", "Brandwatch's kafka-pod-autoscaler, with drain_within as its SLA"),
    ("hpa-cpu", "a HorizontalPodAutoscaler on CPU at 70 %, or another target as in hpa-cpu:50"),
    ("fixed", "always the maximum, or another count as in fixed:3"),
    ("prompt", "one who knows the input beforehand and lets nothing wait"),
    ("clairvoyant", "the cheapest plan of one who knows the whole trace beforehand"),
];

/// A policy by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyName {
    kind: &'static str,
    number: Option<u32>,
}

/// That no policy has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPolicy {
    /// None is called so.
    #[error("there is no policy {0:?}; policies are {names}", names = ALL.map(|(name, _)| name).join(", "))]
    Name(String),
    /// What is behind the name is no number that it can take.
    #[error("{0:?} must be a policy's name, or keda-lag, hpa-cpu or fixed with a number above 0, as in keda-lag:5000")]
    Number(String),
}

impl FromStr for PolicyName {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        let known = ALL.iter().find(|(known, _)| *known == name);
        let kind = known.ok_or_else(|| UnknownPolicy::Name(name.to_owned()))?.0;
        let number = match number {
            None => None,
            Some(number) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                let takes = ["keda-lag", "hpa-cpu", "fixed"].contains(&kind);
                Some(number.filter(|_| takes).ok_or_else(|| UnknownPolicy::Number(text.to_owned()))?)
            }
        };
        Ok(PolicyName { kind, number })
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            None => formatter.write_str(self.kind),
            Some(number) => write!(formatter, "{}:{number}", self.kind),
        }
    }
}

impl PolicyName {
    /// The policies that are compared when nobody chooses.
    pub fn all() -> Vec<PolicyName> {
        ALL.iter().map(|(kind, _)| PolicyName { kind, number: None }).collect()
    }

    /// The one that knows everything beforehand.
    pub fn clairvoyant() -> PolicyName {
        PolicyName { kind: "clairvoyant", number: None }
    }

    /// Always the maximum.
    pub fn most() -> PolicyName {
        PolicyName { kind: "fixed", number: None }
    }

    /// The rule of this autoscaler.
    pub fn drain_slo() -> PolicyName {
        PolicyName { kind: "drain-slo", number: None }
    }

    /// The formula at the beginning of a scenario; not of the one that knows the trace, which is planned.
    pub(crate) fn begin(&self, scenario: &Scenario) -> Box<dyn Policy> {
        let settings = &scenario.settings;
        match self.kind {
            "drain-slo" => Box::new(drain_slo::DrainSlo::new(settings)),
            "keda-lag" => Box::new(keda_lag::KedaLag::new(settings, f64::from(self.number.unwrap_or(10)))),
            "keda-lag-tuned" => {
                let threshold = scenario.capacity_at(0) * settings.drain_within.as_secs_f64() / 2.0;
                Box::new(keda_lag::KedaLag::new(settings, threshold))
            }
            "numaflow" => Box::new(numaflow::Numaflow::new(settings)),
            "brandwatch" => Box::new(brandwatch::Brandwatch::new(settings)),
            "hpa-cpu" => Box::new(hpa_cpu::HpaCpu::new(settings, f64::from(self.number.unwrap_or(70)) / 100.0)),
            "prompt" => Box::new(prompt::Prompt::new(scenario)),
            _ => Box::new(fixed::Fixed(self.number.unwrap_or(settings.max_replicas))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_known_by_their_names() {
        for (name, _) in ALL {
            assert_eq!(name.parse::<PolicyName>().expect("a policy").to_string(), name);
        }
        assert_eq!("keda-lag:5000".parse::<PolicyName>().expect("a policy").to_string(), "keda-lag:5000");
    }

    #[test]
    fn other_names_are_refused() {
        let refused = |text: &str| text.parse::<PolicyName>().expect_err("no policy").to_string();
        assert!(refused("keda").starts_with("there is no policy \"keda\"; policies are drain-slo, keda-lag, "));
        for text in ["numaflow:3", "keda-lag:0", "fixed:x"] {
            assert!(refused(text).contains("with a number above 0"), "{text}");
        }
    }
}

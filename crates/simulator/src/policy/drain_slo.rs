//! The rule of this autoscaler: the code that runs in production, asked as the operator asks it.

use autoscaler::{Decision, Memory, Settings, decide};

use super::Policy;
use crate::world::World;

/// How many decisions are kept for people: those that say something new.
const KEPT: usize = 2000;

pub struct DrainSlo {
    settings: Settings,
    memory: Memory,
    decisions: Vec<Decision>,
}

impl DrainSlo {
    pub fn new(settings: &Settings) -> DrainSlo {
        DrainSlo { settings: settings.clone(), memory: Memory::default(), decisions: Vec::new() }
    }
}

impl Policy for DrainSlo {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        if !u64::from(world.second).is_multiple_of(self.settings.interval.as_secs()) {
            return None;
        }
        let (decision, memory) = decide(&self.settings, &world.signals(), &self.memory);
        self.memory = memory;
        let replicas = decision.to_apply();
        let told = |decision: &Decision| {
            let findings: Vec<_> = decision.findings.iter().map(std::mem::discriminant).collect();
            (decision.reason, decision.bound, decision.to_apply(), findings)
        };
        let is_new = self.decisions.last().is_none_or(|before| told(before) != told(&decision));
        if is_new && self.decisions.len() < KEPT {
            self.decisions.push(decision);
        }
        replicas
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }
}

//! What happens one after the other.

use crate::number::number;

/// How many messages one POST of a burst carries.
pub const BATCH: usize = 500;

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its name.
    pub title: &'static str,
    /// How long it takes; none for as long as the user says.
    pub seconds: Option<u32>,
    /// Messages that come at its beginning.
    pub at_once: usize,
    /// Messages that come each second.
    pub per_second: u32,
}

/// A load that stays, one that is five times as much, a burst, and nothing at all.
pub const PHASES: [Phase; 5] = [
    Phase { title: "constant", seconds: None, at_once: 0, per_second: 100 },
    Phase { title: "step", seconds: Some(150), at_once: 0, per_second: 500 },
    Phase { title: "back", seconds: Some(150), at_once: 0, per_second: 100 },
    Phase { title: "burst", seconds: Some(150), at_once: 12_000, per_second: 100 },
    Phase { title: "silence", seconds: Some(150), at_once: 0, per_second: 0 },
];

impl Phase {
    /// What comes, for people.
    pub fn what(&self) -> String {
        let rate = if self.per_second == 0 { "nothing".to_owned() } else { format!("{} per second", self.per_second) };
        match self.at_once {
            0 => rate,
            at_once => format!("{} at once, then {rate}", number(at_once as f64)),
        }
    }
}

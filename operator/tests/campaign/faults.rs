//! What happens to one call of the operator, and which call that is.
//!
//! Calls have no number of their own, because topics and objects are done side by side: a call is known by what it asks for,
//! with placeholders for what differs from one trial to the next, and by how often the same was asked for before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::stale::{Answer, Question};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process ends before the call is made.
    CrashBefore,
    /// The process ends when the call has had its effect, and before it knows.
    CrashAfter,
    /// The call has its effect, and its caller is told of an error.
    LostReply,
    /// The call has no effect, and its caller is told of an error.
    Refused,
    /// The caller is told what the same call gave before what the user did.
    Stale,
}

impl Fault {
    pub const ALL: [Self; 5] = [Self::CrashBefore, Self::CrashAfter, Self::LostReply, Self::Refused, Self::Stale];
}

/// What a call does outside of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing; and how the same is asked for again, where the answer may be an old one.
    Read(Option<Question>),
    /// It makes or changes something.
    Write,
    /// It deletes something, or ends replicas.
    Destroy,
}

impl Effect {
    /// The faults that differ. A crash after a read is one before it, and so is a lost reply a refusal: whoever asked
    /// knows nothing, and nothing was changed.
    pub fn faults(&self) -> &'static [Fault] {
        use Fault::{CrashAfter, CrashBefore, LostReply, Refused, Stale};
        match self {
            Self::Read(None) => &[CrashBefore, Refused],
            Self::Read(Some(_)) => &[CrashBefore, Refused, Stale],
            Self::Write | Self::Destroy => &[CrashBefore, CrashAfter, LostReply, Refused],
        }
    }
}

/// One call of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// What is asked for.
    pub call: String,
    /// How often it was asked for before.
    pub before: u32,
}

/// All calls of the operators of one trial, one process after the other.
pub struct Calls {
    /// Which call is disturbed, and how.
    pub disturbed: Option<(Point, Fault)>,
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    /// What differs from one trial to the next, and what stands for it.
    placeholders: Vec<(String, &'static str)>,
    /// Whether calls are those of the scenario, and not what goes before it.
    counts: bool,
    made: BTreeMap<String, u32>,
    recorded: Vec<(Point, Effect)>,
    destroyed: BTreeSet<String>,
    stale: Option<Answer>,
    /// How many calls have changed something, or may have.
    changes: u32,
    /// The versions that writes have left.
    versions: BTreeMap<String, String>,
    under_way: u32,
    has_struck: bool,
}

impl Calls {
    pub fn new(disturbed: Option<(Point, Fault)>) -> Self {
        Self { disturbed, state: Mutex::default(), crashed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on `placeholder` stands for `text`.
    pub fn name(&self, text: &str, placeholder: &'static str) {
        let mut state = self.state();
        state.placeholders.retain(|(known, _)| known != text);
        state.placeholders.push((text.to_owned(), placeholder));
    }

    pub fn with_placeholders(&self, text: &str) -> String {
        let state = self.state();
        let named = |text: String, (name, placeholder): &(String, &'static str)| text.replace(name, placeholder);
        state.placeholders.iter().rev().fold(text.to_owned(), named)
    }

    pub fn without_placeholders(&self, text: &str) -> String {
        let state = self.state();
        let named = |text: String, (name, placeholder): &(String, &'static str)| text.replace(placeholder, name);
        state.placeholders.iter().rev().fold(text.to_owned(), named)
    }

    /// The scenario begins.
    pub fn begin(&self, old: Option<Answer>) {
        let mut state = self.state();
        (state.counts, state.stale) = (true, old);
    }

    /// A call is about to be made; tells what happens to it.
    pub fn ask(&self, call: &str, effect: Effect) -> Option<Fault> {
        let call = self.with_placeholders(call);
        let mut state = self.state();
        state.under_way += 1;
        if !state.counts {
            return None;
        }
        let before = state.made.entry(call.clone()).or_default();
        let point = Point { call, before: *before };
        *before += 1;
        let fault = self.disturbed.as_ref().filter(|(disturbed, _)| *disturbed == point).map(|(_, fault)| *fault);
        state.has_struck |= fault.is_some();
        if effect == Effect::Destroy && !matches!(fault, Some(Fault::CrashBefore | Fault::Refused)) {
            state.destroyed.insert(point.call.clone());
        }
        state.recorded.push((point, effect));
        fault
    }

    /// A call has ended.
    pub fn ended(&self) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
    }

    /// What the disturbed call gave before what the user did.
    pub fn stale(&self) -> Option<Answer> {
        self.state().stale.clone()
    }

    /// The process ends here.
    pub async fn crash(&self) {
        self.state().under_way = 0;
        self.crashed.notify_one();
        std::future::pending::<()>().await;
    }

    /// Until the process ends.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// Until no call was under way for a while.
    pub async fn idle(&self) {
        let mut quiet = 0;
        while quiet < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            quiet = if self.state().under_way == 0 { quiet + 1 } else { 0 };
        }
    }

    /// Something was changed, or may have been. Where the `version` that was left is known, an apply that changes nothing
    /// leaves the same one as that before it.
    pub fn changed(&self, what: &str, version: Option<String>) {
        let mut state = self.state();
        let Some(version) = version else {
            state.changes += 1;
            return;
        };
        let before = state.versions.insert(what.to_owned(), version.clone());
        state.changes += u32::from(before != Some(version));
    }

    pub fn changes(&self) -> u32 {
        self.state().changes
    }

    /// Every call of the scenario.
    pub fn recorded(&self) -> Vec<(Point, Effect)> {
        self.state().recorded.clone()
    }

    /// What was deleted or ended.
    pub fn destroyed(&self) -> BTreeSet<String> {
        self.state().destroyed.clone()
    }

    /// Whether the disturbed call was made.
    pub fn has_struck(&self) -> bool {
        self.state().has_struck
    }
}

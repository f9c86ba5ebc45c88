//! Disturbs calls to the brokers.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

use kafka::{Call, Error, Interceptor, Said};

use crate::{
    faults::{Calls, Effect, Fault},
    stale::{self, Question},
};

/// Disturbs what `Calls` tells.
pub struct Disturbing {
    calls: Arc<Calls>,
    /// What happens to a call that is under way.
    struck: Mutex<Option<(Call, Fault)>>,
}

impl Disturbing {
    pub fn new(calls: Arc<Calls>) -> Self {
        Self { calls, struck: Mutex::default() }
    }
}

impl Interceptor for Disturbing {
    fn before<'a>(&'a self, call: &'a Call) -> Said<'a> {
        Box::pin(async {
            let (asked, effect) = (format!("{} {}", call.name, call.about.join(",")), effect(call, &self.calls));
            if !matches!(effect, Effect::Read(_)) {
                self.calls.changed(&asked, None);
            }
            let fault = self.calls.ask(&asked, effect);
            match fault {
                Some(Fault::CrashBefore) => self.calls.crash().await,
                Some(Fault::Refused) => {
                    self.calls.ended();
                    return Err(Error::Call { call: call.name, reason: "refused by the campaign".to_owned() });
                }
                Some(fault) => {
                    *self.struck.lock().unwrap_or_else(PoisonError::into_inner) = Some((call.clone(), fault));
                }
                None => {}
            }
            Ok(())
        })
    }

    fn after<'a>(&'a self, call: &'a Call, said: Result<&'a mut (dyn Any + Send), &'a Error>) -> Said<'a> {
        Box::pin(async move {
            let fault = {
                let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
                struck.take_if(|(asked, _)| asked == call).map(|(_, fault)| fault)
            };
            if fault == Some(Fault::CrashAfter) {
                self.calls.crash().await;
            }
            self.calls.ended();
            match (fault, said, self.calls.stale()) {
                (Some(Fault::LostReply), ..) => {
                    Err(Error::Call { call: call.name, reason: "reply lost by the campaign".to_owned() })
                }
                (Some(Fault::Stale), Ok(answer), Some(old)) => {
                    stale::replace(answer, old);
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    }
}

fn effect(call: &Call, calls: &Calls) -> Effect {
    let about = || call.about.iter().map(|about| calls.with_placeholders(about)).collect();
    match call.name {
        "DescribeTopics" => Effect::Read(Some(Question::Topics(about()))),
        "DescribeConfigs" => Effect::Read(Some(Question::Configs(about()))),
        // Where a log ends is never told too low (KIP-207), and what is read of it does not change.
        "ListOffsets" | "Fetch" => Effect::Read(None),
        "DeleteTopics" => Effect::Destroy,
        _ => Effect::Write,
    }
}

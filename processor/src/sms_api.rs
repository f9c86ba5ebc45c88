//! Tells sms-api what became of messages, and asks it whether they may be sent, until it answers.
//!
//! Knows nothing of Kafka or providers. What many ask at the same time travels together; what sms-api will never take ends
//! as such, everything else is tried again for ever, for as long as somebody awaits it: dropping the future is how to give
//! up. Reports and claims share one breaker: whoever cannot take the ones cannot take the others.

mod breaker;
mod circuit;
mod claims;
mod exchange;
mod gather;
mod reports;
mod request;
mod token;

use std::{path::Path, sync::Arc};

use contract::{Claim, ClaimOutcome, DeliveryReport};
use reqwest::Url;
use telemetry::Check;
use tokio::sync::watch;

use self::{
    circuit::Circuit,
    claims::{ClaimExchange, ReleaseExchange},
    gather::Gathering,
    reports::ReportExchange,
    request::Requests,
};
use crate::{metrics::Metrics, outage::Outage};

/// sms-api's internal port. Cheap to clone; clones share its connections.
#[derive(Clone, Debug)]
pub struct SmsApi {
    reports: Gathering<ReportExchange>,
    claims: Gathering<ClaimExchange>,
    releases: Gathering<ReleaseExchange>,
    is_held_up: watch::Receiver<bool>,
}

/// sms-api's last word on one report or claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It has read it, and says this.
    Of(T),
    /// It will never take it.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// What sms-api did with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The message's status is stored, or was final before.
    Accepted,
    /// It knows no such message.
    UnknownMessage,
}

impl SmsApi {
    /// Reads the token; no connection is opened yet. To be called inside the async runtime.
    pub fn new(base: &Url, token_file: &Path, check: Check, metrics: Metrics) -> anyhow::Result<Self> {
        let requests = Arc::new(Requests::new(base, token_file)?);
        let circuit = Arc::new(Circuit::new(requests.base().clone(), Outage::new(check), metrics));
        Ok(Self {
            is_held_up: circuit.follow(),
            reports: Gathering::start(&requests, &circuit)?,
            claims: Gathering::start(&requests, &circuit)?,
            releases: Gathering::start(&requests, &circuit)?,
        })
    }

    /// Reports what became of a message. What is returned ends only when sms-api has given its last word.
    pub fn report(
        &self,
        report: DeliveryReport,
        traceparent: Option<String>,
    ) -> impl Future<Output = Answer<Reported>> + use<> {
        self.reports.ask(report, traceparent)
    }

    /// Asks whether a message may be sent. Ends as a report does.
    pub fn claim(
        &self,
        claim: Claim,
        traceparent: Option<String>,
    ) -> impl Future<Output = Answer<ClaimOutcome>> + use<> {
        self.claims.ask(claim, traceparent)
    }

    /// Gives a claim back whose message was not sent, so that whoever gets the record next may send it. Ends as a report does.
    pub fn release(&self, claim: Claim, traceparent: Option<String>) -> impl Future<Output = Answer<()>> + use<> {
        self.releases.ask(claim, traceparent)
    }

    /// Whether it is left alone because too many requests failed; followed as it changes. There is no point in sending
    /// more messages.
    pub fn is_held_up(&self) -> watch::Receiver<bool> {
        self.is_held_up.clone()
    }
}

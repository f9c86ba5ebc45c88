//! The delivery of one message: may it be sent, send it, what follows, report it.

use std::time::{Duration, Instant};

use contract::{Claim, DeliveryReport, DeliveryStatus, SmsRequestedV1};
use jiff::Timestamp;
use telemetry::trace_context::traceparent_of;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use uuid::Uuid;

use super::Processing;
use crate::{
    consumer::Unprocessable,
    decide::{
        Conclusion, Decision, Found, Outcome, Permission, decide, decide_found, has_expired, is_asked_about, permission,
    },
    provider::Send,
    record::Record,
    sms_api::{Answer, Reported},
};

/// A message on its way. What its steps need is in one place, and not in each of them: hundreds of thousands wait at once,
/// and a future keeps its arguments twice.
pub(super) struct Delivery<'a> {
    pub by: &'a Processing,
    pub record: &'a Record,
    pub message: SmsRequestedV1,
    /// Cancelled when the record is to be left to somebody else.
    pub retired: &'a CancellationToken,
    /// How often the provider was given the message, not counting when it asked to slow down.
    pub attempts: &'a mut u32,
}

/// How the provider is called next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It is given the message.
    Send,
    /// It is asked whether it has the message.
    Ask,
}

/// Why the work on a record ends before its message is sent.
pub(super) enum Ended {
    /// It is left to somebody else, who may send it.
    Left,
    /// It is left to somebody else, who has to ask the provider first.
    LeftInDoubt,
    /// There is nothing to do.
    Skipped,
    /// It goes to the dead letter topic.
    Unprocessable(Unprocessable),
}

impl Delivery<'_> {
    /// From the question whether the message may be sent to the report of what became of it.
    pub(super) async fn run(&mut self) -> Result<DeliveryStatus, Ended> {
        let conclusion = self.conclude().await?;
        let report = report_of(&self.message, conclusion);
        let status = report.status;
        match self.by.sms_api.report(report, traceparent_of(&Span::current())).await {
            Answer::Of(Reported::Accepted) => Ok(status),
            Answer::Of(Reported::UnknownMessage) => Err(Ended::Unprocessable(Unprocessable::unknown_message())),
            Answer::Invalid { reason } => Err(Ended::Unprocessable(Unprocessable::new("invalid-report", reason))),
        }
    }

    /// Sends the message, if it may be sent.
    async fn conclude(&mut self) -> Result<Conclusion, Ended> {
        let claim = self.claim().map(Box::new);
        let permission = self.ask(claim.as_deref()).await?;
        match permission {
            Permission::Send => {
                let sent = self.send(Step::Send).await;
                if let (Err(Ended::Left), Some(claim)) = (&sent, claim) {
                    Box::pin(self.by.sms_api.release(*claim, traceparent_of(&Span::current()))).await;
                }
                sent
            }
            Permission::AskProvider => {
                // An owner of the partition that has just lost it may still be sending, for as long as that may take.
                Box::pin(self.wait(self.by.provider.timeout())).await.map_err(|_| Ended::LeftInDoubt)?;
                self.send(Step::Ask).await
            }
            Permission::Skip => Err(Ended::Skipped),
            Permission::UnknownMessage => Err(Ended::Unprocessable(Unprocessable::unknown_message())),
            Permission::Hold => {
                let reason = "it may have been sent: a processor ended before it could tell".to_owned();
                Ok(Conclusion::Unknown { reason })
            }
        }
    }

    /// Ours, in this life of the record; `None` where the policy has no doubt that the message may be sent.
    fn claim(&self) -> Option<Claim> {
        let Record { put_at, is_doubtful, .. } = *self.record;
        let age = put_at.and_then(|put_at| Duration::try_from(Timestamp::now().duration_since(put_at)).ok());
        let SmsRequestedV1 { message_id, attempt, .. } = self.message;
        is_asked_about(self.by.policy, is_doubtful, age.unwrap_or_default()).then(|| Claim {
            message_id,
            attempt,
            claimant: Uuid::now_v7(),
        })
    }

    /// Whether the message may be sent; sms-api is asked only where a claim is needed.
    async fn ask(&self, claim: Option<&Claim>) -> Result<Permission, Ended> {
        let Some(&claim) = claim else { return Ok(Permission::Send) };
        match self.by.sms_api.claim(claim, traceparent_of(&Span::current())).await {
            Answer::Of(claimed) => Ok(permission(claimed, self.by.policy)),
            Answer::Invalid { reason } => Err(Ended::Unprocessable(Unprocessable::new("invalid-claim", reason))),
        }
    }

    /// Tries until the policy has seen enough, or it is too late.
    async fn send(&mut self, mut step: Step) -> Result<Conclusion, Ended> {
        let mut asked = 0;
        // Why an earlier attempt may have reached the phone.
        let mut doubt = None;
        loop {
            let decision = match step {
                // It may have taken long until sending was allowed, and whoever gets the partition now waits for us.
                Step::Send if self.retired.is_cancelled() => return Err(Ended::Left),
                Step::Send if self.message.expires_at.is_some_and(|at| has_expired(at, Timestamp::now())) => {
                    return Ok(doubt.map_or(Conclusion::Expired, |reason| Conclusion::Unknown { reason }));
                }
                Step::Send => {
                    self.by.metrics.attempted();
                    *self.attempts += 1;
                    let outcome = self.by.provider.send(&self.message).await;
                    if let Outcome::Unknown { reason } = &outcome {
                        doubt = Some(reason.clone());
                    }
                    decide(outcome, *self.attempts, self.by.policy, fastrand::f64())
                }
                Step::Ask => {
                    asked += 1;
                    let found = Box::pin(self.by.provider.query(&self.message)).await;
                    if found == Found::NotSent {
                        doubt = None;
                    }
                    decide_found(found, *self.attempts, asked, self.by.policy, fastrand::f64())
                }
            };
            match decision {
                Decision::Report(conclusion) => return Ok(conclusion),
                Decision::RetryAfter(delay) => {
                    Box::pin(self.wait(delay)).await?;
                    (step, asked) = (Step::Send, 0);
                }
                Decision::AskAfter(delay) => {
                    Box::pin(self.wait(delay)).await.map_err(|_| Ended::LeftInDoubt)?;
                    step = Step::Ask;
                }
                Decision::SlowDown(delay) => {
                    *self.attempts -= 1;
                    self.by.throttle.pace().close(Instant::now() + delay);
                    Box::pin(self.wait(delay)).await?;
                }
            }
        }
    }

    /// Waits until the provider may be called again. It is not busy with the message meanwhile, so whoever gets its
    /// partition need not wait for us.
    async fn wait(&self, delay: Duration) -> Result<(), Ended> {
        let may_be_made = async {
            tokio::time::sleep(delay).await;
            self.by.throttle.until_admitted().await;
        };
        tokio::select! {
            () = may_be_made => Ok(()),
            () = self.retired.cancelled() => Err(Ended::Left),
        }
    }
}

/// What sms-api is told of a message.
fn report_of(message: &SmsRequestedV1, conclusion: Conclusion) -> DeliveryReport {
    let mut report = DeliveryReport {
        message_id: message.message_id,
        status: DeliveryStatus::Expired,
        failure_reason: None,
        processed_at: Some(Timestamp::now()),
        attempt: Some(message.attempt),
        transient: false,
        provider_message_id: None,
    };
    match conclusion {
        Conclusion::Sent { provider_message_id } => {
            (report.status, report.provider_message_id) = (DeliveryStatus::Sent, provider_message_id);
        }
        Conclusion::Failed { reason, transient } => {
            (report.status, report.failure_reason) = (DeliveryStatus::Failed, Some(reason));
            report.transient = transient;
        }
        Conclusion::Expired => {}
        Conclusion::Unknown { reason } => {
            (report.status, report.failure_reason) = (DeliveryStatus::Unknown, Some(reason));
        }
    }
    report
}

//! Providers that are spoken to over HTTP: the examples against servers that behave as the providers' documentation says,
//! and what goes wrong on the way to any of them.

mod outages;
mod query;
mod secrets;
mod twilio;
mod vonage;
mod vonage_messages;

use contract::SmsRequestedV1;
use sms_processor::{
    decide::Outcome,
    provider::{Provider, Send, Settings},
};
use telemetry::Health;

use crate::provider_end::{ProviderEnd, SecretFiles, example};

const TWILIO: (&str, &str) = ("twilio-provider.json", "https://api.twilio.com");
const VONAGE: (&str, &str) = ("vonage-provider.json", "https://rest.nexmo.com");
const VONAGE_MESSAGES: (&str, &str) = ("vonage-messages-provider.json", "https://api.nexmo.com");

fn provider(settings: &str) -> Provider {
    let settings = Settings::parse(settings).expect("usable settings");
    Provider::new(&settings, Health::default().check("provider")).expect("usable settings")
}

fn twilio_secrets() -> SecretFiles {
    SecretFiles::new(&[("accountSid", "AC0123\n"), ("authToken", "s3cret\n")])
}

fn twilio(end: &ProviderEnd, secrets: &SecretFiles, timeout: &str) -> String {
    example(TWILIO.0, TWILIO.1, end, secrets, timeout)
}

fn vonage(end: &ProviderEnd, secrets: &SecretFiles) -> String {
    example(VONAGE.0, VONAGE.1, end, secrets, "10s")
}

fn vonage_messages(end: &ProviderEnd, secrets: &SecretFiles) -> String {
    example(VONAGE_MESSAGES.0, VONAGE_MESSAGES.1, end, secrets, "10s")
}

/// What comes of one message.
async fn sent(settings: &str, message: &SmsRequestedV1) -> Outcome {
    provider(settings).send(message).await
}

//! The provider as the processor is told of it: the resource's words, with files in place of Secrets.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Value, json};

use super::pod::secret_file;
use crate::crd::Provider;

/// The value of the processor's setting PROVIDER.
pub(super) fn settings(provider: &Provider) -> String {
    let mut settings = json!(provider);
    for (name, reference) in provider.secrets() {
        if let Some(secret) = settings.pointer_mut(&format!("/http/secrets/{name}")) {
            *secret = json!({ "file": secret_file(&purpose(provider, &reference.name), &reference.key) });
        }
    }
    without_dollars(&settings)
}

/// The Secrets to mount: what they are for, and their names.
pub(super) fn secrets(provider: &Provider) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    names(provider).into_iter().map(|name| (purpose(provider, name).into(), name.to_owned()))
}

/// Counted, because not every name of a Secret can name a volume.
fn purpose(provider: &Provider, secret: &str) -> String {
    let number = names(provider).into_iter().take_while(|name| *name != secret).count();
    format!("provider-{number}")
}

fn names(provider: &Provider) -> BTreeSet<&str> {
    provider.secrets().map(|(_, reference)| reference.name.as_str()).collect()
}

/// Kubernetes reads `$$` and `$(NAME)` in environment variables as something else than what they are. In JSON a dollar
/// can stand only in a string, where it can be written without one.
fn without_dollars(settings: &Value) -> String {
    settings.to_string().replace('$', r"\u0024")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::{build::golden, fixtures::pipeline_with_http_provider},
        crd::{SecretKeyRef, SmsPipeline},
    };

    fn provider() -> Provider {
        pipeline_with_http_provider().spec.processor.provider
    }

    #[test]
    fn each_secret_is_mounted_once_and_named_by_the_file_of_its_key() {
        let mut provider = provider();
        let http = provider.http.as_mut().expect("the fixture's provider");
        let other = SecretKeyRef { name: "a.dotted.name".to_owned(), key: "key.pem".to_owned() };
        http.secrets.insert("other".to_owned(), other);
        let mounted: Vec<_> = secrets(&provider).collect();
        let expected = [("provider-0", "a.dotted.name"), ("provider-1", "twilio")];
        assert_eq!(mounted, expected.map(|(purpose, name)| (purpose.into(), name.to_owned())));
        let settings: Value = serde_json::from_str(&settings(&provider)).expect("JSON");
        assert_eq!(
            settings["http"]["secrets"],
            json!({
                "accountSid": { "file": "/etc/sms/secrets/provider-1/accountSid" },
                "authToken": { "file": "/etc/sms/secrets/provider-1/authToken" },
                "other": { "file": "/etc/sms/secrets/provider-0/key.pem" },
            })
        );
    }

    /// What the examples become for the processor, whose tests try it: `UPDATE=1 cargo test` rewrites the files.
    #[test]
    fn the_examples_become_these_settings() {
        for (file, example) in [
            ("twilio-provider.json", include_str!("../../../../crds/examples/twilio.yaml")),
            ("vonage-provider.json", include_str!("../../../../crds/examples/vonage.yaml")),
            ("vonage-messages-provider.json", include_str!("../../../../crds/examples/vonage-messages.yaml")),
        ] {
            let pipeline: SmsPipeline = crate::yaml::read(example).expect("the example is a pipeline");
            let settings: Value = serde_json::from_str(&settings(&pipeline.spec.processor.provider)).expect("JSON");
            let rendered = serde_json::to_string_pretty(&settings).expect("settings encode") + "\n";
            golden::check(file, &rendered);
        }
    }

    #[test]
    fn a_dollar_reaches_the_processor_as_it_was_written() {
        let mut provider = provider();
        let http = provider.http.as_mut().expect("the fixture's provider");
        http.headers.insert("X-Price".to_owned(), "$$5 $(HOME)".to_owned());
        let settings = settings(&provider);
        assert!(!settings.contains('$'), "{settings}");
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        assert_eq!(settings["http"]["headers"]["X-Price"], "$$5 $(HOME)");
    }
}

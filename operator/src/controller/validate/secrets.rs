//! What the Secrets that a pipeline names must hold, and what is told when they do not.

use std::collections::BTreeMap;

use super::Authentication;
use crate::{
    controller::dereference::{Lookup, Sensitive},
    crd::{self, Anonymous, DatabaseSecretRef, Provider, SecretKeyRef},
};

const DATABASE_FIELD: &str = "spec.database.urlSecretRef";
const API_KEYS_FIELD: &str = "spec.api.authentication.apiKeysSecretRef";
pub(super) const PROVIDER_FIELD: &str = "spec.processor.provider.http.secrets";

/// Why a pipeline cannot be built as it is. The messages are shown in its conditions and name what to do. A value
/// of a Secret is never shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A Secret is not there.
    #[error("Secret {name:?}, named by {field}, does not exist {place}: create it")]
    NoSecret {
        /// The field that names it.
        field: String,
        /// Its name.
        name: String,
        /// Where it was looked for, as in `in namespace "default"`.
        place: String,
    },
    /// A Secret lacks a key.
    #[error("Secret {name:?}, named by {field}, has no key {key:?}: add the key or name another")]
    NoKey {
        /// The field that names it.
        field: String,
        /// Its name.
        name: String,
        /// The key looked for.
        key: String,
    },
    /// A Secret's value cannot be a connection URL.
    #[error(
        "key {key:?} of Secret {name:?}, named by {field}, is no PostgreSQL URL: it must look like \
         postgresql://user:password@host:port/database, with @, /, ? and # in user and password percent-encoded"
    )]
    NoUrl {
        /// The field that names it.
        field: String,
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
    },
    /// A Secret's value cannot be an API keys file. What is in a file is for sms-api to judge, which reads it
    /// again whenever it changes.
    #[error("key {key:?} of Secret {name:?}, named by {field}, is no text: it must hold the API keys as JSON in UTF-8")]
    NoApiKeys {
        /// The field that names it.
        field: String,
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
    },
    /// A Secret's value cannot be put into a template.
    #[error("key {key:?} of Secret {name:?}, named by {field}, must hold text in UTF-8 that is not empty")]
    NoText {
        /// The field that names it.
        field: String,
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
    },
    /// A Secret's value is not what it must be for TLS.
    #[error("key {key:?} of Secret {name:?}, named by {field}, must hold {what} in PEM")]
    NoPem {
        /// The field that names it.
        field: String,
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
        /// What it must hold.
        what: &'static str,
    },
    /// The resource does not say who may use the API, although the schema demands it.
    #[error("spec.api.authentication must hold exactly one of apiKeysSecretRef and anonymous")]
    NoAuthentication,
    /// A template of the provider has a mistake.
    #[error("{0}")]
    Template(String),
    /// What the pods of a workload are told is not what Kubernetes understands.
    #[error("{field}: {problem}")]
    PodOption {
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The URL to connect with, proven to be one.
pub(super) fn database_url(reference: &DatabaseSecretRef, found: &Lookup) -> Result<Sensitive, Invalid> {
    let (name, key) = (&reference.name, &reference.key);
    let text = text(DATABASE_FIELD, name, key, found)?;
    let url = text.and_then(|text| Some((text, url::Url::parse(text.trim()).ok()?)));
    match url {
        Some((text, url)) if matches!(url.scheme(), "postgres" | "postgresql") && !is_torn(&url) => {
            Ok(Sensitive(text.to_owned()))
        }
        Some(_) | None => {
            Err(Invalid::NoUrl { field: DATABASE_FIELD.to_owned(), name: name.clone(), key: key.clone() })
        }
    }
}

/// Whether a password was taken for the end of the host, so that part of it would be told as host, port or path.
fn is_torn(url: &url::Url) -> bool {
    [Some(url.path()), url.query(), url.fragment()].into_iter().flatten().any(|part| part.contains('@'))
}

/// Who may use the API, proven to be said; and the keys where it takes keys.
pub(super) fn authentication(spec: &crd::Authentication, found: Option<&Lookup>) -> Result<Authentication, Invalid> {
    match (&spec.api_keys_secret_ref, found, &spec.anonymous) {
        (Some(reference), Some(found), None) => {
            let (name, key) = (&reference.name, &reference.key);
            match text(API_KEYS_FIELD, name, key, found)? {
                Some(keys) => Ok(Authentication::ApiKeys(reference.clone(), Sensitive(keys.to_owned()))),
                None => {
                    Err(Invalid::NoApiKeys { field: API_KEYS_FIELD.to_owned(), name: name.clone(), key: key.clone() })
                }
            }
        }
        (None, _, Some(Anonymous {})) => Ok(Authentication::Anonymous),
        // The schema keeps these out; were it not there, nobody is let in rather than everybody.
        _ => Err(Invalid::NoAuthentication),
    }
}

/// The secrets of the provider, each proven to have a value.
pub(super) fn of_provider(provider: &Provider, found: &BTreeMap<String, Lookup>) -> Result<Vec<Sensitive>, Invalid> {
    let value = |(secret, SecretKeyRef { name, key }): (&String, &SecretKeyRef)| {
        let field = format!("{PROVIDER_FIELD}.{secret}");
        let found = found.get(secret).unwrap_or(&Lookup::NoKey);
        match text(&field, name, key, found)?.filter(|value| !value.trim().is_empty()) {
            Some(value) => Ok(Sensitive(value.to_owned())),
            None => Err(Invalid::NoText { field, name: name.clone(), key: key.clone() }),
        }
    };
    provider.secrets().map(value).collect()
}

/// The value that was found; `None` when it is no text.
pub(super) fn text<'a>(field: &str, name: &str, key: &str, found: &'a Lookup) -> Result<Option<&'a str>, Invalid> {
    match found {
        Lookup::Found(Sensitive(text)) => Ok(Some(text)),
        Lookup::NotText => Ok(None),
        Lookup::NoSecret(place) => {
            Err(Invalid::NoSecret { field: field.to_owned(), name: name.to_owned(), place: place.clone() })
        }
        Lookup::NoKey => Err(Invalid::NoKey { field: field.to_owned(), name: name.to_owned(), key: key.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::fixtures::{pipeline_with_http_provider, referenced},
        crd::ApiKeysSecretRef,
    };

    const KEYS: &str = r#"{"keys":[]}"#;

    fn found(value: &str) -> Lookup {
        Lookup::Found(Sensitive(value.to_owned()))
    }

    fn missing() -> Lookup {
        Lookup::NoSecret(r#"in namespace "default""#.to_owned())
    }

    fn database(found: &Lookup) -> Result<Sensitive, Invalid> {
        let reference = DatabaseSecretRef { name: "notifications-db".to_owned(), key: "uri".to_owned() };
        database_url(&reference, found)
    }

    fn keys() -> ApiKeysSecretRef {
        ApiKeysSecretRef { name: "notifications-api-keys".to_owned(), key: "keys.json".to_owned() }
    }

    fn api_keys(found: &Lookup) -> Result<Authentication, Invalid> {
        let spec = crd::Authentication { api_keys_secret_ref: Some(keys()), anonymous: None };
        authentication(&spec, Some(found))
    }

    #[track_caller]
    fn check<T: std::fmt::Debug>(refused: Result<T, Invalid>, expected: &str) {
        assert_eq!(refused.expect_err("not usable").to_string(), expected);
    }

    #[test]
    fn a_missing_secret_is_named_with_its_field() {
        check(
            database(&missing()),
            r#"Secret "notifications-db", named by spec.database.urlSecretRef, does not exist in namespace "default": create it"#,
        );
        check(
            api_keys(&missing()),
            r#"Secret "notifications-api-keys", named by spec.api.authentication.apiKeysSecretRef, does not exist in namespace "default": create it"#,
        );
    }

    #[test]
    fn a_missing_key_is_named_with_its_secret() {
        check(
            database(&Lookup::NoKey),
            r#"Secret "notifications-db", named by spec.database.urlSecretRef, has no key "uri": add the key or name another"#,
        );
        check(
            api_keys(&Lookup::NoKey),
            r#"Secret "notifications-api-keys", named by spec.api.authentication.apiKeysSecretRef, has no key "keys.json": add the key or name another"#,
        );
    }

    #[test]
    fn a_value_that_is_no_url_is_refused_without_being_shown() {
        let torn = ["postgresql://user:4711/hunter2@host/database", "postgresql://user:4711?hunter2@host/database"];
        for value in ["hunter2", "mysql://user:hunter2@host/database"].iter().chain(&torn) {
            let refused = database(&found(value)).expect_err("no PostgreSQL URL");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
            assert!(refused.to_string().contains("percent-encoded"), "{refused}");
        }
    }

    #[test]
    fn api_keys_that_are_no_text_are_refused() {
        check(
            api_keys(&Lookup::NotText),
            r#"key "keys.json" of Secret "notifications-api-keys", named by spec.api.authentication.apiKeysSecretRef, is no text: it must hold the API keys as JSON in UTF-8"#,
        );
    }

    #[test]
    fn what_is_in_the_keys_file_is_left_to_the_api() {
        for value in [KEYS, "no JSON"] {
            let expected = Authentication::ApiKeys(keys(), Sensitive(value.to_owned()));
            assert_eq!(api_keys(&found(value)), Ok(expected), "{value}");
        }
    }

    fn provider(found: Lookup) -> Result<Vec<Sensitive>, Invalid> {
        let provider = pipeline_with_http_provider().spec.processor.provider;
        let mut all = referenced().provider_secrets;
        assert!(all.insert("authToken".to_owned(), found).is_some());
        of_provider(&provider, &all)
    }

    #[test]
    fn a_secret_of_the_provider_must_be_there_and_hold_text() {
        assert!(provider(found("token")).is_ok_and(|secrets| secrets.contains(&Sensitive("token".to_owned()))));
        check(
            provider(missing()),
            r#"Secret "twilio", named by spec.processor.provider.http.secrets.authToken, does not exist in namespace "default": create it"#,
        );
        check(
            provider(Lookup::NoKey),
            r#"Secret "twilio", named by spec.processor.provider.http.secrets.authToken, has no key "authToken": add the key or name another"#,
        );
        for value in [Lookup::NotText, found(" \n")] {
            check(
                provider(value),
                r#"key "authToken" of Secret "twilio", named by spec.processor.provider.http.secrets.authToken, must hold text in UTF-8 that is not empty"#,
            );
        }
    }

    #[test]
    fn nobody_is_let_in_where_it_is_not_clear_who() {
        let anonymous = Some(Anonymous {});
        let neither = crd::Authentication { api_keys_secret_ref: None, anonymous: None };
        let both = crd::Authentication { api_keys_secret_ref: Some(keys()), anonymous };
        assert_eq!(authentication(&neither, None), Err(Invalid::NoAuthentication));
        assert_eq!(authentication(&both, Some(&found(KEYS))), Err(Invalid::NoAuthentication));
        let only = crd::Authentication { api_keys_secret_ref: None, anonymous };
        assert_eq!(authentication(&only, None), Ok(Authentication::Anonymous));
    }
}

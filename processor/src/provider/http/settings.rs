//! What `provider.http` says, as the operator hands it over: the resource's words, with files in place of Secrets. Pure.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use composer::Description;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::responses::Rule;

/// One HTTP call for each message. Every text below is a template unless it says otherwise.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSettings {
    /// Where the call goes.
    pub url: String,
    /// With which method; no template.
    #[serde(default)]
    pub method: Method,
    /// Headers by their names; names are no templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// User and password (RFC 7617).
    pub basic_auth: Option<BasicAuth>,
    /// A JSON body; its keys are no templates.
    pub json: Option<Map<String, Value>>,
    /// A body as HTML forms have it, `application/x-www-form-urlencoded`; names are no templates.
    pub form: Option<BTreeMap<String, String>>,
    /// Files whose content templates can use as `secrets.NAME`.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretFile>,
    /// What answers mean; the first rule that matches decides.
    #[serde(default)]
    pub responses: Vec<Rule>,
    /// How to ask what became of a message.
    pub query: Option<QuerySettings>,
}

/// One HTTP call that asks what became of a message. Texts are templates as in [`HttpSettings`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuerySettings {
    /// Where the call goes.
    pub url: String,
    /// With which method; no template.
    #[serde(default = "get")]
    pub method: Method,
    /// Headers by their names; names are no templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// User and password (RFC 7617).
    pub basic_auth: Option<BasicAuth>,
    /// What answers mean: Delivered that the provider has the message, Refused that it has not. All else leaves it open.
    pub responses: Vec<Rule>,
}

fn get() -> Method {
    Method::Get
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// As nearly all providers want it.
    #[default]
    Post,
    /// For a provider whose URL names the message.
    Put,
    /// Everything is in the URL; without a body.
    Get,
}

/// User and password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A file with one secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretFile {
    /// Where it is.
    pub file: PathBuf,
}

impl HttpSettings {
    /// Refuses values that contradict each other.
    pub(in crate::provider) fn validate(&self) -> Result<(), String> {
        match (self.method, &self.json, &self.form) {
            (_, Some(_), Some(_)) => return Err("http.json and http.form: a request has only one body".to_owned()),
            (Method::Get, Some(_), None) | (Method::Get, None, Some(_)) => {
                return Err("http.method: GET has no body, so put the values into http.url".to_owned());
            }
            (Method::Get, None, None) | (Method::Post | Method::Put, _, _) => {}
        }
        validate_rules("http.responses", &self.responses)?;
        self.query.as_ref().map_or(Ok(()), |query| validate_rules("http.query.responses", &query.responses))
    }

    /// The request that sends a message.
    pub(super) fn sending(&self) -> Description<'_> {
        Description {
            field: "http",
            secrets_field: "http.secrets",
            url: &self.url,
            method: self.method.into(),
            headers: &self.headers,
            basic_auth: self.basic_auth.as_ref().map(BasicAuth::parts),
            json: self.json.as_ref(),
            form: self.form.as_ref(),
        }
    }
}

impl QuerySettings {
    /// The request that asks for a message.
    pub(super) fn asking(&self) -> Description<'_> {
        Description {
            field: "http.query",
            secrets_field: "http.secrets",
            url: &self.url,
            method: self.method.into(),
            headers: &self.headers,
            basic_auth: self.basic_auth.as_ref().map(BasicAuth::parts),
            json: None,
            form: None,
        }
    }
}

impl BasicAuth {
    fn parts(&self) -> (&str, &str) {
        (&self.username, &self.password)
    }
}

fn validate_rules(field: &str, rules: &[Rule]) -> Result<(), String> {
    for (number, rule) in rules.iter().enumerate() {
        rule.validate().map_err(|error| format!("{field}[{number}]{error}"))?;
    }
    Ok(())
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Get => Self::GET,
        }
    }
}

impl fmt::Debug for HttpSettings {
    // Nothing of the templates: somebody may have written a password into one.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("HttpSettings");
        shown.field("method", &self.method).field("secrets", &self.secrets).field("responses", &self.responses);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Settings, settings::Kind};

    fn parse(http: &str) -> Result<HttpSettings, String> {
        Settings::parse(&format!(r#"{{"http":{{"url":"https://sms.example/send",{http}}}}}"#)).map(|settings| {
            match settings.kind {
                Kind::Http(settings) => *settings,
                Kind::Simulated(_) => panic!("another provider"),
            }
        })
    }

    #[track_caller]
    fn check_refused(http: &str, expected: &str) {
        let error = parse(http).expect_err(http);
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_message_is_posted_unless_another_method_is_named() {
        assert_eq!(parse(r#""headers":{}"#).map(|settings| settings.method), Ok(Method::Post));
        assert_eq!(parse(r#""method":"PUT""#).map(|settings| settings.method), Ok(Method::Put));
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_field() {
        check_refused(r#""method":"DELETE""#, "http.method: unknown variant `DELETE`");
        check_refused(r#""basicAuth":{"username":"u"}"#, "http.basicAuth: missing field `password`");
        check_refused(r#""secrets":{"key":{"name":"n"}}"#, "http.secrets.key.name: unknown field `name`");
        check_refused(
            r#""responses":[{"when":{"status":"6xx"},"outcome":"Refused"}]"#,
            "http.responses[0].when.status: ",
        );
        check_refused(r#""responses":[{"when":{},"outcome":"Refused"}]"#, "http.responses[0].when must hold");
        let rules = r#""responses":[{"when":{},"outcome":"Refused"}]"#;
        check_refused(&format!(r#""query":{{"url":"",{rules}}}"#), "http.query.responses[0].when must hold");
        check_refused(r#""query":{"url":""}"#, "http.query: missing field `responses`");
    }

    #[test]
    fn a_request_has_one_body_or_none() {
        check_refused(r#""json":{},"form":{}"#, "http.json and http.form: ");
        check_refused(r#""method":"GET","json":{}"#, "http.method: GET has no body");
        check_refused(r#""method":"GET","form":{}"#, "http.method: GET has no body");
        assert!(parse(r#""method":"GET""#).is_ok());
    }

    #[test]
    fn a_password_that_somebody_wrote_down_is_not_in_debug_output() {
        let settings = parse(r#""basicAuth":{"username":"u","password":"hunter2"},"headers":{"X-Key":"hunter2"}"#);
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    }
}

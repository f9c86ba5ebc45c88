use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SecretKeyRef;

/// One HTTP call for each message. Texts called templates are those of Jinja, with the variables `sender`, `recipient`,
/// `text`, `message_id`, `attempt` and `secrets.NAME`; see docs/providers.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!(has(self.json) && has(self.form))").message("http must not hold both json and form: a request has only one body"),
    validation = Rule::new("self.method != 'GET' || !(has(self.json) || has(self.form))").message("method GET has no body: put the values into url instead of json or form")
)]
#[serde(rename_all = "camelCase")]
pub struct HttpProvider {
    /// Where the call goes; a template. A value that may hold more than letters and digits is put in as
    /// `{{ text | urlencode }}`.
    #[x_kube(validation = Rule::new("self.startsWith('https://') || self.startsWith('http://')").message("url must start with https:// or http://"))]
    #[schemars(length(max = 2048))]
    pub url: String,
    /// Method of the call.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers by their names; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    pub headers: BTreeMap<String, String>,
    /// User and password, sent as RFC 7617 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// A JSON body; all texts in it, however deep, are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub json: Option<Map<String, Value>>,
    /// A body of the type application/x-www-form-urlencoded; the values are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 100))]
    pub form: Option<BTreeMap<String, String>>,
    /// Keys of Secrets that templates can use as `secrets.NAME`. When one changes, processors are replaced one after the other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$'))").message("names in secrets must have at most 63 characters of a-z, A-Z, 0-9 and '_', the first no digit, because templates use them as secrets.NAME"))]
    #[schemars(extend("maxProperties" = 20))]
    pub secrets: BTreeMap<String, SecretKeyRef>,
    /// What answers mean. The first rule that matches decides; where none does, the status code: 2xx Delivered, 429
    /// Throttled, 401 to 408, 410, 411, 414, 415, 421, 425 and 431 Unavailable, any other 4xx Refused, 503 Unavailable or,
    /// with Retry-After, Throttled; 301, 307 and 308 Unavailable; all else Unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub responses: Vec<ResponseRule>,
    /// How to ask the provider what became of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<HttpQuery>,
}

/// One HTTP call that asks what became of a message, by our own id of it. Templates are those of the call that sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpQuery {
    /// Where the call goes; a template, such as `https://sms.example/messages?reference={{ message_id }}`.
    #[x_kube(validation = Rule::new("self.startsWith('https://') || self.startsWith('http://')").message("url must start with https:// or http://"))]
    #[schemars(length(max = 2048))]
    pub url: String,
    /// Method of the call, which has no body.
    #[serde(default = "default_query_method")]
    pub method: HttpMethod,
    /// Headers by their names; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    pub headers: BTreeMap<String, String>,
    /// User and password, sent as RFC 7617 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// What answers mean: Delivered that the provider has the message, Refused that it has not. Whatever else a rule says,
    /// and an answer that no rule is for, leaves it open.
    #[x_kube(validation = Rule::new("size(self) >= 1").message("responses must hold at least one rule"))]
    #[schemars(length(max = 50))]
    pub responses: Vec<ResponseRule>,
}

fn default_query_method() -> HttpMethod {
    HttpMethod::Get
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// GET, without a body.
    Get,
}

/// User and password, sent as RFC 7617 says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The user; a template.
    #[schemars(length(max = 2048))]
    pub username: String,
    /// The password; a template, such as `{{ secrets.authToken }}`.
    #[schemars(length(max = 2048))]
    pub password: String,
}

/// Which answers, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!has(self.messageId) || self.outcome == 'Delivered'").message("messageId goes only with outcome: Delivered"),
    validation = Rule::new("!has(self.reason) || (self.outcome != 'Delivered' && self.outcome != 'Throttled')").message("reason goes only with the outcomes Refused, Unavailable and Unknown")
)]
#[serde(rename_all = "camelCase")]
pub struct ResponseRule {
    /// Which answers.
    pub when: ResponseCondition,
    /// What they mean.
    pub outcome: ResponseOutcome,
    /// Where in a JSON body the provider's id of the message is: a JSON pointer (RFC 6901), such as `/sid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("messageId must be a JSON pointer (RFC 6901), such as /sid"))]
    #[schemars(length(max = 500))]
    pub message_id: Option<String>,
    /// Where in a JSON body the provider says why: a JSON pointer (RFC 6901), such as `/message`. What it says is told to
    /// whoever sent the message, without what looks like a phone number and never with the text or a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("reason must be a JSON pointer (RFC 6901), such as /message"))]
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}

/// Holds of an answer when everything that it names does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.status) || has(self.body)").message("when must hold status, body or both"))]
#[serde(rename_all = "camelCase")]
pub struct ResponseCondition {
    /// The status code is this one, as in `"429"`, of this class, as in `4xx`, or from one to the other, as in `400-499`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([1-5]xx|[1-5][0-9][0-9](-[1-5][0-9][0-9])?)$')").message("status must be written like \"429\", 4xx or 400-499"))]
    #[schemars(length(max = 7))]
    pub status: Option<String>,
    /// The body is JSON and has one of these values at this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyCondition>,
}

/// Holds of a JSON body that has one of these values at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.equals) != has(self.oneOf)").message("body must hold either equals or oneOf"))]
#[serde(rename_all = "camelCase")]
pub struct BodyCondition {
    /// The place: a JSON pointer (RFC 6901), such as `/messages/0/status`.
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("pointer must be a JSON pointer (RFC 6901), such as /messages/0/status"))]
    #[schemars(length(max = 500))]
    pub pointer: String,
    /// The value; numbers, `true`, `false` and `null` as JSON writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub equals: Option<String>,
    /// Several values, any of which will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub one_of: Option<Vec<String>>,
}

/// What an answer can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResponseOutcome {
    /// The provider took the message.
    Delivered,
    /// It refused the message for good.
    Refused,
    /// It did not take the message this time.
    Unavailable,
    /// It did not take the message because it gets too many.
    Throttled,
    /// It may or may not have taken the message.
    Unknown,
}

/// An object whose fields are not the schema's business.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

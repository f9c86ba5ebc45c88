use std::collections::BTreeMap;

use contract::SmsRequestedV1;
use reqwest::{
    Client, Method, Request, Url,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use serde_json::{Map, Value};

use crate::{
    Secrets,
    template::{Template, Templates, Values, sample},
};

/// Headers that say how a request travels, which only the client knows.
const NOT_TO_BE_SET: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// How to make a request of a message.
#[derive(Debug)]
pub struct Composer {
    templates: Templates,
    method: Method,
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    basic_auth: Option<(Template, Template)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Json),
    Form(Vec<(String, Template)>),
}

/// A JSON document with templates in place of its texts.
#[derive(Debug)]
enum Json {
    Template(Template),
    Other(Value),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A request as it is described; what is absent is left away. Every text is a template unless it says otherwise.
pub struct Description<'a> {
    /// Where it is described, such as `http`: every field that an error names begins with it.
    pub field: &'static str,
    /// Where the secrets are named, such as `http.secrets`.
    pub secrets_field: &'static str,
    /// Where the call goes.
    pub url: &'a str,
    /// With which method.
    pub method: Method,
    /// Headers by their names, which are no templates.
    pub headers: &'a BTreeMap<String, String>,
    /// User and password (RFC 7617).
    pub basic_auth: Option<(&'a str, &'a str)>,
    /// A JSON body; its keys are no templates.
    pub json: Option<&'a Map<String, Value>>,
    /// A body as HTML forms have it; names are no templates.
    pub form: Option<&'a BTreeMap<String, String>>,
}

impl Composer {
    /// Compiles every template, and tries all of them with a sample. An error names the field.
    pub fn new(of: &Description<'_>, client: &Client, secrets: &Secrets) -> Result<Self, String> {
        let composer = Self::compile(of, secrets.keys().cloned().collect())?;
        composer.compose(client, &sample(), secrets)?;
        Ok(composer)
    }

    /// Compiles every template, which may use the secrets of these names. An error names the field. Nothing is filled in: that
    /// can take as long and as much memory as whoever wrote the template likes.
    pub fn compile(of: &Description<'_>, secrets: Vec<String>) -> Result<Self, String> {
        let mut templates = Templates::new(secrets, of.secrets_field);
        let prefix = of.field;
        let url = templates.add(format!("{prefix}.url"), of.url)?;
        let mut headers = Vec::new();
        for (name, source) in of.headers {
            let field = format!("{prefix}.headers.{name}");
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(format!("{field}: {name:?} is no name of a header"));
            };
            if NOT_TO_BE_SET.contains(&header) {
                return Err(format!("{field}: this header cannot be set, because it says how a request travels"));
            }
            headers.push((header, templates.add(field, source)?));
        }
        let basic_auth = match of.basic_auth {
            None => None,
            Some((username, password)) => Some((
                templates.add(format!("{prefix}.basicAuth.username"), username)?,
                templates.add(format!("{prefix}.basicAuth.password"), password)?,
            )),
        };
        let body = match (of.json, of.form) {
            (Some(json), _) => Body::Json(Json::object(&format!("{prefix}.json"), json, &mut templates)?),
            (None, Some(form)) => {
                let field = |(name, source): (&String, &String)| {
                    Ok((name.clone(), templates.add(format!("{prefix}.form.{name}"), source)?))
                };
                Body::Form(form.iter().map(field).collect::<Result<_, String>>()?)
            }
            (None, None) => Body::None,
        };
        Ok(Self { templates, method: of.method.clone(), url, headers, basic_auth, body })
    }

    /// The request for `message`. An error names the field and holds nothing of what was put in.
    pub fn compose(&self, client: &Client, message: &SmsRequestedV1, secrets: &Secrets) -> Result<Request, String> {
        let values = Values::new(message, secrets);
        let render = |template: &Template| self.templates.render(template, &values);
        let mut request = client.request(self.method.clone(), url(self.url.field(), &render(&self.url)?)?);
        for (name, template) in &self.headers {
            let Ok(mut value) = HeaderValue::from_str(&render(template)?) else {
                return Err(format!("{}: it holds characters that no HTTP header can carry", template.field()));
            };
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        if let Some((username, password)) = &self.basic_auth {
            let user = render(username)?;
            if user.contains(':') {
                return Err(format!("{}: a user cannot have a colon (RFC 7617)", username.field()));
            }
            request = request.basic_auth(user, Some(render(password)?));
        }
        let request = match &self.body {
            Body::None => request,
            Body::Json(json) => request.json(&json.render(&render)?),
            Body::Form(fields) => {
                let field = |(name, template): &(String, Template)| Ok((name.clone(), render(template)?));
                request.form(&fields.iter().map(field).collect::<Result<Vec<_>, String>>()?)
            }
        };
        // Its own words could hold the URL, and so a secret.
        request.build().map_err(|_| format!("{}: no request can be made of it", self.url.field()))
    }
}

impl Json {
    fn object(field: &str, object: &Map<String, Value>, templates: &mut Templates) -> Result<Self, String> {
        let member = |(name, value): (&String, &Value)| {
            Ok((name.clone(), Self::new(format!("{field}.{name}"), value, templates)?))
        };
        object.iter().map(member).collect::<Result<_, String>>().map(Self::Object)
    }

    fn new(field: String, value: &Value, templates: &mut Templates) -> Result<Self, String> {
        match value {
            Value::String(source) => templates.add(field, source).map(Self::Template),
            Value::Array(values) => {
                let element = |(number, value)| Self::new(format!("{field}[{number}]"), value, templates);
                values.iter().enumerate().map(element).collect::<Result<_, _>>().map(Self::Array)
            }
            Value::Object(object) => Self::object(&field, object, templates),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Ok(Self::Other(other.clone())),
        }
    }

    fn render(&self, render: &impl Fn(&Template) -> Result<String, String>) -> Result<Value, String> {
        match self {
            Self::Template(template) => render(template).map(Value::String),
            Self::Other(value) => Ok(value.clone()),
            Self::Array(values) => values.iter().map(|value| value.render(render)).collect(),
            Self::Object(members) => {
                members.iter().map(|(name, value)| Ok((name.clone(), value.render(render)?))).collect()
            }
        }
    }
}

fn url(field: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{field}: {error}: write it like https://host/path"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        return Ok(url);
    }
    Err(format!("{field}: not an http or https URL: write it like https://host/path"))
}

#[cfg(test)]
mod tests;

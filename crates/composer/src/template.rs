//! Templates: text with places that each message fills in. Pure.
//!
//! A mistake shows when a template is compiled, or when it is tried with sample values. docs/decisions/0012 says why it is
//! minijinja.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use contract::SmsRequestedV1;
use jiff::Timestamp;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use uuid::Uuid;

use crate::{Secrets, gsm7};

/// The variable that holds the values of Secrets by their names.
const SECRETS: &str = "secrets";

/// The variables of every template.
const VARIABLES: [&str; 6] = ["sender", "recipient", "text", "message_id", "attempt", SECRETS];

/// All templates of one provider, each named by its field, such as `http.headers.Authorization`.
pub struct Templates {
    environment: Environment<'static>,
    secrets: Vec<String>,
    /// The field that names them.
    secrets_field: &'static str,
}

/// Names a template in [`Templates`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// What the variables stand for in one rendering.
pub struct Values(Value);

impl Templates {
    /// No templates yet; those to come may use the secrets of these names, which `secrets_field` holds.
    pub fn new(secrets: Vec<String>, secrets_field: &'static str) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // What is rendered goes into JSON, forms and headers, each of which has its own rules and keeps them itself.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_test("gsm7", |text: Cow<'_, str>| gsm7::fits(&text));
        Self { environment, secrets, secrets_field }
    }

    /// Compiles the template of a field. An error names the field, and a variable that does not exist.
    pub fn add(&mut self, field: String, source: &str) -> Result<Template, String> {
        let wrong = |error: minijinja::Error| format!("{field}: {}", without_place(&error));
        self.environment.add_template_owned(field.clone(), source.to_owned()).map_err(wrong)?;
        let used = self.environment.get_template(&field).map_err(wrong)?.undeclared_variables(true);
        // Of several mistakes the same one is told each time.
        for name in BTreeSet::from_iter(used) {
            self.check_name(&name).map_err(|error| format!("{field}: {error}"))?;
        }
        Ok(Template(field))
    }

    fn check_name(&self, path: &str) -> Result<(), String> {
        let (variable, rest) = path.split_once('.').unwrap_or((path, ""));
        if variable == SECRETS && !rest.is_empty() {
            let secret = rest.split('.').next().unwrap_or_default();
            if self.secrets.iter().any(|known| known == secret) {
                return Ok(());
            }
            let known = if self.secrets.is_empty() { "none".to_owned() } else { self.secrets.join(", ") };
            return Err(format!("there is no secret {secret:?}: {} has {known}", self.secrets_field));
        }
        let is_function = || self.environment.globals().any(|(name, _)| name == variable);
        if VARIABLES.contains(&variable) || is_function() {
            return Ok(());
        }
        Err(format!("there is no variable {variable:?}: use {} or secrets.NAME", VARIABLES[..5].join(", ")))
    }

    /// Fills the values in. An error names the field and never a value.
    pub fn render(&self, template: &Template, values: &Values) -> Result<String, String> {
        let Template(field) = template;
        let rendered = self.environment.get_template(field).and_then(|template| template.render(&values.0));
        rendered.map_err(|error| format!("{field}: {}", error.kind()))
    }
}

impl Values {
    /// What a message says.
    pub fn new(message: &SmsRequestedV1, secrets: &Secrets) -> Self {
        Self(context! {
            sender => message.sender.as_str(),
            recipient => message.recipient.as_str(),
            text => message.text.as_str(),
            message_id => message.message_id.to_string(),
            attempt => message.attempt,
            secrets => Value::from(secrets.clone()),
        })
    }
}

impl Template {
    /// The field that holds it.
    pub fn field(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Templates {
    // Sources may hold a password that somebody wrote down in the resource.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Templates").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

/// A message like those to come, to try templates with.
pub fn sample() -> SmsRequestedV1 {
    SmsRequestedV1 {
        message_id: Uuid::nil(),
        sender: "+15550100".to_owned(),
        recipient: "+15550101".to_owned(),
        text: "Hello".to_owned(),
        attempt: 1,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    }
}

/// minijinja's words without the template's name, which is the field that our words begin with.
fn without_place(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::from([("apiKey".to_owned(), "s3cret".to_owned())])
    }

    fn rendered(source: &str, message: &SmsRequestedV1) -> Result<String, String> {
        let mut templates = Templates::new(vec!["apiKey".to_owned()], "http.secrets");
        let template = templates.add("http.form.To".to_owned(), source)?;
        templates.render(&template, &Values::new(message, &secrets()))
    }

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(rendered(source, &sample()).as_deref(), Ok(expected), "{source}");
    }

    #[track_caller]
    fn check_refused(source: &str, expected: &str) {
        let error = rendered(source, &sample()).expect_err(source);
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn every_variable_and_the_filters_of_jinja_are_there() {
        check("{{ sender }} {{ recipient }}", "+15550100 +15550101");
        check("{{ message_id }}/{{ attempt }}", "00000000-0000-0000-0000-000000000000/1");
        check("Bearer {{ secrets.apiKey }}", "Bearer s3cret");
        check("{{ recipient | replace('+', '') }}", "15550101");
        check("{{ recipient | urlencode }}", "%2B15550101");
        check("{% if text is gsm7 %}text{% else %}unicode{% endif %}", "text");
        check("nothing to fill in", "nothing to fill in");
    }

    #[test]
    fn a_value_is_put_in_as_it_is() {
        let text = r#"<b>"Grüße" & {{ secrets.apiKey }} 🎈</b>"#.to_owned();
        let message = SmsRequestedV1 { text: text.clone(), ..sample() };
        assert_eq!(rendered("{{ text }}", &message), Ok(text));
        assert_eq!(rendered("{{ 'unicode' if text is not gsm7 }}", &message).as_deref(), Ok("unicode"));
    }

    #[test]
    fn a_mistake_is_told_by_the_field_that_has_it() {
        check_refused("{{ recipient", "http.form.To: syntax error: unexpected end of input");
        check_refused(
            "{{ recipent }}",
            "http.form.To: there is no variable \"recipent\": use sender, recipient, text,",
        );
        check_refused("{{ secrets.apikey }}", "http.form.To: there is no secret \"apikey\": http.secrets has apiKey");
        check_refused("{{ secrets['apikey'] }}", "http.form.To: undefined value");
        check_refused("{{ recipient | shorten }}", "http.form.To: unknown filter");
        check_refused("{% if text == 'x' %}{{ wrong }}{% endif %}", "http.form.To: there is no variable \"wrong\"");
    }

    #[test]
    fn of_several_mistakes_the_same_one_is_told_each_time() {
        for _ in 0..20 {
            check_refused("{{ c }}{{ a }}{{ b }}{{ d }}", "http.form.To: there is no variable \"a\"");
        }
    }

    #[test]
    fn neither_a_secret_nor_a_source_is_in_debug_output() {
        let mut templates = Templates::new(vec!["apiKey".to_owned()], "http.secrets");
        templates.add("http.basicAuth.password".to_owned(), "hunter2").expect("a template");
        assert!(!format!("{templates:?}").contains("hunter2"));
    }
}

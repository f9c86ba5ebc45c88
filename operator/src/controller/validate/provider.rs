//! What the templates of an HTTP provider must be: compiled here too, so that a mistake is refused before any pod is replaced
//! for it. They are not filled in, which is the processor's part: nobody's template may take the operator's time or memory.

use composer::{Composer, Description};

use super::{Invalid, secrets::PROVIDER_FIELD};
use crate::crd::{BasicAuth, HttpMethod, HttpProvider, HttpQuery, Provider};

/// Compiles every template.
pub(super) fn templates(provider: &Provider) -> Result<(), Invalid> {
    let Some(http) = &provider.http else { return Ok(()) };
    for description in [Some(sending(http)), http.query.as_ref().map(asking)].into_iter().flatten() {
        Composer::compile(&description, http.secrets.keys().cloned().collect()).map_err(Invalid::Template)?;
    }
    Ok(())
}

fn sending(http: &HttpProvider) -> Description<'_> {
    Description {
        field: "spec.processor.provider.http",
        secrets_field: PROVIDER_FIELD,
        url: &http.url,
        method: method(http.method),
        headers: &http.headers,
        basic_auth: http.basic_auth.as_ref().map(parts),
        json: http.json.as_ref(),
        form: http.form.as_ref(),
    }
}

fn asking(query: &HttpQuery) -> Description<'_> {
    Description {
        field: "spec.processor.provider.http.query",
        secrets_field: PROVIDER_FIELD,
        url: &query.url,
        method: method(query.method),
        headers: &query.headers,
        basic_auth: query.basic_auth.as_ref().map(parts),
        json: None,
        form: None,
    }
}

fn parts(both: &BasicAuth) -> (&str, &str) {
    (&both.username, &both.password)
}

fn method(method: HttpMethod) -> reqwest::Method {
    match method {
        HttpMethod::Post => reqwest::Method::POST,
        HttpMethod::Put => reqwest::Method::PUT,
        HttpMethod::Get => reqwest::Method::GET,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::controller::fixtures::pipeline_with_http_provider;

    #[track_caller]
    fn check(expected: Option<&str>, change: impl FnOnce(&mut HttpProvider)) {
        let mut provider = pipeline_with_http_provider().spec.processor.provider;
        change(provider.http.as_mut().expect("the fixture's provider"));
        let error = templates(&provider).err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(error, None),
            Some(expected) => assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{error:?}"),
        }
    }

    #[test]
    fn templates_that_compile_are_accepted_whatever_comes_of_them() {
        check(None, |_| {});
        check(None, |http| http.url = "https://sms.example:{{ secrets.accountSid }}/{{ text | int }}".to_owned());
        // It would take the memory of a machine.
        check(None, |http| {
            http.url = "https://a/{% for a in range(10000) %}{{ 'x' * 1000000 }}{% endfor %}".to_owned();
        });
    }

    #[test]
    fn a_mistake_in_a_template_is_refused_by_its_field() {
        let field = "spec.processor.provider.http";
        check(Some(&format!("{field}.url: syntax error")), |http| http.url = "https://sms.example/{{ text".to_owned());
        check(Some(&format!("{field}.headers.X-Key: there is no secret \"nobody\": {field}.secrets has")), |http| {
            http.headers.insert("X-Key".to_owned(), "{{ secrets.nobody }}".to_owned());
        });
        check(Some(&format!("{field}.headers.Host: this header cannot be set")), |http| {
            http.headers.insert("Host".to_owned(), "sms.example".to_owned());
        });
        check(Some(&format!("{field}.query.url: there is no variable \"mesage_id\"")), |http| {
            http.query = Some(HttpQuery {
                url: "https://sms.example/{{ mesage_id }}".to_owned(),
                method: HttpMethod::Get,
                headers: BTreeMap::new(),
                basic_auth: None,
                responses: Vec::new(),
            });
        });
    }
}

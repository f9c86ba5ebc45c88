//! What the templates of an HTTP provider must be: tried as processors try them when they start, so that a mistake is refused
//! before any pod is replaced for it.

use std::{collections::BTreeMap, sync::LazyLock};

use composer::{Composer, Description, Secrets};

use super::{Invalid, secrets::PROVIDER_FIELD};
use crate::{
    controller::dereference::{Lookup, Sensitive},
    crd::{BasicAuth, HttpMethod, HttpProvider, HttpQuery, Provider},
};

/// Makes requests and sends none; setting one up takes too long for each round.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

/// Tries every template with a sample. `found` are the provider's secrets, of which none is ever told.
pub(super) fn templates(provider: &Provider, found: &BTreeMap<String, Lookup>) -> Result<(), Invalid> {
    let Some(http) = &provider.http else { return Ok(()) };
    let secrets = found.iter().filter_map(|(name, found)| match found {
        Lookup::Found(Sensitive(value)) => Some((name.clone(), value.trim().to_owned())),
        Lookup::NoSecret(_) | Lookup::NoKey | Lookup::NotText => None,
    });
    let secrets = secrets.collect::<Secrets>();
    for description in [Some(sending(http)), http.query.as_ref().map(asking)].into_iter().flatten() {
        Composer::new(&description, &CLIENT, &secrets).map_err(Invalid::Template)?;
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
    use super::*;
    use crate::{cli::placeholders::referenced, controller::fixtures::pipeline_with_http_provider, crd::SmsPipeline};

    #[track_caller]
    fn check(expected: Option<&str>, change: impl FnOnce(&mut HttpProvider)) {
        let mut pipeline: SmsPipeline = pipeline_with_http_provider();
        change(pipeline.spec.processor.provider.http.as_mut().expect("the fixture's provider"));
        let found = referenced(&pipeline).provider_secrets;
        let error = templates(&pipeline.spec.processor.provider, &found).err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(error, None),
            Some(expected) => assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{error:?}"),
        }
    }

    #[test]
    fn templates_that_can_be_filled_in_are_accepted() {
        check(None, |_| {});
        check(None, |http| http.url = "https://sms.example/{{ recipient | urlencode }}".to_owned());
    }

    #[test]
    fn a_mistake_in_a_template_is_refused_by_its_field() {
        let field = "spec.processor.provider.http";
        check(Some(&format!("{field}.url: syntax error")), |http| http.url = "https://sms.example/{{ text".to_owned());
        check(Some(&format!("{field}.headers.X-Key: there is no secret \"nobody\"")), |http| {
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

    #[test]
    fn no_value_of_a_secret_is_told() {
        let pipeline = pipeline_with_http_provider();
        let mut provider = pipeline.spec.processor.provider.clone();
        provider.http.as_mut().expect("the fixture's provider").url = "{{ secrets.authToken }}".to_owned();
        let found = Lookup::Found(Sensitive("hunter2".to_owned()));
        let found = [("authToken", found.clone()), ("accountSid", found)].map(|(name, found)| (name.to_owned(), found));
        let error = templates(&provider, &found.into()).expect_err("no URL").to_string();
        assert!(error.contains("http.url: ") && !error.contains("hunter2"), "{error}");
    }
}

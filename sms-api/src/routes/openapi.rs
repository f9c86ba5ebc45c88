//! The document of the public API (OpenAPI 3.1), made from the handlers and what they take and give; and a page to try
//! it. What every URL can answer is said here, once. To document a URL: its handler in the list below.

use axum::{Json, Router, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, Content, Ref, RefOr, ResponseBuilder,
        path::{Operation, ParameterIn},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    cancel_message, get_dead_letter, get_message, get_message_events, get_statistics, list_dead_letters,
    list_failed_messages, list_messages, list_user_messages, redrive_dead_letter, redrive_dead_letters,
    retry_failed_messages, retry_message, send_batch, send_message,
};
use crate::problem::ProblemBody;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SMS API",
        description = "Takes messages (202 once they are stored), tells what became of them, and sends failed ones again.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        send_message::handle,
        list_messages::handle,
        send_batch::handle,
        list_failed_messages::handle,
        retry_failed_messages::handle,
        get_statistics::handle,
        get_message::handle,
        get_message_events::handle,
        cancel_message::handle,
        retry_message::handle,
        list_user_messages::handle,
        list_dead_letters::handle,
        redrive_dead_letters::handle,
        get_dead_letter::handle,
        redrive_dead_letter::handle,
    ),
    components(schemas(ProblemBody)),
    modifiers(&CommonAnswers, &Keys),
)]
struct Document;

/// `/openapi.json` and `/docs`, for everybody: they say nothing that the product's own documents do not say.
pub fn routes() -> Router {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::new().route("/openapi.json", get(async || Json(Document::openapi()))).merge(page)
}

/// What any URL of its kind can answer beside what its handler says.
struct CommonAnswers;

impl Modify for CommonAnswers {
    fn modify(&self, document: &mut openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                add(operation, "401", "The API key is missing or not known");
                add(operation, "403", "The API key lacks the scope of this URL");
                add(operation, "429", "The API key's rate limit is reached; Retry-After says when to go on");
                add(operation, "500", "A fault of this service");
                add(operation, "503", "Not at this time; Retry-After says when to try again");
                if path.contains("{id}") {
                    add(operation, "404", "There is nothing with this id, or it is another tenant's");
                }
                if operation.request_body.is_some() {
                    add(operation, "408", "The body did not arrive in time");
                    add(operation, "413", "The body is larger than 1 MiB");
                    add(operation, "415", "The Content-Type is not application/json");
                }
                let mut parameters = operation.parameters.iter().flatten();
                let has_query = parameters.any(|parameter| {
                    matches!(parameter, RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query))
                });
                if operation.request_body.is_some() || has_query {
                    add(operation, "400", "Something is not valid; everything that is wrong is listed");
                }
            }
        }
    }
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    let problem = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    let answer = ResponseBuilder::new().description(description).content("application/problem+json", problem).build();
    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(answer));
}

/// An API key, as bearer token or in a header of its own.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        let schemes = &mut document.components.get_or_insert_default().security_schemes;
        schemes.insert("bearer".to_owned(), SecurityScheme::Http(bearer).into());
        schemes.insert("header".to_owned(), SecurityScheme::ApiKey(header).into());
        let either = ["bearer", "header"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
        document.security = Some(either.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_of_the_public_api_is_documented_and_no_other() {
        let source = include_str!("../routes.rs");
        let public = source.split("pub fn public").nth(1).and_then(|rest| rest.split("pub fn internal").next());
        let mut routed: Vec<_> =
            public.expect("the public API").split("\"/v1/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        routed.sort_unstable();
        routed.dedup();
        let document = Document::openapi();
        let mut documented: Vec<_> = document.paths.paths.keys().map(|path| path.trim_start_matches("/v1/")).collect();
        documented.sort_unstable();
        assert_eq!(documented, routed);
    }
}

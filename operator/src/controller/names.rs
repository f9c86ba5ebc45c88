//! What everything made from a pipeline is called. Names are deterministic: whoever knows the pipeline's name
//! finds the rest.

/// Key of the token in the generated Secret.
pub const INTERNAL_TOKEN_KEY: &str = "token";

/// Names of everything made from one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Deployment, Service and ServiceAccount of the API.
    pub api: String,
    /// Service of the API's internal port.
    pub api_internal: String,
    /// Deployment and ServiceAccount of the processors.
    pub processor: String,
    /// Secret with the token of internal calls.
    pub internal_secret: String,
}

impl Names {
    /// The names for the pipeline called `pipeline`.
    pub fn of(pipeline: &str) -> Self {
        Self {
            api: format!("{pipeline}-api"),
            api_internal: format!("{pipeline}-api-internal"),
            processor: format!("{pipeline}-processor"),
            internal_secret: format!("{pipeline}-internal"),
        }
    }
}

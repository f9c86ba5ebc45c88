//! What everything made from a pipeline is called. Names are deterministic: whoever knows the pipeline's name
//! finds the rest.

/// Key of the first token in the generated Secret; later ones have a number behind it.
pub const INTERNAL_TOKEN_KEY: &str = "token";

/// Names of everything made from one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Deployment of the API, and whatever else there is one of for it.
    pub api: String,
    /// Service of the API's internal port.
    pub api_internal: String,
    /// Deployment of the processors, and whatever else there is one of for them.
    pub processor: String,
    /// Secret with the tokens of internal calls.
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

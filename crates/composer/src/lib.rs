//! A message as one HTTP request to a provider, made of templates. Makes requests and sends none.
//!
//! The processor makes the requests that it sends; the operator compiles the templates of a resource, so that a mistake is
//! refused before any pod is replaced for it.

mod gsm7;
mod request;
mod template;

use std::collections::BTreeMap;

pub use request::{Composer, Description};
pub use template::sample;

/// What templates can use as `secrets.NAME`, by name.
pub type Secrets = BTreeMap<String, String>;

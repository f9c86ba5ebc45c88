//! YAML in and out: the files that users write and the CRD. The only place that knows the YAML crate, which
//! is no longer maintained (docs/decisions/0001-serde-yaml.md).

use serde::{Serialize, de::DeserializeOwned};

/// Why a text is not the YAML that was expected.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] serde_yaml::Error);

/// Reads one YAML document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    Ok(serde_yaml::from_str(text)?)
}

/// Writes one YAML document.
pub fn write<T: Serialize>(value: &T) -> Result<String, Error> {
    Ok(serde_yaml::to_string(value)?)
}

//! YAML in and out: the files that users write and the CRD. The only place that knows the YAML crate, which
//! is no longer maintained (docs/decisions/0001-serde-yaml.md).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Why a text is not the YAML that was expected.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] serde_yaml::Error);

/// Reads one YAML document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every YAML document of a text, empty ones left out. Nothing follows one that is not valid.
pub fn read_all(text: &str) -> Vec<Result<Value, Error>> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        match Value::deserialize(document) {
            Ok(Value::Null) => {}
            Ok(document) => documents.push(Ok(document)),
            Err(error) => {
                documents.push(Err(Error(error)));
                break;
            }
        }
    }
    documents
}

/// Writes one YAML document.
pub fn write<T: Serialize>(value: &T) -> Result<String, Error> {
    Ok(serde_yaml::to_string(value)?)
}

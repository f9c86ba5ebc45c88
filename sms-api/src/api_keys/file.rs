//! The file of API keys: what its entries may hold, and what is said when they do not.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    str::FromStr,
    sync::Arc,
};

use anyhow::{anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use sha2::{Digest, Sha256};

use crate::{
    access::{DEFAULT_TENANT, Scopes},
    rate_limit::RateLimit,
};

/// Longest word of an error text that is told. Field names and scopes are shorter; a key that somebody put in the
/// wrong place is longer.
const LONGEST_WORD: usize = 24;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    keys: Vec<ApiKey>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub name: Name,
    #[serde(default = "default_tenant")]
    pub tenant: Name,
    pub sha256: KeyHash,
    pub scopes: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

fn default_tenant() -> Name {
    Name(DEFAULT_TENANT.into())
}

/// Reads the content of a file. An error names the place and the key, and shows nothing that may be a key itself.
pub fn parse(content: &[u8]) -> anyhow::Result<Vec<ApiKey>> {
    let mut json = serde_json::Deserializer::from_slice(content);
    let KeysFile { keys } = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = place(error.path(), content);
        anyhow!("{place}{}", without_long_words(&error.inner().to_string()))
    })?;
    json.end().map_err(|_| anyhow!("something follows the end of the JSON object"))?;
    check_that_all_differ(&keys)?;
    Ok(keys)
}

/// `keys[1].sha256 of "billing-2026": `, as far as there is such a place and its entry has a usable name.
fn place(path: &Path, content: &[u8]) -> String {
    let mut place = without_long_words(&path.to_string());
    if place == "." {
        return String::new();
    }
    let mut segments = path.iter();
    if let (Some(Segment::Map { key }), Some(Segment::Seq { index })) = (segments.next(), segments.next()) {
        let entries = serde_json::from_slice::<Value>(content).unwrap_or_default();
        if let Some(Ok(name)) = entries[key][index]["name"].as_str().map(Name::from_str) {
            write!(place, " of {name:?}").expect("a string takes everything");
        }
    }
    place + ": "
}

fn without_long_words(text: &str) -> String {
    let ends_word = |c: char| c == ' ' || c == '.';
    text.split_inclusive(ends_word)
        .flat_map(|word| {
            let (word, end) = word.split_at(word.trim_end_matches(ends_word).len());
            [if word.chars().count() > LONGEST_WORD { "…" } else { word }, end]
        })
        .collect()
}

fn check_that_all_differ(keys: &[ApiKey]) -> anyhow::Result<()> {
    let (mut names, mut hashes) = (HashMap::new(), HashMap::new());
    for (index, key) in keys.iter().enumerate() {
        let name = &key.name;
        if let Some(first) = names.insert(name, index) {
            return Err(anyhow!("keys[{index}].name: {name:?} is also the name of keys[{first}]; names must differ"));
        }
        if let Some(first) = hashes.insert(key.sha256, name) {
            return Err(anyhow!("keys[{index}].sha256 of {name:?}: it is that of {first:?}, too; keys must differ"));
        }
    }
    Ok(())
}

/// Name of a key or of a tenant.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_usable = (1..=63).contains(&name.len())
            && name.bytes().all(|byte| is_plain(byte) || b"._-".contains(&byte))
            && name.bytes().next().is_some_and(is_plain);
        if is_usable {
            Ok(Self(name.into()))
        } else {
            Err("it must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a digit")
        }
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl From<Name> for Arc<str> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl TryFrom<String> for KeyHash {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        let wrong = || anyhow!("it must be the SHA-256 of the key, as 64 hexadecimal digits, and never the key itself");
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        // What a script makes of a variable that is not set.
        ensure!(Self(hash) != Self::of(b""), "it is the SHA-256 of an empty text");
        Ok(Self(hash))
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hash.0.iter().fold(Self::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "smsk_Zm9yIHRoZSB0ZXN0cyBvbmx5LCBub3QgYSByZWFsIGtleQ";

    fn hash(key: &str) -> String {
        KeyHash::of(key.as_bytes()).into()
    }

    fn entry(changes: Value) -> Value {
        let mut entry = json!({ "name": "billing-2026", "sha256": hash(KEY), "scopes": ["send"] });
        let Value::Object(changes) = changes else { panic!("changes are an object") };
        entry.as_object_mut().expect("an object").extend(changes);
        entry
    }

    #[test]
    fn an_entry_is_read_with_its_defaults() {
        let keys = parse(json!({ "keys": [entry(json!({}))] }).to_string().as_bytes()).expect("a valid file");
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!((key.name.as_str(), key.tenant.as_str()), ("billing-2026", "default"));
        assert_eq!(key.sha256, KeyHash::of(KEY.as_bytes()));
        assert_eq!(key.rate_limit, None);
    }

    #[test]
    fn an_entry_is_read_with_all_that_it_can_say() {
        let limit = json!({ "requests_per_second": 50, "burst": 100 });
        let full = entry(json!({ "tenant": "billing", "scopes": ["send", "admin"], "rate_limit": limit }));
        let upper_case = entry(json!({ "name": "2", "sha256": hash("2").to_uppercase() }));
        let keys = parse(json!({ "keys": [full, upper_case] }).to_string().as_bytes()).expect("a valid file");
        assert_eq!(serde_json::to_value(&keys[0]).expect("an entry encodes"), full);
        assert_eq!(keys[1].sha256, KeyHash::of(b"2"));
        parse(br#"{"keys":[]}"#).expect("all keys can be taken back");
    }

    #[track_caller]
    fn check(content: &str, expected: &str) {
        let error = format!("{:#}", parse(content.as_bytes()).expect_err(content));
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(&KEY[..10]), "a key is shown: {error}");
    }

    #[track_caller]
    fn check_entry(changes: Value, expected: &str) {
        let first = entry(json!({ "name": "first", "sha256": hash("first") }));
        check(&json!({ "keys": [first, entry(changes)] }).to_string(), expected);
    }

    #[test]
    fn a_wrong_entry_is_named_with_what_is_wrong() {
        check_entry(json!({ "sha256": KEY }), r#"keys[1].sha256 of "billing-2026": it must be the SHA-256 of the key"#);
        check_entry(json!({ "sha256": hash(KEY)[1..] }), "keys[1].sha256");
        check_entry(json!({ "sha256": "é".repeat(32) }), "keys[1].sha256");
        check_entry(json!({ "sha256": hash("") }), "the SHA-256 of an empty text");
        check_entry(json!({ "sha256": null }), r#"keys[1].sha256 of "billing-2026": invalid type: null"#);
        check_entry(json!({ "scopes": [] }), r#"keys[1].scopes of "billing-2026": a key without a scope"#);
        check_entry(json!({ "scopes": ["write"] }), "keys[1].scopes[0] of \"billing-2026\": unknown variant `write`");
        check_entry(json!({ "scopes": KEY }), "keys[1].scopes");
        check_entry(json!({ "scopes": [KEY] }), "keys[1].scopes[0]");
        check_entry(json!({ "tenant": "" }), r#"keys[1].tenant of "billing-2026": it must be 1 to 63"#);
        check_entry(json!({ "name": "Billing" }), "keys[1].name: it must be 1 to 63");
        check_entry(json!({ "name": "-billing" }), "begin with a letter or a digit");
        check_entry(json!({ "name": "b".repeat(64) }), "keys[1].name: it must be 1 to 63");
        check_entry(json!({ "name": KEY }), "keys[1].name: it must be 1 to 63");
        check_entry(
            json!({ "rate_limit": { "requests_per_second": 0 } }),
            "keys[1].rate_limit of \"billing-2026\": req",
        );
        check_entry(json!({ "rate_limit": { "requests_per_second": -1 } }), "keys[1].rate_limit.requests_per_second");
        check_entry(json!({ "key": KEY }), "keys[1].key of \"billing-2026\": unknown field `key`");
        check_entry(json!({ KEY: true }), "unknown field …");
        check_entry(json!({ "name": "first" }), r#"keys[1].name: "first" is also the name of keys[0]"#);
        check_entry(json!({ "sha256": hash("first") }), r#"keys[1].sha256 of "billing-2026": it is that of "first""#);
    }

    #[test]
    fn a_file_that_is_something_else_is_refused() {
        check("", "EOF while parsing");
        check("{\"keys\":[", "EOF while parsing");
        check("{}", "missing field `keys`");
        check("{\"keys\":[]} x", "something follows the end");
        check(&json!([entry(json!({}))]).to_string(), "invalid");
        check(&json!({ "keys": { KEY: entry(json!({})) } }).to_string(), "keys: invalid type: map");
        check(&json!({ KEY: [] }).to_string(), "unknown field …");
        check(&json!({ "keys": [KEY] }).to_string(), "keys[0]: invalid type: string …");
        check(KEY, "expected value");
        check(&format!("{{\"keys\":[{{\"name\":\"a\",\"name\":\"{KEY}\"}}]}}"), "duplicate field `name`");
    }
}

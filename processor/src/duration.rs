//! Durations as people write them in settings: `500ms`, `1s`, `2m`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error};

/// Reads a duration in jiff's friendly format; negative ones are refused.
pub fn parse(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(|| {
        format!("{text:?} is not a duration: write a number with a unit ms, s, m or h, such as 500ms, 1s or 2m")
    })
}

/// [`parse`] for serde's `deserialize_with`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_the_resource_are_understood() {
        for (text, milliseconds) in [("500ms", 500), ("1s", 1000), ("2m", 120_000), ("3h", 10_800_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "5", "1x", "-1s", "soon", "1d"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("such as 500ms"), "{error}");
        }
    }
}

//! How access is set up.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::AccessControl;
use crate::{api_keys::ApiKeys, rate_limit::RateLimit};

/// Who may use the public API, and how much: exactly one of the first two must be given.
#[derive(Clone, Debug, Args)]
#[group(id = "access")]
pub struct Settings {
    /// JSON file of the API keys that the public API wants; read again when it changes. It or --anonymous must be
    /// given; `sms-api new-api-key --help` shows what is in it.
    #[arg(long, env = "API_KEYS_FILE")]
    pub api_keys_file: Option<PathBuf>,

    /// Let everybody who reaches the public API do everything, without a key, as tenant "default".
    #[arg(long, env = "ANONYMOUS", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub anonymous: bool,

    /// Requests that each API key may make per second, where its entry in the file says nothing else; without it
    /// there is no limit. Each replica counts for itself, so n replicas together let n times as many through.
    /// Anonymous callers share one limit.
    #[arg(long, env = "RATE_LIMIT_REQUESTS_PER_SECOND")]
    pub rate_limit_requests_per_second: Option<u32>,

    /// Requests that an API key may make at once after a pause; by default those of one second. Also per replica.
    #[arg(long, env = "RATE_LIMIT_BURST", requires = "rate_limit_requests_per_second")]
    pub rate_limit_burst: Option<u32>,
}

impl Settings {
    /// Reads the keys, where there are to be some.
    pub fn access_control(&self) -> anyhow::Result<AccessControl> {
        let limit = self.rate_limit()?;
        match (&self.api_keys_file, self.anonymous) {
            (Some(file), false) => Ok(AccessControl::keys(ApiKeys::read(file.clone(), limit)?)),
            (None, true) => Ok(AccessControl::anonymous(limit)),
            (None, false) => bail!(
                "nobody could use the API: set API_KEYS_FILE to a file of API keys (`sms-api new-api-key --help` shows \
                 what is in it), or ANONYMOUS=true to let everybody who reaches it do everything"
            ),
            (Some(_), true) => bail!(
                "API_KEYS_FILE and ANONYMOUS=true exclude each other: drop ANONYMOUS to let only the keys in, or \
                 API_KEYS_FILE to let everybody in"
            ),
        }
    }

    fn rate_limit(&self) -> anyhow::Result<Option<RateLimit>> {
        let limit = self.rate_limit_requests_per_second.map(|rate| RateLimit::new(rate, self.rate_limit_burst));
        limit
            .transpose()
            .map_err(|reason| anyhow::anyhow!("RATE_LIMIT_REQUESTS_PER_SECOND, RATE_LIMIT_BURST: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    #[track_caller]
    fn check(arguments: &[&str], expected: Result<(), &str>) {
        let cli = Cli::try_parse_from(["sms-api"].iter().chain(arguments));
        let made = cli.map_err(anyhow::Error::from).and_then(|cli| cli.settings.access_control());
        match (made, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(expected)) => assert!(format!("{error:#}").contains(expected), "{arguments:?}: {error:#}"),
            (made, _) => panic!("{arguments:?}: {:?}", made.map(|_| ())),
        }
    }

    #[test]
    fn access_is_a_choice_that_must_be_made() {
        check(&["--anonymous"], Ok(()));
        check(&["--anonymous=true", "--rate-limit-requests-per-second=5", "--rate-limit-burst=10"], Ok(()));
        check(&[], Err("set API_KEYS_FILE to a file of API keys"));
        check(&["--anonymous=false"], Err("or ANONYMOUS=true"));
        check(&["--anonymous", "--api-keys-file=/keys.json"], Err("exclude each other"));
        check(&["--anonymous=false", "--api-keys-file=/nowhere/keys.json"], Err("API_KEYS_FILE: cannot read /nowhere"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_what_is_wrong() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let flag = format!("--api-keys-file={}", file.path().display());
        std::fs::write(file.path(), r#"{"keys":[{"name":"a","scopes":[]}]}"#).expect("it is writable");
        let reason = format!("API_KEYS_FILE: cannot use {}: keys[0].scopes of \"a\": ", file.path().display());
        check(&[&flag], Err(&reason));
        std::fs::write(file.path(), r#"{"keys":[]}"#).expect("it is writable");
        check(&[&flag], Ok(()));
    }

    #[test]
    fn an_unusable_limit_is_named_by_its_setting() {
        check(&["--anonymous", "--rate-limit-requests-per-second=0"], Err("RATE_LIMIT_REQUESTS_PER_SECOND"));
        check(
            &["--anonymous", "--rate-limit-requests-per-second=5", "--rate-limit-burst=0"],
            Err("RATE_LIMIT_BURST: burst must be a whole number"),
        );
        check(&["--anonymous", "--rate-limit-burst=5"], Err("--rate-limit-requests-per-second"));
    }
}

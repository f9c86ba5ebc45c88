//! `sms-api new-api-key`: makes a key and its entry for the file.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Args;

use super::file::{ApiKey, KeyHash, Name};
use crate::{
    access::{DEFAULT_TENANT, Scope, Scopes},
    config::Secret,
    rate_limit::RateLimit,
};

/// By which people and scanners of repositories know a key when they see one.
const PREFIX: &str = "smsk_";

/// What the new key is to be.
#[derive(Clone, Debug, Args)]
pub struct NewApiKey {
    /// Name of the key, by which logs speak of it; no two keys in a file have the same one.
    #[arg(long)]
    pub name: Name,

    /// Whose messages the key sends and sees.
    #[arg(long, default_value = DEFAULT_TENANT)]
    pub tenant: Name,

    /// What the key may do, with commas between; none of them contains another.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    pub scopes: Vec<Scope>,

    /// Requests that the key may make per second on each replica; by default what the settings of `serve` say.
    #[arg(long)]
    pub requests_per_second: Option<u32>,

    /// Requests that the key may make at once after a pause; by default those of one second.
    #[arg(long, requires = "requests_per_second")]
    pub burst: Option<u32>,
}

/// Prints the entry to standard output and the key to standard error, so that each can go where it belongs.
pub fn print_new(settings: &NewApiKey) -> anyhow::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the operating system gives no random numbers")?;
    let (key, entry) = make(settings, random)?;
    let entry = serde_json::to_string(&entry)?;
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        writeln!(stderr, "The key, for its user; it is not shown again. Below, its entry for the file.")?;
    }
    writeln!(stderr, "{}", key.expose())?;
    writeln!(io::stdout(), "{entry}").context("the entry could not be written")
}

fn make(settings: &NewApiKey, random: [u8; 32]) -> anyhow::Result<(Secret, ApiKey)> {
    let NewApiKey { name, tenant, scopes, requests_per_second, burst } = settings.clone();
    let key = Secret::new(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random)));
    let rate_limit = requests_per_second.map(|rate| RateLimit::new(rate, burst)).transpose();
    let entry = ApiKey {
        name,
        tenant,
        sha256: KeyHash::of(key.expose().as_bytes()),
        scopes: Scopes::try_from(scopes).map_err(anyhow::Error::msg)?,
        rate_limit: rate_limit.map_err(anyhow::Error::msg)?,
    };
    Ok((key, entry))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::api_keys::file;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: NewApiKey,
    }

    fn settings(arguments: &[&str]) -> Result<NewApiKey, clap::Error> {
        Cli::try_parse_from(["new-api-key"].iter().chain(arguments)).map(|cli| cli.settings)
    }

    #[test]
    fn the_entry_of_a_new_key_is_one_that_the_file_may_hold() {
        let all = ["--name=billing-2026", "--tenant=billing", "--scopes=send,read", "--requests-per-second=50"];
        let (key, entry) = make(&settings(&all).expect("valid arguments"), [255; 32]).expect("a key");
        assert_eq!(key.expose(), "smsk___________________________________________8");
        let json = serde_json::to_string(&entry).expect("an entry encodes");
        let sha256 = "ddbb7a0280f63d33b1eda83870f2470306743ff569efb33eb4c444ff4f923f14";
        assert_eq!(
            json,
            format!(
                r#"{{"name":"billing-2026","tenant":"billing","sha256":"{sha256}","scopes":["send","read"],"rate_limit":{{"requests_per_second":50,"burst":50}}}}"#
            )
        );
        assert_eq!(file::parse(format!(r#"{{"keys":[{json}]}}"#).as_bytes()).expect("a valid file"), [entry]);
    }

    #[test]
    fn a_key_needs_a_usable_name_and_a_scope() {
        for bad in [
            &["--name=billing"][..],
            &["--scopes=read"],
            &["--name=Billing", "--scopes=read"],
            &["--name=billing", "--scopes=write"],
            &["--name=billing", "--scopes="],
            &["--name=billing", "--scopes=read", "--burst=5"],
        ] {
            assert!(settings(bad).is_err(), "{bad:?}");
        }
    }
}

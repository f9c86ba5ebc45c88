//! `completions`: what a shell needs to complete the commands and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Answer, Outcome};
use crate::config::Cli;

/// The script for `shell`.
pub fn run(shell: Shell) -> anyhow::Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sms-operator", &mut script);
    Ok(Answer { printed: String::from_utf8(script)?, notes: String::new(), outcome: Outcome::Good })
}

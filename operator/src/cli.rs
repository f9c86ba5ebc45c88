//! Commands that read a file, print an answer and tell by their exit code what it is: for people and for CI.
//!
//! Nothing here writes to a cluster. To add a command: one file here, one line in `config` and in `main`.

pub mod completions;
pub mod crd;
pub mod diff;
mod documents;
pub mod explain;
pub(crate) mod placeholders;
pub mod render;
pub mod simulate;
pub mod validate;

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use telemetry::error_chain;

/// Where the texts of `--help` end.
pub const EXIT_CODES: &str = "\
Exit codes:
  validate, render  0 all valid   1 something is refused   2 the file cannot be read, or wrong usage
  simulate          0 done            2 an error, or wrong usage
  diff              0 no difference   1 differences        2 an error, or wrong usage
  explain           0 done   1 this version would decide otherwise   2 an error, or wrong usage
  all others        0 done        1 an error               2 wrong usage";

/// What a command found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub printed: String,
    /// For standard error.
    pub notes: String,
    /// What the exit code tells.
    pub outcome: Outcome,
}

/// What the exit code of an answer tells; the code of an error is 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// All is valid, or nothing differs.
    #[default]
    Good,
    /// Something is refused, or differs.
    Found,
}

/// Prints the answer and gives its exit code.
pub fn tell(answer: anyhow::Result<Answer>) -> ExitCode {
    let told = answer.and_then(|answer| {
        io::stderr().write_all(answer.notes.as_bytes())?;
        match io::stdout().lock().write_all(answer.printed.as_bytes()) {
            // Who reads has seen enough, as in `| head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            printed => printed.context("failed to write to standard output")?,
        }
        Ok(answer.outcome)
    });
    match told {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Err(error) => {
            eprintln!("sms-operator: {}", error_chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// The text of a file, or of standard input for `-`, and what messages call it.
fn read(file: &Path) -> anyhow::Result<(String, String)> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("failed to read standard input")?;
        return Ok(("stdin".to_owned(), text));
    }
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {name}"))?;
    Ok((name, text))
}

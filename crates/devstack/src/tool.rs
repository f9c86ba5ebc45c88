//! Runs a tool (Maven, Go, apt-get, initdb …) to its end, listening to what it says.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::{Error, account::Account, log_file::LogFile, spawn};

/// Runs `command` with both outputs in `log`; every line is also given to `on_line`.
pub fn run(command: &Command, log: &Path, on_line: &mut dyn FnMut(&str)) -> Result<(), Error> {
    run_child(spawn::dying_with_us(command), command, log, on_line)
}

/// Like [`run`], as another user when there is one.
pub fn run_as(account: Option<Account>, command: &Command, log: &Path) -> Result<(), Error> {
    let child = match account {
        Some(account) => spawn::dying_with_us_as(command, account),
        None => spawn::dying_with_us(command),
    };
    run_child(child, command, log, &mut |_| {})
}

/// What `command` prints, or `None` when it cannot be run or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    // java and some compilers tell their version on standard error.
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn run_child(mut child: Command, said: &Command, log: &Path, on_line: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let program = || said.get_program().to_string_lossy().into_owned();
    let not_run = |source: io::Error| Error::Run { program: program(), source };

    let (log, mut file) = LogFile::begin(log)?;
    let (reader, writer) = io::pipe().map_err(not_run)?;
    child.stdin(Stdio::null()).stdout(writer.try_clone().map_err(not_run)?).stderr(writer);
    let mut child = spawn::spawn(child).map_err(not_run)?;
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(not_run)?;
        let line = String::from_utf8_lossy(&line);
        writeln!(file, "{line}").map_err(Error::file("write", log.path()))?;
        on_line(&line);
    }
    let status = child.wait().map_err(not_run)?;
    if status.success() {
        return Ok(());
    }
    let first_argument = said.get_args().next().map(|argument| format!(" {}", argument.to_string_lossy()));
    Err(Error::Tool {
        command: format!("{}{}", program(), first_argument.unwrap_or_default()),
        status: status.to_string(),
        tail: log.tail(),
        log: log.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_tool_is_reported_with_its_last_words_and_its_log() {
        let log = std::env::temp_dir().join(format!("devstack-tool-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let mut heard = Vec::new();
        let error = run(&command, &log, &mut |line| heard.push(line.to_owned())).expect_err("it exits with 3");
        let text = error.to_string();
        assert_eq!(heard, ["one", "two"]);
        assert!(text.contains("`sh -c` failed (exit status: 3)"), "{text}");
        assert!(text.contains("    two") && text.contains(&*log.to_string_lossy()), "{text}");
        std::fs::remove_file(&log).expect("our own file");
    }
}

//! A server's or tool's log: begun afresh at every start, with the one before kept beside it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::Error;

/// How many lines of a log an error shows.
const SHOWN_LINES: usize = 15;

/// The path of a log, and what is read from it.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// Begins the log at `path`; an older one becomes `NAME.previous`.
    pub fn begin(path: &Path) -> Result<(LogFile, File), Error> {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".previous");
        // Nothing to keep the first time.
        let _ = fs::rename(path, previous);
        let file = File::options().create(true).append(true).open(path).map_err(Error::file("create", path))?;
        Ok((LogFile { path: path.to_owned() }, file))
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it. A log that cannot be read reads as empty: whoever asks is already reporting an error
    /// or will run into a time-out that names the path.
    pub fn text(&self) -> String {
        fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        last_lines(&self.text(), SHOWN_LINES)
    }
}

/// The last `count` lines of `text` that are not blank, indented so that they stand apart.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(count)..];
    if shown.is_empty() {
        return "    (nothing)".to_owned();
    }
    shown.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_has_the_last_lines_without_blank_ones() {
        assert_eq!(last_lines("one\n\ntwo\nthree\n\n", 2), "    two\n    three");
        assert_eq!(last_lines("", 2), "    (nothing)");
    }
}

//! The values of Secrets, kept in files so that they can be rotated under a running process.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::settings::SecretFile;

/// How long files that were read are believed: thousands of refused calls at once are one reason to read again.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The secrets as last read.
pub(super) struct Secrets {
    files: BTreeMap<String, SecretFile>,
    read: Mutex<Read>,
}

struct Read {
    values: Arc<composer::Secrets>,
    at: Instant,
}

impl Secrets {
    /// Reads all files; an error names the field and never a value.
    pub(super) fn read(files: &BTreeMap<String, SecretFile>) -> Result<Self, String> {
        let values = Arc::new(values(files)?);
        Ok(Self { files: files.clone(), read: Mutex::new(Read { values, at: Instant::now() }) })
    }

    /// Those last read.
    pub(super) fn current(&self) -> Arc<composer::Secrets> {
        Arc::clone(&self.read.lock().unwrap_or_else(PoisonError::into_inner).values)
    }

    /// Those in the files at `now`, if they are others than `used`, which the provider seems not to like.
    pub(super) fn others_than(&self, used: &composer::Secrets, now: Instant) -> Option<Arc<composer::Secrets>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read.values == *used && now.duration_since(read.at) >= READ_INTERVAL {
            read.at = now;
            match values(&self.files) {
                Ok(fresh) => read.values = Arc::new(fresh),
                // A file that is unreadable for the moment leaves the last value in use.
                Err(error) => tracing::warn!(error, "secrets of the provider cannot be read again"),
            }
        }
        (*read.values != *used).then(|| Arc::clone(&read.values))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secrets").field("files", &self.files).finish_non_exhaustive()
    }
}

fn values(files: &BTreeMap<String, SecretFile>) -> Result<composer::Secrets, String> {
    files.iter().map(|(name, SecretFile { file })| Ok((name.clone(), value(name, file)?))).collect()
}

/// Without the line break that editors and `echo` end a file with.
fn value(name: &str, file: &std::path::Path) -> Result<String, String> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("http.secrets.{name}: cannot read {shown}: {error}"))?;
    match text.trim() {
        "" => Err(format!("http.secrets.{name}: the file {shown} is empty")),
        value => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(file: &std::path::Path) -> BTreeMap<String, SecretFile> {
        BTreeMap::from([("apiKey".to_owned(), SecretFile { file: file.to_owned() })])
    }

    #[test]
    fn a_file_that_is_missing_or_empty_is_told_with_its_field() {
        for (file, expected) in [("/nowhere/key", "cannot read /nowhere/key"), ("/dev/null", "/dev/null is empty")] {
            let error = Secrets::read(&files(file.as_ref())).expect_err(file);
            assert!(error.starts_with("http.secrets.apiKey: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_rotated_secret_is_found_once_somebody_doubts_the_old_one() {
        let file = std::env::temp_dir().join(format!("provider-secret-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, "old\n").expect("temporary file is writable");
        let secrets = Secrets::read(&files(&file)).expect("readable");
        let (old, later) = (secrets.current(), Instant::now() + READ_INTERVAL);
        assert_eq!(old["apiKey"], "old");
        assert_eq!(secrets.others_than(&old, later), None);
        std::fs::write(&file, "new\n").expect("temporary file is writable");
        assert_eq!(secrets.others_than(&old, later), None, "it was read a moment ago");
        let fresh = secrets.others_than(&old, later + READ_INTERVAL).expect("a new value");
        assert_eq!(fresh["apiKey"], "new");
        assert_eq!(secrets.others_than(&old, later), Some(Arc::clone(&fresh)), "whoever else doubts has it at once");
        std::fs::remove_file(&file).expect("temporary file is removable");
        assert_eq!(secrets.others_than(&fresh, later + 2 * READ_INTERVAL), None);
        assert!(!format!("{secrets:?}").contains("new"), "{secrets:?}");
    }
}

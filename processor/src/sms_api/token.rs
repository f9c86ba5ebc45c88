//! The token for sms-api's internal port, kept in a file so that it can be rotated under a running process.

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use anyhow::{Context, bail};
use reqwest::header::HeaderValue;

/// The token as last read.
#[derive(Debug)]
pub struct Token {
    file: PathBuf,
    header: RwLock<HeaderValue>,
}

impl Token {
    /// Reads the file of the setting `INTERNAL_TOKEN_FILE`.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let header = RwLock::new(header(file)?);
        Ok(Self { file: file.to_owned(), header })
    }

    /// The `Authorization` header's value; marked sensitive, so that it is never printed.
    pub fn authorization(&self) -> HeaderValue {
        self.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again; a file that is unreadable for the moment leaves the last token in use.
    pub fn reload(&self) -> anyhow::Result<()> {
        let header = header(&self.file)?;
        *self.header.write().unwrap_or_else(PoisonError::into_inner) = header;
        Ok(())
    }
}

fn header(file: &Path) -> anyhow::Result<HeaderValue> {
    let shown = file.display();
    let token = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the internal token from {shown} (INTERNAL_TOKEN_FILE)"))?;
    let token = token.trim();
    if token.is_empty() {
        bail!("the file {shown} (INTERNAL_TOKEN_FILE) is empty: put the token of sms-api's internal port into it");
    }
    let Ok(mut header) = HeaderValue::from_str(&format!("Bearer {token}")) else {
        bail!("the file {shown} (INTERNAL_TOKEN_FILE) holds characters that no HTTP header can carry");
    };
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named_together_with_its_setting() {
        let error = Token::read(Path::new("/nowhere/token")).expect_err("no such file").to_string();
        assert!(error.contains("/nowhere/token") && error.contains("INTERNAL_TOKEN_FILE"), "{error}");
    }

    #[test]
    fn an_empty_file_is_refused() {
        let error = Token::read(Path::new("/dev/null")).expect_err("empty file").to_string();
        assert!(error.contains("(INTERNAL_TOKEN_FILE) is empty"), "{error}");
    }

    #[test]
    fn a_token_never_shows_in_debug_output_and_follows_its_file() {
        let file = std::env::temp_dir().join(format!("sms-processor-token-{}", std::process::id()));
        std::fs::write(&file, "old-secret\n").expect("temporary file is writable");
        let token = Token::read(&file).expect("token is read");
        assert_eq!(token.authorization().to_str().ok(), Some("Bearer old-secret"));
        assert!(!format!("{token:?}").contains("old-secret"), "{token:?}");
        std::fs::write(&file, "new-secret").expect("temporary file is writable");
        token.reload().expect("token is read again");
        assert_eq!(token.authorization().to_str().ok(), Some("Bearer new-secret"));
        std::fs::remove_file(&file).expect("temporary file is removable");
        assert!(token.reload().is_err());
        assert_eq!(token.authorization().to_str().ok(), Some("Bearer new-secret"));
    }
}

use std::error::Error;

/// An error and its causes in one line. Some crates repeat a cause in the text of its effect; it is told once
/// here.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if told.is_empty() {
            told = text;
        } else if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        next = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{step}")]
    struct Failed {
        step: &'static str,
        source: Option<std::io::Error>,
    }

    #[track_caller]
    fn check(step: &'static str, cause: &'static str, expected: &str) {
        assert_eq!(error_chain(&Failed { step, source: Some(std::io::Error::other(cause)) }), expected);
    }

    #[test]
    fn every_cause_is_told_once() {
        check("failed to apply", "quota exceeded", "failed to apply: quota exceeded");
        check("failed to apply: quota exceeded", "quota exceeded", "failed to apply: quota exceeded");
    }
}

use std::error::Error;

/// An error and its causes in one line. Some crates repeat a cause in the text of its effect; it is told once
/// here.
pub fn error_chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        next = cause.source();
    }
    told
}

/// The cause that says most of why a call failed: "Connection refused" rather than "error sending request".
pub fn innermost_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
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
    fn the_innermost_cause_is_told_alone() {
        let cause = std::io::Error::other("connection refused");
        assert_eq!(
            innermost_cause(&Failed { step: "cannot reach PostgreSQL", source: Some(cause) }),
            "connection refused"
        );
        assert_eq!(
            innermost_cause(&Failed { step: "cannot reach PostgreSQL", source: None }),
            "cannot reach PostgreSQL"
        );
    }

    #[test]
    fn every_cause_is_told_once() {
        check("cannot reach PostgreSQL", "connection refused", "cannot reach PostgreSQL: connection refused");
        check("failed to apply", "quota exceeded", "failed to apply: quota exceeded");
        check("failed to apply: quota exceeded", "quota exceeded", "failed to apply: quota exceeded");
    }
}

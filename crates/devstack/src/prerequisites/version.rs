//! Reads versions out of what programs say about themselves.

/// Major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// The first two numbers of `text`, which must begin with one: `17.0.15`, `1.24`, `21`, `1.19~1`.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
        let major = numbers.next()?.ok()?;
        Some(Version(major, numbers.next().and_then(Result::ok).unwrap_or(0)))
    }
}

/// The full version in what `java -version` says: `openjdk version "17.0.15" 2025-04-15`.
pub fn of_java(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("version \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// The version in what `go version` says: `go version go1.26.8 linux/amd64`.
pub fn of_go(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| Version::parse(word.strip_prefix("go")?))
}

/// The version that apt would install, from what `apt-cache policy PACKAGE` says.
pub fn of_apt_candidate(text: &str) -> Option<Version> {
    let candidate = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    // An epoch comes before a colon.
    Version::parse(candidate.rsplit(':').next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(Version::parse("1.9") < Version::parse("1.24"));
        assert_eq!(Version::parse("21"), Some(Version(21, 0)));
        assert_eq!(Version::parse("devel"), None);
    }

    #[test]
    fn java_tells_its_version_between_quotes() {
        let text = "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)\n";
        assert_eq!(of_java(text).as_deref(), Some("17.0.15"));
        assert_eq!(of_java("java version \"1.8.0_292\"").as_deref(), Some("1.8.0_292"));
        assert_eq!(of_java("The operation couldn't be completed. Unable to locate a Java Runtime."), None);
    }

    #[test]
    fn java_8_is_older_than_java_17() {
        assert!(Version::parse("1.8.0_292") < Version::parse("17.0.15"));
    }

    #[test]
    fn go_tells_its_version_in_the_third_word() {
        assert_eq!(of_go("go version go1.26.8 linux/amd64\n"), Some(Version(1, 26)));
        assert_eq!(of_go("go version go1.19 darwin/arm64"), Some(Version(1, 19)));
        assert_eq!(of_go("go version devel +abc"), None);
    }

    #[test]
    fn apt_tells_its_candidate_with_an_epoch() {
        let text = "golang-go:\n  Installed: (none)\n  Candidate: 2:1.19~1\n  Version table:\n";
        assert_eq!(of_apt_candidate(text), Some(Version(1, 19)));
        assert_eq!(of_apt_candidate("golang-go:\n  Candidate: (none)\n"), None);
    }
}

//! How a connection to a broker is secured: TLS, and who we are.

use std::{convert::Infallible, fmt, fs, path::PathBuf, str::FromStr};

use rdkafka::ClientConfig;

use crate::Error;

/// How connections to the brokers are secured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, clap::Args)]
#[group(id = "kafka-security")]
pub struct Security {
    /// Whether connections are encrypted, and whether clients say who they are.
    #[arg(long = "kafka-security-protocol", env = "KAFKA_SECURITY_PROTOCOL", value_enum, default_value_t)]
    pub protocol: Protocol,

    /// File with the certificates of the authorities that may have signed the brokers' certificates, in PEM; those that
    /// the machine trusts when absent.
    #[arg(long = "kafka-ca-file", env = "KAFKA_CA_FILE")]
    pub ca: Option<Source>,

    /// File with the certificate that tells the brokers who we are, in PEM.
    #[arg(long = "kafka-certificate-file", env = "KAFKA_CERTIFICATE_FILE")]
    pub certificate: Option<Source>,

    /// File with the private key of that certificate, in PEM.
    #[arg(long = "kafka-key-file", env = "KAFKA_KEY_FILE")]
    pub key: Option<Source>,

    /// How user name and password are proven to the brokers.
    #[arg(long = "kafka-sasl-mechanism", env = "KAFKA_SASL_MECHANISM", value_enum)]
    pub mechanism: Option<Mechanism>,

    /// User name for the brokers.
    #[arg(long = "kafka-username", env = "KAFKA_USERNAME", conflicts_with = "username_file")]
    pub username: Option<String>,

    /// File with the user name for the brokers.
    #[arg(long = "kafka-username-file", env = "KAFKA_USERNAME_FILE")]
    pub username_file: Option<Source>,

    /// File with the password for the brokers.
    #[arg(long = "kafka-password-file", env = "KAFKA_PASSWORD_FILE")]
    pub password: Option<Source>,
}

/// Whether connections are encrypted, and whether clients say who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted by TLS.
    Ssl,
    /// With user name and password, which travel as they are or can be guessed by who listens.
    SaslPlaintext,
    /// Encrypted by TLS, with user name and password.
    SaslSsl,
}

/// How user name and password are proven to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mechanism {
    /// By sending them. RFC 4616.
    #[value(name = "PLAIN")]
    Plain,
    /// Without sending the password. RFC 7677.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Without sending the password. RFC 7677 with SHA-512.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

/// A secret: where it is, or what it is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// In this file, which is read when a client is made.
    File(PathBuf),
    /// This is it. It is never printed.
    Value(String),
}

impl Security {
    /// Puts the settings into those of a client.
    pub(crate) fn apply(&self, config: &mut ClientConfig) -> Result<(), Error> {
        config.set("security.protocol", self.protocol.as_str());
        if self.protocol.is_encrypted() {
            // Both are librdkafka's defaults, which have changed before.
            config.set("enable.ssl.certificate.verification", "true");
            config.set("ssl.endpoint.identification.algorithm", "https");
            match &self.ca {
                Some(ca) => config.set("ssl.ca.pem", ca.read("KAFKA_CA_FILE")?),
                None => config.set("ssl.ca.location", "probe"),
            };
            match (&self.certificate, &self.key) {
                (Some(certificate), Some(key)) => {
                    config.set("ssl.certificate.pem", certificate.read("KAFKA_CERTIFICATE_FILE")?);
                    config.set("ssl.key.pem", key.read("KAFKA_KEY_FILE")?);
                }
                (None, None) => {}
                (Some(_), None) => return Err(Error::Incomplete("KAFKA_CERTIFICATE_FILE needs KAFKA_KEY_FILE")),
                (None, Some(_)) => return Err(Error::Incomplete("KAFKA_KEY_FILE needs KAFKA_CERTIFICATE_FILE")),
            }
        }
        if self.protocol.wants_login() {
            let mechanism = self.mechanism.ok_or(Error::Incomplete(
                "KAFKA_SECURITY_PROTOCOL sasl_plaintext or sasl_ssl needs KAFKA_SASL_MECHANISM",
            ))?;
            let username = match (&self.username, &self.username_file) {
                (Some(username), _) => username.clone(),
                (None, Some(file)) => file.read_line("KAFKA_USERNAME_FILE")?,
                (None, None) => {
                    return Err(Error::Incomplete("KAFKA_SASL_MECHANISM needs KAFKA_USERNAME or KAFKA_USERNAME_FILE"));
                }
            };
            let password = self.password.as_ref();
            let password = password.ok_or(Error::Incomplete("KAFKA_SASL_MECHANISM needs KAFKA_PASSWORD_FILE"))?;
            config.set("sasl.mechanism", mechanism.as_str()).set("sasl.username", username);
            config.set("sasl.password", password.read_line("KAFKA_PASSWORD_FILE")?);
        }
        Ok(())
    }
}

impl Protocol {
    /// The name that Kafka's clients know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn wants_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    /// The name that Kafka knows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Source {
    fn read(&self, setting: &'static str) -> Result<String, Error> {
        let text = match self {
            Self::Value(value) => value.clone(),
            Self::File(path) => fs::read_to_string(path).map_err(|source| Error::ReadFile {
                setting,
                path: path.clone(),
                source: source.into(),
            })?,
        };
        // The C library would see only what is before it, and its error would print all of it.
        if text.contains('\0') { Err(Error::NulByte { setting }) } else { Ok(text) }
    }

    /// Without the end of the line, which most editors add.
    fn read_line(&self, setting: &'static str) -> Result<String, Error> {
        Ok(self.read(setting)?.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Ok(Self::File(path.into()))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Value(_) => formatter.write_str("[redacted]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Settings;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        kafka: Settings,
    }

    fn settings(arguments: &[&str]) -> Settings {
        let arguments = ["program", "--kafka-bootstrap-servers=kafka:9093"].iter().chain(arguments);
        Command::try_parse_from(arguments).expect("usable arguments").kafka
    }

    fn config(arguments: &[&str]) -> Result<ClientConfig, Error> {
        settings(arguments).client_config("tests")
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(&file, text).expect("the file is writable");
        file
    }

    #[track_caller]
    fn check(config: &ClientConfig, expected: &[(&str, Option<&str>)]) {
        for (name, value) in expected {
            assert_eq!(config.get(name), *value, "{name}");
        }
    }

    #[test]
    fn without_a_word_about_security_connections_are_plain() {
        let expected = [("security.protocol", Some("plaintext")), ("ssl.ca.location", None), ("sasl.mechanism", None)];
        check(&config(&[]).expect("complete"), &expected);
    }

    #[test]
    fn an_encrypted_connection_is_only_made_to_a_broker_that_proves_its_name() {
        let expected = [
            ("security.protocol", Some("ssl")),
            ("enable.ssl.certificate.verification", Some("true")),
            ("ssl.endpoint.identification.algorithm", Some("https")),
            ("ssl.ca.location", Some("probe")),
        ];
        check(&config(&["--kafka-security-protocol=ssl"]).expect("complete"), &expected);
    }

    #[test]
    fn files_are_read_and_the_end_of_a_line_is_no_part_of_a_password() {
        let (ca, user, password) = (file("CA\n"), file("sms\n"), file("hunter2\r\n"));
        let config = config(&[
            "--kafka-security-protocol=sasl_ssl",
            "--kafka-sasl-mechanism=SCRAM-SHA-512",
            &format!("--kafka-ca-file={}", ca.path().display()),
            &format!("--kafka-username-file={}", user.path().display()),
            &format!("--kafka-password-file={}", password.path().display()),
        ]);
        let expected = [
            ("security.protocol", Some("sasl_ssl")),
            ("sasl.mechanism", Some("SCRAM-SHA-512")),
            ("ssl.ca.pem", Some("CA\n")),
            ("sasl.username", Some("sms")),
            ("sasl.password", Some("hunter2")),
        ];
        check(&config.expect("complete"), &expected);
    }

    #[test]
    fn what_is_missing_is_named_by_its_setting() {
        let sasl = ["--kafka-security-protocol=sasl_ssl", "--kafka-sasl-mechanism=PLAIN", "--kafka-username=sms"];
        for (arguments, expected) in [
            (&sasl[..1], "KAFKA_SECURITY_PROTOCOL sasl_plaintext or sasl_ssl needs KAFKA_SASL_MECHANISM"),
            (&sasl[..2], "KAFKA_SASL_MECHANISM needs KAFKA_USERNAME or KAFKA_USERNAME_FILE"),
            (&sasl[..3], "KAFKA_SASL_MECHANISM needs KAFKA_PASSWORD_FILE"),
            (
                &["--kafka-security-protocol=ssl", "--kafka-key-file=/etc/key.pem"],
                "KAFKA_KEY_FILE needs KAFKA_CERTIFICATE_FILE",
            ),
            (
                &["--kafka-security-protocol=ssl", "--kafka-ca-file=/nowhere/ca.pem"],
                "failed to read /nowhere/ca.pem, named by KAFKA_CA_FILE",
            ),
        ] {
            assert_eq!(config(arguments).expect_err("incomplete").to_string(), expected);
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let secret = || Some(Source::Value("hunter2\0".to_owned()));
        let mut settings = settings(&["--kafka-security-protocol=sasl_ssl", "--kafka-sasl-mechanism=PLAIN"]);
        settings.security.username = Some("sms".to_owned());
        settings.security.password = secret();
        settings.security.key = secret();
        let debug = format!("{settings:?}");
        assert!(debug.contains("[redacted]") && !debug.contains("hunter2"), "{debug}");
        settings.security.key = None;
        let refused = settings.client_config("tests").expect_err("a NUL byte");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
    }
}

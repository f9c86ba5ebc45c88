//! Why the brokers cannot be reached, from what librdkafka logs. Pure.
//!
//! A call that gets no connection only tells that its time is over; the reason is in the log of the client.

use crate::Error;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The brokers do not take our user name and password.
    Login(String),
    /// A broker does not prove who it is, or does not take our certificate.
    Tls(String),
    /// The broker seems to speak another protocol than we do.
    Protocol,
    /// A name has no address.
    Name(String),
}

/// The cause in a line of librdkafka's log, if it tells one. What changes from one attempt to the next, such as times
/// and counts, is left out, so that the same cause has always the same words.
pub(crate) fn cause(line: &str) -> Option<Cause> {
    let from = |start: &str| line.find(start).map(|begin| without_times(&line[begin..]).to_owned());
    // A certificate of ours that is not taken is told by an alert, after the handshake (RFC 8446).
    if let Some(text) =
        from("SSL handshake failed").or_else(|| from("SSL routines::").filter(|text| text.contains(" alert ")))
    {
        return Some(Cause::Tls(text));
    }
    if line.contains("security.protocol") || line.contains("Disconnected") && line.contains("APIVERSION_QUERY") {
        return Some(Cause::Protocol);
    }
    if let Some(text) = from("SASL ").filter(|_| line.contains("fail") || line.contains("error")) {
        return Some(Cause::Login(text));
    }
    from("Failed to resolve").map(Cause::Name)
}

impl Cause {
    /// The error of a call that found no connection.
    pub(crate) fn into_error(self, call: &'static str) -> Error {
        match self {
            Self::Login(reason) => Error::Login { reason },
            Self::Tls(reason) => Error::Tls { reason },
            Self::Protocol => {
                let reason = "a broker hangs up at our first word, as one does that expects another security protocol";
                let reason = reason.to_owned();
                Error::Tls { reason }
            }
            Self::Name(reason) => Error::Call { call, reason },
        }
    }
}

fn without_times(text: &str) -> &str {
    text.rfind(" (after ").map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: impl Into<Option<Cause>>) {
        assert_eq!(cause(line), expected.into());
    }

    #[test]
    fn a_wrong_password_is_told_in_the_broker_s_words() {
        check(
            "[thrd:sasl_ssl://127.0.0.1:9093/bootstrap]: sasl_ssl://127.0.0.1:9093/bootstrap: SASL authentication error: \
             Authentication failed (after 305ms in state AUTH_REQ, 5 identical error(s) suppressed)",
            Some(Cause::Login("SASL authentication error: Authentication failed".to_owned())),
        );
        check(
            "[thrd:x]: x: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's \
             supported mechanisms: SCRAM-SHA-512 (after 1ms in state AUTH_HANDSHAKE)",
            Some(Cause::Login(
                "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported \
                 mechanisms: SCRAM-SHA-512"
                    .to_owned(),
            )),
        );
    }

    #[test]
    fn an_unknown_authority_is_told() {
        check(
            "[thrd:x]: ssl://127.0.0.1:9093/bootstrap: SSL handshake failed: certificate verify failed: broker certificate \
             could not be verified (after 5ms in state SSL_HANDSHAKE)",
            Some(Cause::Tls(
                "SSL handshake failed: certificate verify failed: broker certificate could not be verified".to_owned(),
            )),
        );
    }

    #[test]
    fn a_certificate_of_ours_that_is_not_taken_is_told() {
        check(
            "[thrd:x]: x: Receive failed: error:0A000416:SSL routines::sslv3 alert certificate unknown: SSL alert number 46 \
             (after 2ms in state APIVERSION_QUERY)",
            Some(Cause::Tls("SSL routines::sslv3 alert certificate unknown: SSL alert number 46".to_owned())),
        );
    }

    #[test]
    fn another_protocol_and_an_unknown_name_are_told() {
        check(
            "[thrd:x]: x: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol \
             configuration (connecting to a SSL listener?) (after 3ms in state APIVERSION_QUERY)",
            Some(Cause::Protocol),
        );
        check(
            "[thrd:x]: x: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state \
             APIVERSION_QUERY, 1 identical error(s) suppressed)",
            Some(Cause::Protocol),
        );
        check(
            "[thrd:x]: x: Disconnected: connection closed by peer: receive 0 after POLLIN (after 9000ms in state UP)",
            None,
        );
        check(
            "[thrd:x]: x: Failed to resolve 'kafka.nowhere:9092': Name or service not known (after 7ms in state CONNECT)",
            Some(Cause::Name("Failed to resolve 'kafka.nowhere:9092': Name or service not known".to_owned())),
        );
    }

    #[test]
    fn a_broker_that_is_only_away_has_no_cause_worth_telling() {
        check(
            "[thrd:x]: x: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            None,
        );
    }
}

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A record that cannot be processed: the value of a record on the dead letter topic (ADR-007, dead letter
/// queue). Where it came from is told by the headers [`crate::headers::ORIGIN_TOPIC`] and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMessage {
    /// The original value: as it was when it is UTF-8, otherwise in base64, which [`crate::headers::MESSAGE_ENCODING`] says.
    pub message: String,
    /// Why it could not be processed.
    pub error: String,
    /// When the processor gave it up.
    pub timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_stays_readable() {
        let golden = include_str!("../golden/failed-message.json").trim_end();
        let decoded: FailedMessage = serde_json::from_str(golden).expect("golden dead letter decodes");
        assert_eq!(serde_json::to_string(&decoded).expect("dead letter encodes"), golden);
    }
}

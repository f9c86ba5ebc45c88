//! What a dry run answers: the message as it would be sent, and nothing that only a stored one has. Without id,
//! status and times nobody can take it for a message that exists, or wait for one.

use serde::Serialize;

use super::validation::Valid;
use crate::segments::{Encoding, Segmentation};

/// The body; only ever made from a valid request.
#[derive(Serialize)]
pub struct Preview {
    sender: String,
    recipient: String,
    text: String,
    segments: usize,
    encoding: Encoding,
    dry_run: bool,
}

impl From<Valid> for Preview {
    fn from(Valid { sender, recipient, text, dry_run }: Valid) -> Self {
        let Segmentation { encoding, segments } = Segmentation::of(&text);
        Self { sender, recipient, text, segments, encoding, dry_run }
    }
}

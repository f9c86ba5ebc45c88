//! Where a list goes on: opaque to clients, so that it can change.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What is said of a text that [`decode`] does not take.
pub const NOT_OF_THIS_LIST: &str = "must be the next_cursor of a page with the same filters";

/// What a cursor of this kind starts with.
const VERSION: char = '1';

/// The cursor of what comes after `last` in a list with this filter.
pub fn encode(last: Uuid, filter: &impl Serialize) -> String {
    format!("{VERSION}{}{:08x}", last.simple(), fingerprint(filter))
}

/// The last one before the rest of the list; `None` where the cursor is not one of a list with this filter.
pub fn decode(cursor: &str, filter: &impl Serialize) -> Option<Uuid> {
    let (last, filtered) = cursor.strip_prefix(VERSION)?.split_at_checked(32)?;
    (filtered == format!("{:08x}", fingerprint(filter))).then(|| Uuid::try_parse(last).ok())?
}

/// A cursor of another list would leave out something without a word.
fn fingerprint(filter: &impl Serialize) -> u32 {
    let hash = Sha256::digest(serde_json::to_vec(filter).expect("a filter of plain fields always encodes"));
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{message::Status, store::Filter};

    proptest! {
        #[test]
        fn a_cursor_gives_back_what_it_was_made_of(last: u128, user in proptest::option::of("[1-9][0-9]{1,14}")) {
            let filter = Filter { user, ..Filter::default() };
            let cursor = encode(Uuid::from_u128(last), &filter);
            prop_assert_eq!(decode(&cursor, &filter), Some(Uuid::from_u128(last)));
            let other = Filter { status: Some(Status::Sent), ..filter };
            prop_assert_eq!(decode(&cursor, &other), None);
        }

        #[test]
        fn no_text_makes_trouble(text: String) {
            let _ = decode(&text, &Filter::default());
        }
    }
}

//! What a list may be asked for: which messages, and which part of them. Pure.

use std::fmt::Display;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    cursor,
    message_request::{is_phone_number, is_reference},
};
use crate::{
    message::{Status, first_id_at},
    problem::{NOT_A_TIME, Violation},
    store::{DEEPEST, Filter},
};

/// How many messages a page has when nobody says.
const USUAL: u32 = 20;
/// How many a page by number may have, as the first implementation has it.
const LARGEST_SIZE: u32 = 100;
/// How many a page by cursor may have.
const LARGEST_LIMIT: u32 = 1_000;

/// The query as it came. Parameters that are not named here are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only messages with this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only messages that were accepted at this time or later.
    #[param(value_type = Option<Timestamp>)]
    created_after: Option<String>,
    /// Only messages that were accepted before this time.
    #[param(value_type = Option<Timestamp>)]
    created_before: Option<String>,
    /// Only messages that the client calls so.
    #[param(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    client_reference: Option<String>,
    /// Only messages that came with this batch.
    #[param(value_type = Option<Uuid>)]
    batch_id: Option<String>,
    /// How many messages at most; with it the answer is a part by cursor.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the part before, of the same list with the same filters. A part can be short, even empty,
    /// and still have one: at most 10,000 messages are looked at for it.
    cursor: Option<String>,
    /// Number of the page, from 0; only the first 10,000 messages are reached so.
    #[param(value_type = Option<u32>, minimum = 0)]
    page: Option<String>,
    /// How many messages a page has.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    size: Option<String>,
}

/// Which list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List<'a> {
    /// All messages.
    All,
    /// Those that a number sent or received.
    OfUser(&'a str),
    /// Those that are FAILED.
    Failed,
}

/// A list, proven usable.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Asked {
    /// Which messages the list has.
    pub filter: Filter,
    /// The last message before the asked part, where a cursor told it.
    pub after: Option<Uuid>,
    /// Which part of them.
    pub part: Part,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What comes after a cursor, or the beginning. The same at any depth.
    After {
        /// How many messages at most.
        limit: u32,
    },
    /// A page by its number, as the first implementation's clients ask for it.
    Page {
        /// From 0.
        page: u32,
        /// How many messages a page has.
        size: u32,
    },
}

impl List<'_> {
    /// How the first implementation calls it.
    fn peer_name(self) -> &'static str {
        match self {
            Self::All => "listMessages",
            Self::OfUser(_) => "getUserMessages",
            Self::Failed => "getFailedMessages",
        }
    }
}

impl ListQuery {
    /// Proves the query usable, or names everything that is wrong with it.
    pub fn validate(self, list: List) -> Result<Asked, Vec<Violation>> {
        let mut faults = Faults { list, found: Vec::new() };
        let mut filter = Filter::default();
        match list {
            List::All => {}
            List::OfUser(user) if is_phone_number(user) => filter.user = Some(user.to_owned()),
            List::OfUser(_) => faults.complain("userId", "Invalid phone number format"),
            List::Failed => filter.status = Some(Status::Failed),
        }
        if list != List::Failed {
            filter.status = faults.parsed("status", self.status.as_deref(), status).or(filter.status);
        }
        let created_after = faults.parsed("created_after", self.created_after.as_deref(), time);
        let created_before = faults.parsed("created_before", self.created_before.as_deref(), time);
        let batch_id = faults.parsed("batch_id", self.batch_id.as_deref(), uuid);
        filter.client_reference = faults.parsed("client_reference", self.client_reference.as_deref(), reference);
        filter.narrow(created_after, created_before, batch_id);
        let part =
            faults.part(self.limit.as_deref(), self.page.as_deref(), self.size.as_deref(), self.cursor.is_some());
        let after = self.cursor.as_deref().and_then(|text| {
            let after = cursor::decode(text, &filter);
            if after.is_none() {
                faults.complain("cursor", cursor::NOT_OF_THIS_LIST);
            }
            after
        });
        if faults.found.is_empty() { Ok(Asked { filter, after, part }) } else { Err(faults.found) }
    }
}

struct Faults<'a> {
    list: List<'a>,
    found: Vec<Violation>,
}

impl Faults<'_> {
    fn complain(&mut self, name: &str, message: impl Into<String>) {
        let peer_name = format!("{}.{name}", self.list.peer_name());
        self.found.push(Violation::of_parameter(name, &peer_name, message));
    }

    fn parsed<T>(&mut self, name: &str, given: Option<&str>, parse: fn(&str) -> Result<T, &'static str>) -> Option<T> {
        parse(given?).map_err(|message| self.complain(name, message)).ok()
    }

    fn number(&mut self, name: &str, given: Option<&str>, smallest: u32, largest: u32, usual: u32) -> u32 {
        let Some(given) = given else { return usual };
        let fault: Box<dyn Display> = match given.parse::<i64>() {
            Err(_) => Box::new("must be a whole number"),
            Ok(number) if number < smallest.into() => Box::new(format!("must be greater than or equal to {smallest}")),
            Ok(number) if number > largest.into() => Box::new(format!("must be less than or equal to {largest}")),
            Ok(number) => return u32::try_from(number).unwrap_or(usual),
        };
        self.complain(name, fault.to_string());
        usual
    }

    /// A client that asks for nothing in particular gets the first page as the first implementation gives it.
    fn part(&mut self, limit: Option<&str>, page: Option<&str>, size: Option<&str>, has_cursor: bool) -> Part {
        if limit.is_some() || has_cursor {
            for (name, _) in [("page", page), ("size", size)].into_iter().filter(|(_, given)| given.is_some()) {
                self.complain(name, "cannot be combined with limit and cursor");
            }
            return Part::After { limit: self.number("limit", limit, 1, LARGEST_LIMIT, USUAL) };
        }
        let size = self.number("size", size, 1, LARGEST_SIZE, USUAL);
        let page = self.number("page", page, 0, u32::MAX, 0);
        if (u64::from(page) + 1) * u64::from(size) > u64::from(DEEPEST) {
            let message = format!("reaches only the first {DEEPEST} messages: go on with next_cursor as cursor");
            self.complain("page", message);
        }
        Part::Page { page, size }
    }
}

fn status(text: &str) -> Result<Status, &'static str> {
    Status::named(text).ok_or("must be PENDING, SENT, FAILED, SCHEDULED, CANCELED, EXPIRED or UNKNOWN")
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| NOT_A_TIME)
}

fn uuid(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "must be a UUID")
}

fn reference(text: &str) -> Result<String, &'static str> {
    if is_reference(text) { Ok(text.to_owned()) } else { Err("must be a string of 1 to 255 characters") }
}

impl Filter {
    /// Times and batches are ranges of ids.
    pub fn narrow(&mut self, after: Option<Timestamp>, before: Option<Timestamp>, batch_id: Option<Uuid>) {
        if let Some(after) = after {
            self.from = self.from.max(first_id_at(after));
        }
        if let Some(before) = before {
            self.before = self.before.min(first_id_at(before));
        }
        if let Some(batch_id) = batch_id {
            // The messages of a batch have its millisecond.
            let milliseconds = batch_id.as_u128() >> 80;
            self.from = self.from.max(Uuid::from_u128(milliseconds << 80));
            self.before = self.before.min(Uuid::from_u128((milliseconds + 1) << 80));
            self.batch_id = Some(batch_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> ListQuery {
        serde_json::from_value(
            text.split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        )
        .expect("parameters")
    }

    #[track_caller]
    fn check(text: &str, expected: Part) {
        assert_eq!(query(text).validate(List::All).map(|asked| asked.part), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_faults(list: List, text: &str, expected: &[&str]) {
        let faults = query(text).validate(list).expect_err(text);
        let faults: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
        assert_eq!(faults, expected, "{text}");
    }

    #[test]
    fn pages_come_by_number_unless_a_limit_or_cursor_is_given() {
        check("", Part::Page { page: 0, size: 20 });
        check("page=3&size=100", Part::Page { page: 3, size: 100 });
        check("limit=1000", Part::After { limit: 1000 });
        let cursor = cursor::encode(Uuid::max(), &Filter::default());
        check(&format!("cursor={cursor}"), Part::After { limit: 20 });
        check("page=99&size=100", Part::Page { page: 99, size: 100 });
    }

    #[test]
    fn what_is_wrong_with_a_page_is_said_in_the_words_of_the_peer() {
        check_faults(List::All, "size=0", &["listMessages.size: must be greater than or equal to 1"]);
        check_faults(List::Failed, "size=101", &["getFailedMessages.size: must be less than or equal to 100"]);
        check_faults(List::All, "page=-1", &["listMessages.page: must be greater than or equal to 0"]);
        check_faults(
            List::OfUser("x"),
            "page=a",
            &["getUserMessages.userId: Invalid phone number format", "getUserMessages.page: must be a whole number"],
        );
        check_faults(
            List::All,
            "page=100&size=100",
            &["listMessages.page: reaches only the first 10000 messages: go on with next_cursor as cursor"],
        );
        check_faults(List::All, "page=1&limit=5", &["listMessages.page: cannot be combined with limit and cursor"]);
    }

    #[test]
    fn every_wrong_filter_is_named() {
        check_faults(
            List::All,
            "status=sent&created_after=yesterday&batch_id=1&client_reference=&cursor=x",
            &[
                "listMessages.status: must be PENDING, SENT, FAILED, SCHEDULED, CANCELED, EXPIRED or UNKNOWN",
                "listMessages.created_after: must be a time with zone (RFC 3339), such as 2026-11-23T14:00:00Z",
                "listMessages.batch_id: must be a UUID",
                "listMessages.client_reference: must be a string of 1 to 255 characters",
                "listMessages.cursor: must be the next_cursor of a page with the same filters",
            ],
        );
    }

    #[test]
    fn times_and_batches_are_ranges_of_ids_and_a_cursor_is_an_id() {
        let filter = |text: &str| query(text).validate(List::All).expect("usable").filter;
        let id = |text: &str| -> Uuid { text.parse().expect("a UUID") };
        let day = filter("created_after=2026-11-23T00:00:00Z&created_before=2026-11-24T00:00:00Z");
        assert_eq!(day.from, id("01a205b3-d000-0000-0000-000000000000"));
        assert_eq!(day.before, id("01a20ada-2c00-0000-0000-000000000000"));
        let batch = filter("batch_id=01a205b3-d001-7abc-8000-000000000000");
        assert_eq!(batch.from, id("01a205b3-d001-0000-0000-000000000000"));
        assert_eq!(batch.before, id("01a205b3-d002-0000-0000-000000000000"));
        let last = id("01a205b3-d001-7abc-8000-000000000000");
        let cursor = cursor::encode(last, &Filter::default());
        let asked = query(&format!("cursor={cursor}")).validate(List::All).expect("usable");
        assert_eq!((asked.filter, asked.after), (Filter::default(), Some(last)));
    }
}

//! `sender`, `recipient` and `text`, by the first implementation's rules and in its words.

use std::sync::Arc;

use clap::ValueEnum;

use super::Rules;
use crate::{problem::Violation, routes::json_body::TextField};

/// Longest text, in UTF-16 code units as the first implementation counts.
const LONGEST_TEXT: usize = 1600;

/// How closely numbers are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NumberValidation {
    /// They match the first implementation's pattern: 2 to 15 digits, the first not 0, a plus sign before them or not.
    Pattern,
    /// They are also plausible by the numbering plan of their country (libphonenumber's metadata).
    Strict,
}

/// How a field and its faults are called.
struct Field {
    name: &'static str,
    peer_name: &'static str,
    required: &'static str,
    not_text: &'static str,
    malformed: &'static str,
}

const SENDER: Field = Field {
    name: "sender",
    peer_name: "sendMessage.request.sender",
    required: "Sender phone number is required",
    not_text: "Sender phone number must be a string",
    malformed: "Invalid sender phone number format. Use international format (e.g., +1234567890)",
};

const RECIPIENT: Field = Field {
    name: "recipient",
    peer_name: "sendMessage.request.recipient",
    required: "Recipient phone number is required",
    not_text: "Recipient phone number must be a string",
    malformed: "Invalid recipient phone number format. Use international format (e.g., +1234567890)",
};

const TEXT: Field = Field {
    name: "text",
    peer_name: "sendMessage.request.text",
    required: "Message text is required",
    not_text: "Message text must be a string",
    malformed: "Message text must be between 1 and 1600 characters",
};

const NUL_IN_TEXT: &str = "Message text must not contain the NUL character (U+0000)";
const IMPLAUSIBLE: &str = "This is not a valid number of any country's numbering plan";

pub(super) fn sender(given: TextField, rules: Rules, violations: &mut Vec<Violation>) -> Arc<str> {
    take(&SENDER, given, |value| number_faults(&SENDER, value, rules), violations)
}

pub(super) fn recipient(given: TextField, rules: Rules, violations: &mut Vec<Violation>) -> Arc<str> {
    take(&RECIPIENT, given, |value| number_faults(&RECIPIENT, value, rules), violations)
}

pub(super) fn text(given: TextField, violations: &mut Vec<Violation>) -> Arc<str> {
    take(&TEXT, given, text_faults, violations)
}

fn take(
    field: &Field,
    given: TextField,
    faults: impl FnOnce(&str) -> Vec<&'static str>,
    violations: &mut Vec<Violation>,
) -> Arc<str> {
    let (value, messages) = match given {
        TextField::Absent => (String::new(), vec![field.required]),
        TextField::NotText => (String::new(), vec![field.not_text]),
        TextField::Text(value) => {
            let messages = faults(&value);
            (value, messages)
        }
    };
    violations.extend(messages.into_iter().map(|message| Violation::of(field.name, field.peer_name, message)));
    value.into()
}

fn number_faults(field: &Field, value: &str, rules: Rules) -> Vec<&'static str> {
    let blank = is_blank(value).then_some(field.required);
    let malformed = if !is_phone_number(value) {
        Some(field.malformed)
    } else if rules.number_validation == NumberValidation::Strict && !is_plausible(value) {
        Some(IMPLAUSIBLE)
    } else {
        None
    };
    blank.into_iter().chain(malformed).collect()
}

fn text_faults(value: &str) -> Vec<&'static str> {
    let blank = is_blank(value).then_some(TEXT.required);
    let length = value.encode_utf16().take(LONGEST_TEXT + 1).count();
    let bad_length = (!(1..=LONGEST_TEXT).contains(&length)).then_some(TEXT.malformed);
    // PostgreSQL cannot store it.
    let nul = value.contains('\0').then_some(NUL_IN_TEXT);
    blank.into_iter().chain(bad_length).chain(nul).collect()
}

/// Nothing to read: spaces of any kind, and the control characters that Java's `trim` also removes.
fn is_blank(value: &str) -> bool {
    value.chars().all(|character| character.is_whitespace() || character <= ' ')
}

/// The first implementation's pattern `\+?[1-9]\d{1,14}`.
pub fn is_phone_number(value: &str) -> bool {
    let digits = value.strip_prefix('+').unwrap_or(value).as_bytes();
    (2..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit)
}

fn is_plausible(value: &str) -> bool {
    let international = format!("+{}", value.trim_start_matches('+'));
    phonenumber::parse(None, international).is_ok_and(|number| number.is_valid())
}

//! Takes out of a provider's words what nobody else may read. Pure.
//!
//! A reason goes to whoever sent the message, into the database and into logs of others. Providers quote numbers,
//! texts and sometimes keys in their errors, in shapes that nobody can foresee; so what looks like a number is hidden
//! whoever's it is, and words that quote the message are left out altogether.

use contract::SmsRequestedV1;
use minijinja::{Value, filters::urlencode};

/// How much of a provider's words is kept, in characters.
pub(super) const LONGEST: usize = 200;

/// How much of them is looked at; what is masked makes them shorter.
const LONGEST_LOOKED_AT: usize = 4 * LONGEST;

/// So many digits look like a number of a phone; error codes are shorter.
const DIGITS_OF_A_NUMBER: usize = 6;

/// How many of its digits still show, enough to tell a country.
const DIGITS_SHOWN: usize = 2;

/// So many characters in common with the text are a quotation; shorter texts tell nothing that errors do not.
const QUOTATION: std::ops::RangeInclusive<usize> = 4..=12;

const LEFT_OUT: &str = "(its words quote the message and are left out)";

/// The secrets as a request may have carried them, and with them an `Authorization` header's credentials, whose user and
/// password are base64 together (RFC 7617).
pub(super) fn spellings<'a>(secrets: impl Iterator<Item = &'a str>, authorization: Option<&str>) -> Vec<String> {
    let credentials = authorization.map(|value| value.split_once(' ').map_or(value, |(_, credentials)| credentials));
    let percent_encoded = |secret: &str| urlencode(&Value::from(secret)).ok();
    secrets
        .flat_map(|secret| [Some(secret.to_owned()), percent_encoded(secret)])
        .flatten()
        .chain(credentials.map(str::to_owned))
        .collect()
}

/// `words` in one line of at most [`LONGEST`] characters, without the numbers, the text and the secrets.
pub(super) fn mask(words: &str, message: &SmsRequestedV1, secrets: &[String]) -> String {
    let words: String = words.chars().take(LONGEST_LOOKED_AT).collect();
    if quotes(&words, &message.text) {
        return LEFT_OUT.to_owned();
    }
    let mut masked = words;
    // The longest first: what is a part of another one would leave the rest of that one behind.
    let mut hidden = vec![message.recipient.trim_start_matches('+')];
    hidden.extend(secrets.iter().map(String::as_str));
    hidden.retain(|hidden| !hidden.is_empty());
    hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.len()));
    for hidden in hidden {
        masked = masked.replace(hidden, "…");
    }
    let masked = mask_numbers(&masked);
    masked.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// Whether the text, or as much in a row as makes a quotation, is in `words`.
fn quotes(words: &str, text: &str) -> bool {
    let starts: Vec<_> = text.char_indices().map(|(start, _)| start).chain([text.len()]).collect();
    let length = (starts.len() - 1).min(*QUOTATION.end());
    QUOTATION.contains(&length)
        && starts.windows(length + 1).any(|window| words.contains(&text[window[0]..window[length]]))
}

/// Digits may stand in groups, as in `+1 (555) 010-1234`.
fn mask_numbers(words: &str) -> String {
    let mut masked = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find(|character: char| character.is_numeric()) {
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let of_a_number = |character: char| character.is_numeric() || " -.()/".contains(character);
        let end = rest.find(|character| !of_a_number(character)).unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches(|character: char| !character.is_numeric());
        if number.chars().filter(|character| character.is_numeric()).count() >= DIGITS_OF_A_NUMBER {
            masked.extend(number.chars().take(DIGITS_SHOWN));
            masked.push('…');
        } else {
            masked.push_str(number);
        }
        rest = &rest[number.len()..];
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use composer::sample;

    fn masked(words: &str) -> String {
        let message = SmsRequestedV1 { text: "Your code is 7734, Bob".to_owned(), ..sample() };
        let secrets = ["s3cret", "", "p&ss/word"].into_iter();
        mask(words, &message, &spellings(secrets, Some("Basic dXNlcjpzM2NyZXQ=")))
    }

    #[track_caller]
    fn check(words: &str, expected: &str) {
        assert_eq!(masked(words), expected);
    }

    #[test]
    fn numbers_show_only_how_they_begin_and_error_codes_stay() {
        check("The 'To' number +4915112345678 is not valid.", "The 'To' number +49… is not valid.");
        check("to +1 (555) 010-1234: 21211", "to +1 … : 21211".replace(" … ", " …").as_str());
        check("error 21211", "error 21211");
        check("15550101 has no route", "… has no route");
        check("５５５５５５５", "５５…");
    }

    #[test]
    fn secrets_and_line_breaks_are_taken_out() {
        check("key s3cret is\r\n\tinvalid", "key … is invalid");
        check("cannot GET /send?key=p%26ss/word or p&ss/word", "cannot GET /send?key=… or …");
        check("wrong header: Basic dXNlcjpzM2NyZXQ=", "wrong header: Basic …");
    }

    #[test]
    fn words_that_quote_the_text_are_left_out() {
        check("cannot send 'Your code is 7734, Bob'", LEFT_OUT);
        check("cannot send 'Your code is 77...'", LEFT_OUT);
        check("your message has a wrong code", "your message has a wrong code");
        let short = SmsRequestedV1 { text: "ok".to_owned(), ..sample() };
        assert_eq!(mask("token is not ok", &short, &[]), "token is not ok");
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(masked(&"é".repeat(10_000)).chars().count(), LONGEST);
    }

    proptest! {
        #[test]
        fn a_recipient_never_shows(before in "[ a-z0-9+:.-]{0,20}", recipient in "\\+?[1-9][0-9]{5,14}", after in ".{0,20}") {
            let message = SmsRequestedV1 { recipient: recipient.clone(), text: String::new(), ..sample() };
            let reason = mask(&format!("{before}{recipient}{after}"), &message, &[]);
            prop_assert!(!reason.contains(recipient.trim_start_matches('+')), "{}", reason);
        }
    }
}

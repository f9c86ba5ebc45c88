//! How a text travels over the air: in which encoding, and in how many segments. Pure, and the text is never
//! altered: a character that GSM-7 lacks makes the whole text UCS-2 instead of being replaced.
//!
//! Sources: 3GPP TS 23.038 (the encodings) and 3GPP TS 23.040, section 9.2.3.24.1 (concatenated messages with an
//! 8-bit reference). National language shift tables are not used, because few networks and handsets know them.

mod gsm7;

use serde::Serialize;

/// In what a text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum Encoding {
    /// The GSM 7-bit default alphabet with its extension table, counted in septets.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// Everything else, counted in UTF-16 code units: handsets read UTF-16 where the specification says UCS2.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

/// What a text takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Of every segment.
    pub encoding: Encoding,
    /// How many there are.
    pub segments: usize,
}

impl Segmentation {
    /// Counts by splitting, because a pair that is kept together can leave a segment one short.
    pub fn of(text: &str) -> Self {
        let segments = Segments::of(text);
        Self { encoding: segments.encoding, segments: segments.count() }
    }
}

/// The text's segments in order; together they are the text. An empty text has none.
pub fn split(text: &str) -> Vec<&str> {
    Segments::of(text).collect()
}

impl Encoding {
    fn of(text: &str) -> Self {
        if text.chars().all(|character| gsm7::septets(character).is_some()) { Self::Gsm7 } else { Self::Ucs2 }
    }

    /// What a segment of 140 octets holds.
    const fn single(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// What is left of it beside the 6 octets of a header that numbers the segments.
    const fn concatenated(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    /// What a character takes; an escape or surrogate pair takes two, which stay together as the character does.
    fn length(self, character: char) -> usize {
        match self {
            // UCS-2 is chosen for texts that have other characters.
            Self::Gsm7 => gsm7::septets(character).unwrap_or_default(),
            Self::Ucs2 => character.len_utf16(),
        }
    }
}

/// Fills one segment after the other.
struct Segments<'a> {
    rest: &'a str,
    encoding: Encoding,
    capacity: usize,
}

impl<'a> Segments<'a> {
    fn of(text: &'a str) -> Self {
        let encoding = Encoding::of(text);
        let length: usize = text.chars().map(|character| encoding.length(character)).sum();
        let capacity = if length <= encoding.single() { encoding.single() } else { encoding.concatenated() };
        Self { rest: text, encoding, capacity }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let mut length = 0;
        let overflow = self.rest.char_indices().find(|&(_, character)| {
            length += self.encoding.length(character);
            length > self.capacity
        });
        let end = overflow.map_or(self.rest.len(), |(start, _)| start);
        let (segment, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(segment)
    }
}

#[cfg(test)]
mod tests;

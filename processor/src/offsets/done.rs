//! Which records behind the committed position are finished, as text for the commit's metadata: whoever reads the partition
//! next need not do them again.
//!
//! Kafka keeps one position per partition and up to 4,096 bytes beside it (`offset.metadata.max.bytes`). A bit per offset, in
//! base64, is enough for 24,312 offsets from the position on; those further on are left out, and done again. The text names
//! the position that it belongs to: tools that set a group elsewhere, or mirror it, take the text along. It also names the
//! latest time at which one of the records was put into Kafka: an offset that a log lost and gave to a later record, as after
//! an unclean election, is not taken for what was finished.

use std::collections::VecDeque;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};

/// How long the text may be, in bytes.
pub const LONGEST: usize = 4096;
/// What the text begins with, so that another form can be told apart one day.
const FORM: &str = "1:";
/// How many characters a position or a time has at most, and a colon.
const NUMBER: usize = 20;
/// How many bytes of bits fit: four letters for three of them.
const BYTES: usize = (LONGEST - FORM.len() - 2 * NUMBER) / 4 * 3;

/// What is finished behind a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// In ascending order.
    pub offsets: VecDeque<i64>,
    /// The latest time at which one of them was put into Kafka, in milliseconds since 1970.
    pub latest: i64,
}

/// The text for offsets behind `position`, which come in ascending order, and the latest time at which one of them was put
/// into Kafka; empty for none.
pub fn encode(position: i64, done: impl Iterator<Item = i64>, latest: i64) -> String {
    let mut bits = Vec::new();
    for offset in done {
        let Ok(distance) = usize::try_from(offset - position) else { continue };
        let (byte, bit) = (distance / 8, distance % 8);
        if byte >= BYTES {
            break;
        }
        if bits.len() <= byte {
            bits.resize(byte + 1, 0_u8);
        }
        bits[byte] |= 1 << bit;
    }
    if bits.is_empty() { String::new() } else { format!("{FORM}{position}:{latest}:{}", BASE64.encode(bits)) }
}

/// What the text tells of; nothing when it is not ours, or belongs to another position.
pub fn decode(position: i64, text: &str) -> Done {
    parts(position, text).map_or_else(Done::default, |(latest, bits)| {
        let offsets = (position..).zip(bits.iter().flat_map(|byte| (0..8).map(move |bit| byte & (1 << bit) != 0)));
        Done { offsets: offsets.filter_map(|(offset, is_done)| is_done.then_some(offset)).collect(), latest }
    })
}

fn parts(position: i64, text: &str) -> Option<(i64, Vec<u8>)> {
    let (told, rest) = text.strip_prefix(FORM)?.split_once(':')?;
    let (latest, bits) = rest.split_once(':')?;
    (told == position.to_string()).then_some((latest.parse().ok()?, BASE64.decode(bits).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_as_far_as_it_fits_and_never_longer_than_kafka_takes() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let position = random.i64(0..i64::MAX / 2);
            let (density, reach) = (random.u8(1..=255), random.i64(1..60_000));
            let done: Vec<i64> = (position + 1..position + reach).filter(|_| random.u8(..) <= density).collect();
            let latest = random.i64(0..);
            let text = encode(position, done.iter().copied(), latest);
            assert!(text.len() <= LONGEST, "seed {seed}: {} bytes", text.len());
            let fits = position + i64::try_from(BYTES * 8).expect("a small number");
            let expected: Vec<i64> = done.into_iter().filter(|offset| *offset < fits).collect();
            let decoded = decode(position, &text);
            assert_eq!(decoded.offsets, expected, "seed {seed}");
            assert!(decoded.offsets.is_empty() || decoded.latest == latest, "seed {seed}");
        }
    }

    #[test]
    fn twenty_four_thousand_offsets_fit() {
        let text = encode(0, 1..100_000, 1_780_000_000_000);
        assert!(text.len() <= LONGEST);
        assert_eq!(decode(0, &text).offsets.back(), Some(&24_311));
    }

    #[test]
    fn nothing_done_needs_no_text() {
        assert_eq!(encode(7, [].into_iter(), 1), "");
        assert_eq!(decode(7, ""), Done::default());
    }

    #[test]
    fn a_text_that_was_taken_along_to_another_position_tells_of_nothing() {
        let text = encode(1000, [1005].into_iter(), 1);
        assert_eq!(decode(1000, &text).offsets, [1005]);
        assert_eq!(decode(400, &text), Done::default());
    }

    #[test]
    fn a_text_of_somebody_else_tells_of_nothing() {
        for text in ["1", "1:*", "1:7:1:*", "2:7:1:AAAA", "tool=x", "1:7:1:A", "1::1:AAAA", "1:7:x:AAAA", "1:7:AAAA"] {
            assert_eq!(decode(7, text), Done::default(), "{text}");
        }
    }
}

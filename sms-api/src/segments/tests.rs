//! Known cases, and what holds for every text.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Proves encoding and the lengths of the segments, in characters.
#[track_caller]
fn check(text: &str, encoding: Encoding, expected: &[usize]) {
    let segments = split(text);
    let found: Vec<_> = segments.iter().map(|segment| segment.chars().count()).collect();
    assert_eq!((Encoding::of(text), found.as_slice()), (encoding, expected));
    assert_eq!(Segmentation::of(text), Segmentation { encoding, segments: expected.len() });
    assert_eq!(segments.concat(), text);
}

#[test]
fn a_text_in_gsm_7_takes_160_septets_alone_and_153_each_in_company() {
    check("", Encoding::Gsm7, &[]);
    check("a", Encoding::Gsm7, &[1]);
    check(&"a".repeat(160), Encoding::Gsm7, &[160]);
    check(&"a".repeat(161), Encoding::Gsm7, &[153, 8]);
    check(&"a".repeat(306), Encoding::Gsm7, &[153, 153]);
    check(&"a".repeat(307), Encoding::Gsm7, &[153, 153, 1]);
    check(&"a".repeat(1600), Encoding::Gsm7, &[&[153; 10][..], &[70]].concat());
}

#[test]
fn a_text_in_ucs_2_takes_70_units_alone_and_67_each_in_company() {
    check("ç", Encoding::Ucs2, &[1]);
    check(&"ç".repeat(70), Encoding::Ucs2, &[70]);
    check(&"ç".repeat(71), Encoding::Ucs2, &[67, 4]);
    check(&"ç".repeat(134), Encoding::Ucs2, &[67, 67]);
    check(&"ç".repeat(135), Encoding::Ucs2, &[67, 67, 1]);
    check(&"я".repeat(1600), Encoding::Ucs2, &[&[67; 23][..], &[59]].concat());
}

#[test]
fn an_escape_pair_counts_two_and_is_never_split() {
    check(&"€".repeat(80), Encoding::Gsm7, &[80]);
    check(&"€".repeat(81), Encoding::Gsm7, &[76, 5]);
    check(&format!("{}€", "a".repeat(158)), Encoding::Gsm7, &[159]);
    check(&format!("{}€", "a".repeat(159)), Encoding::Gsm7, &[153, 7]);
    check(&format!("{}€{}", "a".repeat(151), "b".repeat(10)), Encoding::Gsm7, &[152, 10]);
    check(&format!("{}€{}", "a".repeat(152), "b".repeat(10)), Encoding::Gsm7, &[152, 11]);
    // 306 septets, which would be two segments if a pair could be split.
    check(&format!("{}€{}", "a".repeat(152), "b".repeat(152)), Encoding::Gsm7, &[152, 152, 1]);
}

#[test]
fn a_surrogate_pair_counts_two_and_is_never_split() {
    check(&"😀".repeat(35), Encoding::Ucs2, &[35]);
    check(&"😀".repeat(36), Encoding::Ucs2, &[33, 3]);
    check(&format!("{}😀", "a".repeat(68)), Encoding::Ucs2, &[69]);
    check(&format!("{}😀", "a".repeat(69)), Encoding::Ucs2, &[67, 3]);
    check(&format!("{}😀{}", "a".repeat(65), "b".repeat(10)), Encoding::Ucs2, &[66, 10]);
    check(&format!("{}😀{}", "a".repeat(66), "b".repeat(10)), Encoding::Ucs2, &[66, 11]);
    // 134 units, which would be two segments if a pair could be split.
    check(&format!("{}😀{}", "a".repeat(66), "b".repeat(66)), Encoding::Ucs2, &[66, 66, 1]);
}

#[test]
fn one_character_that_gsm_7_lacks_makes_the_whole_text_ucs_2() {
    check("Ça va", Encoding::Gsm7, &[5]);
    check("ça va", Encoding::Ucs2, &[5]);
    check("`", Encoding::Ucs2, &[1]);
    check("\t", Encoding::Ucs2, &[1]);
    check("\u{1b}", Encoding::Ucs2, &[1]);
    check("e\u{301}", Encoding::Ucs2, &[2]);
    check(&format!("{}€", "a".repeat(69)), Encoding::Gsm7, &[70]);
    check(&format!("{}’", "a".repeat(159)), Encoding::Ucs2, &[67, 67, 26]);
}

const GSM_7_CHARACTERS: [char; 12] = ['a', 'Z', '0', ' ', '\n', 'é', 'Ç', 'Ω', '€', '{', '\\', '\u{c}'];

fn gsm_7_text() -> impl Strategy<Value = String> {
    vec(select(&GSM_7_CHARACTERS), 1..700).prop_map(String::from_iter)
}

/// Also such as turn to UCS-2 late, or have many surrogate pairs.
fn text() -> impl Strategy<Value = String> {
    let ucs_2 = prop_oneof![select(&GSM_7_CHARACTERS), select(&['ç', 'я', '😀', '\u{ffff}', char::MAX]), any::<char>()];
    prop_oneof![
        any::<String>(),
        gsm_7_text(),
        vec(ucs_2, 1..300).prop_map(String::from_iter),
        (gsm_7_text(), any::<char>()).prop_map(|(text, last)| format!("{text}{last}")),
    ]
}

proptest! {
    #[test]
    fn segments_together_are_the_text(text in text()) {
        let segments = split(&text);
        prop_assert_eq!(segments.concat(), text.as_str());
        prop_assert!(segments.iter().all(|segment| !segment.is_empty()));
        prop_assert_eq!(segments.len(), Segmentation::of(&text).segments);
    }

    #[test]
    fn no_segment_holds_more_than_it_can_nor_less_than_it_must(text in text()) {
        let segments = split(&text);
        let encoding = Segmentation::of(&text).encoding;
        let length = |part: &str| match encoding {
            Encoding::Gsm7 => part.chars().map(|c| if "\u{c}^{}\\[~]|€".contains(c) { 2 } else { 1 }).sum(),
            Encoding::Ucs2 => part.encode_utf16().count(),
        };
        let capacity: usize = match (encoding, segments.len()) {
            (Encoding::Gsm7, ..=1) => 160,
            (Encoding::Gsm7, _) => 153,
            (Encoding::Ucs2, ..=1) => 70,
            (Encoding::Ucs2, _) => 67,
        };
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            let first_of_next: String = next.chars().take(1).collect();
            prop_assert!(length(segment) + length(&first_of_next) > capacity);
        }
        prop_assert!(segments.iter().all(|segment| length(segment) <= capacity));
    }

    #[test]
    fn every_segment_of_a_text_in_gsm_7_is_in_gsm_7(text in gsm_7_text()) {
        prop_assert_eq!(Segmentation::of(&text).encoding, Encoding::Gsm7);
        prop_assert!(split(&text).into_iter().all(|segment| Encoding::of(segment) == Encoding::Gsm7));
    }

    #[test]
    fn a_piece_of_a_text_takes_no_more_segments_than_the_text(
        text in text(), start in any::<prop::sample::Index>(), end in any::<prop::sample::Index>(),
    ) {
        let count = text.chars().count() + 1;
        let piece: String = text.chars().take(end.index(count)).skip(start.index(count)).collect();
        prop_assert!(Segmentation::of(&piece).segments <= Segmentation::of(&text).segments);
    }
}

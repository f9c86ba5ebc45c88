//! The GSM 7-bit default alphabet and its extension table: 3GPP TS 23.038, sections 6.2.1 and 6.2.1.1.

/// How many septets the character takes, the escape of the extension table included; `None` for one that the
/// alphabet lacks.
#[expect(clippy::match_same_arms, reason = "one arm for each script")]
pub const fn septets(character: char) -> Option<usize> {
    match character {
        '\n' | '\r' | ' '..='Z' | '_' | 'a'..='z' => Some(1),
        // Ç as the specification has it, and phones; the table of the Unicode Consortium has ç in its place.
        'Ç' | '¡' | '£' | '¤' | '¥' | '§' | '¿' | 'Ä' | 'Å' | 'Æ' | 'É' | 'Ñ' | 'Ö' | 'Ø' | 'Ü' | 'ß' | 'à' | 'ä'
        | 'å' | 'æ' | 'è' | 'é' | 'ì' | 'ñ' | 'ò' | 'ö' | 'ø' | 'ù' | 'ü' => Some(1),
        'Γ' | 'Δ' | 'Θ' | 'Λ' | 'Ξ' | 'Π' | 'Σ' | 'Φ' | 'Ψ' | 'Ω' => Some(1),
        '\u{c}' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' | '~' | '€' => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order of the codes 0x00 to 0x7F; 0x1B is the escape and no character.
    const DEFAULT_ALPHABET: &str = concat!(
        "@£$¥èéùìòÇ\nØø\rÅå",
        "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ",
        " !\"#¤%&'()*+,-./",
        "0123456789:;<=>?",
        "¡ABCDEFGHIJKLMNO",
        "PQRSTUVWXYZÄÖÑÜ§",
        "¿abcdefghijklmno",
        "pqrstuvwxyzäöñüà",
    );
    const EXTENSION_TABLE: &str = "\u{c}^{}\\[~]|€";

    #[test]
    fn the_alphabet_is_that_of_the_specification() {
        assert_eq!(DEFAULT_ALPHABET.chars().count(), 127);
        for character in '\0'..=char::MAX {
            let expected = if DEFAULT_ALPHABET.contains(character) {
                Some(1)
            } else if EXTENSION_TABLE.contains(character) {
                Some(2)
            } else {
                None
            };
            assert_eq!(septets(character), expected, "{character:?}");
        }
    }
}

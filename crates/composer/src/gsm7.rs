//! Which texts SMS carries in its 7-bit alphabet. Source: 3GPP TS 23.038, sections 6.2.1 and 6.2.1.1.

/// What the alphabet holds beside ASCII letters, digits and the space, its extension table included.
const OTHERS: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà\u{c}^{}\\[~]|€";

/// Whether `text` fits the alphabet; others travel as UCS-2, which some providers want to be told.
pub fn fits(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_alphanumeric() || character == ' ' || OTHERS.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_alphabet_are_told_from_others() {
        for text in ["", "Hello, World 1+1=2", "Grüße für 5 €", "{[~^|]}"] {
            assert!(fits(text), "{text}");
        }
        for text in ["🎈", "`", "ç", "привет", "\t"] {
            assert!(!fits(text), "{text}");
        }
    }
}

//! Numbers for people.

/// A number for people: thousands with commas, small ones with two digits.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, expected) in
            [(0.5, "0.50"), (99.0, "99.00"), (100.4, "100"), (1234.6, "1,235"), (1e6, "1,000,000"), (-1234.0, "-1,234")]
        {
            assert_eq!(number(value), expected);
        }
    }
}

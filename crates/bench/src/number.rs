//! Numbers for people.

/// A number for people: thousands with commas, small ones with two digits.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    autoscaler::grouped(value)
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

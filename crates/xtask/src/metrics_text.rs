//! Reads samples out of the text that `/metrics` answers (Prometheus and OpenMetrics alike).

/// The sum of all samples called `name` whose labels include every one of `labels`; `None` when there
/// is none.
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let values: Vec<f64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
        .filter(|sample| sample.name == name)
        .filter(|sample| {
            labels.iter().all(|wanted| sample.labels.iter().any(|(key, value)| (*key, value.as_str()) == *wanted))
        })
        .map(|sample| sample.value)
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

/// `name{key="value",…} 1.5 [timestamp]`, labels and timestamp optional.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, after_key) = rest.split_once("=\"")?;
            let (value, after_value) = quoted(after_key)?;
            labels.push((key.trim(), value));
            rest = after_value.trim_start_matches([',', ' ']);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// The text up to the closing quote, with its escapes resolved, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP sms_accepted Messages accepted.
# TYPE sms_accepted counter
sms_accepted_total 12
sms_sent_total{lane=\"normal\"} 7 1700000000.0
sms_sent_total{lane=\"high, } priority\"} 2
smspipeline_replicas{pipeline=\"notifications\",component=\"api\"} 1
smspipeline_replicas{pipeline=\"notifications\",component=\"processor\"} 3
smspipeline_consumer_lag_records{topic=\"sms.requests\",partition=\"0\"} 4.5e1
# EOF
";

    #[track_caller]
    fn check(name: &str, labels: &[(&str, &str)], expected: Option<f64>) {
        assert_eq!(sum(TEXT, name, labels), expected);
    }

    #[test]
    fn a_sample_without_labels_is_read() {
        check("sms_accepted_total", &[], Some(12.0));
    }

    #[test]
    fn samples_are_summed_over_their_labels_and_time_stamps_ignored() {
        check("sms_sent_total", &[], Some(9.0));
    }

    #[test]
    fn a_label_value_may_hold_what_ends_labels() {
        check("sms_sent_total", &[("lane", "high, } priority")], Some(2.0));
    }

    #[test]
    fn a_label_chooses_among_samples() {
        check("smspipeline_replicas", &[("component", "processor")], Some(3.0));
    }

    #[test]
    fn exponents_are_numbers_too() {
        check("smspipeline_consumer_lag_records", &[], Some(45.0));
    }

    #[test]
    fn an_absent_metric_is_unknown_and_not_zero() {
        check("sms_failed_total", &[], None);
        check("sms_accepted", &[], None);
    }
}

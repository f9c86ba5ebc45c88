//! Samples out of the text that `/metrics` answers. Pure.

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    labels: &'a str,
    /// Its value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label; the labels that are asked for hold no quotation marks.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let begins = |at: usize| at == 0 || self.labels.as_bytes()[at - 1] == b',';
        let key = format!("{name}=\"");
        let (at, _) = self.labels.match_indices(&key).find(|(at, _)| begins(*at))?;
        self.labels[at + key.len()..].split('"').next()
    }
}

/// All samples of this name.
pub fn named<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some(Sample { labels, value: value.split_whitespace().next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name_and_their_labels_read() {
        let text = "# HELP a things\na 1\na_b 7\na{verb=\"GET\",subverb=\"x\"} 2.5\na{le=\"+Inf\"} 3 # {}\n";
        let values: Vec<_> = named(text, "a").map(|sample| (sample.label("verb"), sample.value)).collect();
        assert_eq!(values[..2], [(None, 1.0), (Some("GET"), 2.5)]);
    }
}

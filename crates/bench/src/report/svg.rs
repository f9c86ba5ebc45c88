//! The report as a picture: throughput beside the references and latency beside its bounds. Pure.
//!
//! It brings its own colours for light and dark and asks for no font by name, so that it can stand in any page.

use std::fmt::{self, Write};

use super::{PhaseSummary, Report};
use crate::{
    number::number,
    phase::{Part, Phase},
};

const WIDTH: f64 = 860.0;
/// Where bars begin; titles are to the left.
const BARS: f64 = 320.0;
/// How long the longest bar may be; figures are to the right.
const LONGEST: f64 = 400.0;
const ROW: f64 = 34.0;
const BAR: f64 = 18.0;

const STYLE: &str = "
    .paper { fill: #ffffff }
    .ink { fill: #1f2328 }
    .figure { text-anchor: end }
    .muted { fill: #57606a; font-size: 12px }
    .head { fill: #1f2328; font-weight: 600; font-size: 16px }
    .service { fill: #0969da }
    .reference { fill: #8c959f }
    .half { fill: #0969da }
    .rest { fill: #80bfff }
    .spread { stroke: #1f2328; stroke-width: 1.5 }
    .bound { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 4 3 }
    .bound-name { fill: #bc4c00; font-size: 12px }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 }
      .ink, .head { fill: #e6edf3 }
      .muted { fill: #9198a1 }
      .service, .half { fill: #4493f8 }
      .reference { fill: #656c76 }
      .rest { fill: #1f4b85 }
      .spread { stroke: #e6edf3 }
      .bound { stroke: #f0883e }
      .bound-name { fill: #f0883e }
    }
";

/// One row of the picture.
struct Row {
    title: String,
    /// Class and length of each bar; later ones lie on earlier ones.
    bars: Vec<(&'static str, f64)>,
    /// Least and greatest of the rounds.
    spread: Option<(f64, f64)>,
    /// What is written to the right.
    figure: String,
    /// Where it should end, and how that is called.
    bounds: Vec<(f64, &'static str)>,
}

/// The content of `ingest.svg`.
pub fn draw(report: &Report) -> String {
    let summaries = report.summaries();
    let median = |phase| summaries.iter().find(|found| found.phase == phase).map(|found| found.throughput.median);
    let (a, b) = (median(Phase::ReferenceA), median(Phase::ReferenceB));
    let throughput = summaries.iter().filter(|found| found.phase.part() != Part::Constant);
    let throughput: Vec<Row> = throughput.map(|found| throughput_row(found, a, b)).collect();
    let latency = summaries.iter().filter(|found| matches!(found.phase.part(), Part::Constant | Part::Single));
    let latency: Vec<Row> = latency.map(latency_row).collect();

    let mut drawing = Drawing { text: String::new(), y: 40.0 };
    drawing.section("Messages per second: durable, and in Kafka where they go there", &throughput);
    drawing.section("Latency in ms: p50 within p99, from the time at which a request should be sent", &latency);
    drawing.line("muted", &caption(report));
    drawing.finish()
}

fn throughput_row(summary: &PhaseSummary<'_>, a: Option<f64>, b: Option<f64>) -> Row {
    let of = |reference: Option<f64>, times: f64, name| reference.map(|reference| (reference * times, name));
    let bounds = match summary.phase {
        Phase::Single256 => vec![of(a, 2.5, "2.5 × A"), of(b, 0.5, "0.5 × B")],
        Phase::Batch => vec![of(b, 0.6, "0.6 × B"), of(b, 0.8, "0.8 × B")],
        Phase::ReferenceA | Phase::ReferenceB | Phase::Single64 | Phase::Constant => Vec::new(),
    };
    let spread = summary.throughput;
    Row {
        title: summary.title.clone(),
        bars: vec![(if summary.phase.is_service() { "service" } else { "reference" }, spread.median)],
        spread: Some((spread.min, spread.max)),
        figure: number(spread.median),
        bounds: bounds.into_iter().flatten().collect(),
    }
}

fn latency_row(summary: &PhaseSummary<'_>) -> Row {
    let (p50, p99) = (summary.p50_ms.median, summary.p99_ms.median);
    let bounds = match summary.phase {
        Phase::Single64 => vec![(25.0, "25 ms")],
        Phase::Constant => vec![(10.0, "10 ms")],
        Phase::ReferenceA | Phase::ReferenceB | Phase::Single256 | Phase::Batch => Vec::new(),
    };
    Row {
        title: summary.title.clone(),
        bars: vec![("rest", p99), ("half", p50)],
        spread: None,
        figure: format!("{p50:.1} / {p99:.1}"),
        bounds,
    }
}

fn caption(report: &Report) -> String {
    let conditions = &report.conditions;
    format!(
        "Medians; rounds: {}, {} s in all; whiskers: least and greatest. {} CPUs for load generator, sms-api, PostgreSQL \
         and Kafka. {}",
        conditions.rounds,
        conditions.seconds,
        conditions.cpus,
        conditions.started_at.strftime("%Y-%m-%d"),
    )
}

struct Drawing {
    text: String,
    /// Where the next thing is drawn.
    y: f64,
}

impl Drawing {
    fn section(&mut self, title: &str, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        self.line("head", title);
        let ends = rows.iter().flat_map(|row| {
            let bars = row.bars.iter().map(|(_, length)| *length);
            bars.chain(row.spread.map(|(_, max)| max)).chain(row.bounds.iter().map(|(bound, _)| *bound))
        });
        let scale = LONGEST / ends.fold(f64::MIN_POSITIVE, f64::max);
        for row in rows {
            self.row(row, scale);
        }
        self.y += 22.0;
    }

    fn row(&mut self, row: &Row, scale: f64) {
        let (top, middle) = (self.y, self.y + BAR / 2.0);
        self.text("ink", 24.0, middle + 5.0, &row.title);
        for (class, length) in &row.bars {
            let width = length * scale;
            self.add(format_args!(
                r#"<rect class="{class}" x="{BARS}" y="{top:.1}" width="{width:.1}" height="{BAR}"/>"#
            ));
        }
        if let Some((min, max)) = row.spread.filter(|(min, max)| max > min) {
            let (from, to) = (BARS + min * scale, BARS + max * scale);
            self.add(format_args!(
                r#"<line class="spread" x1="{from:.1}" y1="{middle:.1}" x2="{to:.1}" y2="{middle:.1}"/>"#
            ));
        }
        for (bound, name) in &row.bounds {
            let (x, from, to) = (BARS + bound * scale, top - 4.0, top + BAR + 4.0);
            self.add(format_args!(r#"<line class="bound" x1="{x:.1}" y1="{from:.1}" x2="{x:.1}" y2="{to:.1}"/>"#));
            self.text("bound-name", x + 4.0, to + 7.0, name);
        }
        self.text("ink figure", WIDTH - 24.0, middle + 5.0, &row.figure);
        self.y += if row.bounds.is_empty() { ROW } else { ROW + 12.0 };
    }

    fn line(&mut self, class: &str, text: &str) {
        let y = self.y;
        self.text(class, 24.0, y, text);
        self.y += 20.0;
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // A string takes everything that is written to it.
        let _ = writeln!(self.text, "  {element}");
    }

    fn finish(self) -> String {
        let (height, content) = (self.y, self.text);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"14\" role=\"img\" aria-label=\"How fast sms-api takes messages in\">\n\
             \x20 <title>How fast sms-api takes messages in</title>\n  <style>{STYLE}  </style>\n\
             \x20 <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{content}</svg>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::{
        super::tests::{complete, conditions},
        *,
    };

    /// Everything that is drawn lies within the picture.
    #[track_caller]
    fn check_well_formed(svg: &str) {
        let document = Document::parse(svg).expect("XML");
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "svg");
        let view: Vec<f64> =
            root.attribute("viewBox").expect("a size").split(' ').filter_map(|size| size.parse().ok()).collect();
        for element in root.descendants().filter(roxmltree::Node::is_element) {
            for (name, bound) in [("x", view[2]), ("x1", view[2]), ("x2", view[2]), ("y", view[3]), ("y2", view[3])] {
                let place: Option<f64> = element.attribute(name).map(|place| place.parse().expect("a number"));
                assert!(place.is_none_or(|place| (0.0..=bound).contains(&place)), "{element:?}");
            }
        }
    }

    fn count(svg: &str, class: &str) -> usize {
        let document = Document::parse(svg).expect("XML");
        document.descendants().filter(|element| element.attribute("class") == Some(class)).count()
    }

    #[test]
    fn a_complete_report_has_a_bar_for_each_phase_and_a_mark_for_each_bound() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "reference"), count(&svg, "service"), count(&svg, "half")), (2, 3, 3));
        assert_eq!(count(&svg, "bound"), 6);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_picture() {
        check_well_formed(&draw(&Report::new(conditions())));
    }

    #[test]
    fn what_would_be_markup_is_escaped() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}

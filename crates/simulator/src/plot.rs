//! Outcomes as a picture: input, waiting records' age, pods and cost over time, one line for each policy.
//!
//! It brings its own colours for light and dark and asks for no font by name, so that it can stand in any page. The colours
//! are those of the benchmarks' pictures.

use std::fmt::{self, Write};

use autoscaler::number;

use crate::{
    outcome::{Outcome, Sample},
    run::Comparison,
};

const WIDTH: f64 = 860.0;
/// Where plots begin and end; the scale is to the left.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 836.0;
const HEIGHT: f64 = 120.0;
/// How many policies have a colour of their own.
const COLOURS: usize = 8;

const STYLE: &str = "
    .paper { fill: #ffffff }
    .ink { fill: #1f2328 }
    .muted { fill: #57606a; font-size: 12px }
    .right { text-anchor: end }
    .head { fill: #1f2328; font-weight: 600; font-size: 16px }
    .axis { stroke: #d0d7de; stroke-width: 1 }
    .bound { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 4 3 }
    .line { fill: none; stroke-width: 1.5; stroke-linejoin: round }
    .input { stroke: #57606a } .key-input { fill: #57606a }
    .p0 { stroke: #0969da; stroke-width: 2.5 } .k0 { fill: #0969da }
    .p1 { stroke: #bc4c00 } .k1 { fill: #bc4c00 }
    .p2 { stroke: #bf8700 } .k2 { fill: #bf8700 }
    .p3 { stroke: #1a7f37 } .k3 { fill: #1a7f37 }
    .p4 { stroke: #8250df } .k4 { fill: #8250df }
    .p5 { stroke: #bf3989 } .k5 { fill: #bf3989 }
    .p6 { stroke: #8c959f } .k6 { fill: #8c959f }
    .p7 { stroke: #1f2328; stroke-dasharray: 2 2 } .k7 { fill: #1f2328 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 }
      .ink, .head { fill: #e6edf3 }
      .muted { fill: #9198a1 }
      .axis { stroke: #3d444d }
      .bound { stroke: #f0883e }
      .input { stroke: #9198a1 } .key-input { fill: #9198a1 }
      .p0 { stroke: #4493f8 } .k0 { fill: #4493f8 }
      .p1 { stroke: #f0883e } .k1 { fill: #f0883e }
      .p2 { stroke: #d29922 } .k2 { fill: #d29922 }
      .p3 { stroke: #3fb950 } .k3 { fill: #3fb950 }
      .p4 { stroke: #ab7df8 } .k4 { fill: #ab7df8 }
      .p5 { stroke: #db61a2 } .k5 { fill: #db61a2 }
      .p7 { stroke: #e6edf3 } .k7 { fill: #e6edf3 }
    }
";

/// The content of an SVG file that shows a comparison.
pub fn draw(comparison: &Comparison) -> String {
    let mut picture = Picture { text: String::new(), y: 34.0 };
    let scenario = &comparison.scenario;
    picture.write("head", 24.0, &scenario.name);
    picture.y += 22.0;
    picture.write("ink", 24.0, &scenario.about);
    picture.y += 26.0;
    picture.key(comparison);
    let seconds = f64::from(scenario.seconds);
    let outcomes: Vec<&Outcome> = comparison.outcomes.iter().take(COLOURS).collect();
    let first = outcomes.first().map(|outcome| outcome.samples.as_slice()).unwrap_or_default();
    picture.plot("records that come each second", seconds, None, &[("input".to_owned(), line(first, |it| it.input))]);
    let lines = |value: fn(&Sample) -> f64| {
        let line = |(index, outcome): (usize, &&Outcome)| (format!("p{index}"), line(&outcome.samples, value));
        outcomes.iter().enumerate().map(line).collect::<Vec<_>>()
    };
    picture.plot("records that wait", seconds, None, &lines(|it| it.waiting as f64));
    let bound = Some((scenario.settings.drain_within.as_secs_f64(), "drain_within"));
    picture.plot("age of the oldest of them in seconds", seconds, bound, &lines(|it| f64::from(it.age)));
    picture.plot("pods", seconds, None, &lines(|it| f64::from(it.pods)));
    let cost = |(index, outcome): (usize, &&Outcome)| (format!("p{index}"), costs(outcome, scenario.seconds));
    let costs: Vec<_> = outcomes.iter().enumerate().map(cost).collect();
    picture.plot("cost so far in replica-hours", seconds, None, &costs);
    picture.finish(&scenario.name)
}

fn line(samples: &[Sample], value: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    samples.iter().map(|sample| (f64::from(sample.second), value(sample))).collect()
}

/// The cost up to each sample. Samples tell the most pods of each part, so the sum is scaled to what was counted.
fn costs(outcome: &Outcome, seconds: u32) -> Vec<(f64, f64)> {
    let all: f64 = outcome.samples.iter().map(|sample| f64::from(sample.pods)).sum();
    let hours = outcome.replica_seconds as f64 / 3600.0;
    let mut so_far = 0.0;
    let mut points = vec![(0.0, 0.0)];
    for (index, sample) in outcome.samples.iter().enumerate() {
        so_far += f64::from(sample.pods);
        let end = outcome.samples.get(index + 1).map_or(seconds, |next| next.second);
        points.push((f64::from(end), hours * so_far / all.max(1.0)));
    }
    points
}

struct Picture {
    text: String,
    /// Where the next thing is drawn.
    y: f64,
}

impl Picture {
    /// Which colour is whose.
    fn key(&mut self, comparison: &Comparison) {
        let mut x = 24.0;
        for (index, outcome) in comparison.outcomes.iter().take(COLOURS).enumerate() {
            let width = 26.0 + 7.2 * outcome.policy.len() as f64;
            if x + width > WIDTH - 24.0 {
                (x, self.y) = (24.0, self.y + 18.0);
            }
            let top = self.y - 10.0;
            self.add(format_args!(r#"<rect class="k{index}" x="{x:.1}" y="{top:.1}" width="12" height="12"/>"#));
            self.write("muted", x + 17.0, &outcome.policy);
            x += width;
        }
        self.y += 26.0;
    }

    fn plot(&mut self, title: &str, seconds: f64, bound: Option<(f64, &str)>, lines: &[(String, Vec<(f64, f64)>)]) {
        self.write("ink", 24.0, title);
        let top = self.y + 12.0;
        let bottom = top + HEIGHT;
        let points = || lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
        let most = round_up(points().fold(bound.map_or(0.0, |(bound, _)| bound * 1.2), f64::max));
        let place =
            |(second, value): (f64, f64)| (LEFT + (RIGHT - LEFT) * second / seconds, bottom - HEIGHT * value / most);
        for part in [0.0, 0.5, 1.0] {
            let y = bottom - HEIGHT * part;
            self.add(format_args!(r#"<line class="axis" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#));
            self.add_text(
                "muted right",
                LEFT - 6.0,
                y + 4.0,
                &if part > 0.0 { number(most * part) } else { "0".to_owned() },
            );
        }
        if let Some((bound, name)) = bound {
            let (_, y) = place((0.0, bound));
            self.add(format_args!(r#"<line class="bound" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#));
            self.add_text("muted right", RIGHT, y - 4.0, name);
        }
        // The first policy lies on top.
        for (class, points) in lines.iter().rev() {
            let mut path = String::new();
            for (index, point) in points.iter().enumerate() {
                let (x, y) = place(*point);
                // A point within a level line would only make the file larger.
                let is_level =
                    |other: Option<&(f64, f64)>| other.is_some_and(|other| (place(*other).1 - y).abs() < 0.05);
                if index > 0 && is_level(points.get(index - 1)) && is_level(points.get(index + 1)) {
                    continue;
                }
                // A string takes everything that is written to it.
                let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { " L" });
            }
            self.add(format_args!(r#"<path class="line {class}" d="{path}"/>"#));
        }
        for part in 0..=4 {
            let second = seconds * f64::from(part) / 4.0;
            let (x, _) = place((second, 0.0));
            let class = if part == 4 { "muted right" } else { "muted" };
            self.add_text(class, x, bottom + 15.0, &time(second, seconds));
        }
        self.y = bottom + 42.0;
    }

    fn write(&mut self, class: &str, x: f64, text: &str) {
        let y = self.y;
        self.add_text(class, x, y, text);
    }

    fn add_text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "  {element}");
    }

    fn finish(self, title: &str) -> String {
        let (height, content) = (self.y - 14.0, self.text);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"14\" role=\"img\" aria-label=\"{title}\">\n\
             \x20 <title>{title}</title>\n  <style>{STYLE}  </style>\n\
             \x20 <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{content}</svg>\n"
        )
    }
}

/// The next number that is easy to halve and to read: 1, 2, 4, 6 or 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 < value {
        power *= 10.0;
    }
    [1.0, 2.0, 4.0, 6.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(power)
}

/// A time of the trace, in the unit that suits its length.
fn time(second: f64, seconds: f64) -> String {
    let (unit, name) = if seconds > 172_800.0 {
        (86_400.0, "d")
    } else if seconds > 10_800.0 {
        (3600.0, "h")
    } else {
        (60.0, "min")
    };
    let value = second / unit;
    if (value - value.round()).abs() < 0.05 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;
    use crate::{policy::PolicyName, run::compare, scenario::Scenario};

    #[test]
    fn every_policy_has_a_line_in_every_plot_and_all_lies_within_the_picture() {
        let scenario = Scenario::named("backlog").expect("a trace");
        let policies = [PolicyName::drain_slo(), PolicyName::most()];
        let svg = draw(&compare(&scenario, &policies, 1));
        let document = Document::parse(&svg).expect("XML");
        let view: Vec<f64> = document
            .root_element()
            .attribute("viewBox")
            .expect("a size")
            .split(' ')
            .filter_map(|size| size.parse().ok())
            .collect();
        let paths = document.descendants().filter(|element| element.has_tag_name("path"));
        let mut lines = 0;
        for path in paths {
            lines += 1;
            let numbers: Vec<f64> = path
                .attribute("d")
                .expect("a line")
                .split([' ', 'M', 'L'])
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().expect("a number"))
                .collect();
            for point in numbers.chunks(2) {
                assert!((0.0..=view[2]).contains(&point[0]) && (0.0..=view[3]).contains(&point[1]), "{point:?}");
            }
        }
        assert_eq!(lines, 1 + 4 * 2);
        assert!(svg.contains("drain_within") && svg.contains("600,000 records appear at once"));
    }

    #[test]
    fn scales_end_at_numbers_that_people_can_halve() {
        for (value, expected) in [(0.0, 1.0), (1.0, 1.0), (7.0, 10.0), (12.0, 20.0), (4100.0, 6000.0)] {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value}");
        }
    }
}

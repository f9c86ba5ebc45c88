//! Figures as a picture: rows of bars beside their bounds. Pure.
//!
//! It brings its own colours for light and dark and asks for no font by name, so that it can stand in any page.

use std::fmt::{self, Write};

use crate::{number::number, statistics::Spread};

pub(super) const WIDTH: f64 = 860.0;
/// Where bars begin; titles are to the left.
const BARS: f64 = 320.0;
/// How long the longest bar may be; figures are to the right.
const LONGEST: f64 = 400.0;
const ROW: f64 = 34.0;
const BAR: f64 = 18.0;

pub(super) const STYLE: &str = "
    .paper { fill: #ffffff }
    .ink { fill: #1f2328 }
    .figure { text-anchor: end }
    .muted { fill: #57606a; font-size: 12px }
    .head { fill: #1f2328; font-weight: 600; font-size: 16px }
    .product { fill: #0969da }
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
      .product, .half { fill: #4493f8 }
      .reference { fill: #656c76 }
      .rest { fill: #1f4b85 }
      .spread { stroke: #e6edf3 }
      .bound { stroke: #f0883e }
      .bound-name { fill: #f0883e }
    }
";

/// One row of the picture.
pub struct Row {
    /// What is drawn.
    pub title: String,
    /// What each bar shows, and its length; later ones lie on earlier ones.
    pub bars: Vec<(Bar, f64)>,
    /// Least and greatest of the rounds.
    pub spread: Option<(f64, f64)>,
    /// What is written to the right.
    pub figure: String,
    /// Where it should end, and how that is called.
    pub bounds: Vec<(f64, &'static str)>,
}

/// What a bar shows, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// A figure of the product.
    Product,
    /// A figure of what it is compared with.
    Reference,
    /// What half of all cases take.
    Half,
    /// What nearly all cases take.
    Rest,
}

impl Bar {
    fn class(self) -> &'static str {
        match self {
            Bar::Product => "product",
            Bar::Reference => "reference",
            Bar::Half => "half",
            Bar::Rest => "rest",
        }
    }
}

/// A row of a throughput: its median, with whiskers from the least to the greatest of the rounds.
pub fn throughput_row(title: String, bar: Bar, throughput: Spread, bounds: Vec<(f64, &'static str)>) -> Row {
    Row {
        title,
        bars: vec![(bar, throughput.median)],
        spread: Some((throughput.min, throughput.max)),
        figure: number(throughput.median),
        bounds,
    }
}

/// A row of a latency: its median within its 99th percentile, in milliseconds.
pub fn latency_row(title: String, p50: f64, p99: f64, bounds: Vec<(f64, &'static str)>) -> Row {
    Row {
        title,
        bars: vec![(Bar::Rest, p99), (Bar::Half, p50)],
        spread: None,
        figure: format!("{p50:.1} / {p99:.1}"),
        bounds,
    }
}

/// A picture that grows downwards.
pub struct Picture {
    title: &'static str,
    text: String,
    /// Where the next thing is drawn.
    y: f64,
}

impl Picture {
    /// An empty one.
    pub fn new(title: &'static str) -> Picture {
        Picture { title, text: String::new(), y: 40.0 }
    }

    /// Adds rows of one scale under a title; nothing where there are none.
    pub fn section(&mut self, title: &str, rows: &[Row]) {
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
        for (bar, length) in &row.bars {
            let (class, width) = (bar.class(), length * scale);
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

    /// Adds a line in small print.
    pub fn caption(&mut self, text: &str) {
        self.line("muted", text);
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

    /// The content of the SVG file.
    pub fn finish(self) -> String {
        let (height, content, title) = (self.y, self.text, self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"14\" role=\"img\" aria-label=\"{title}\">\n\
             \x20 <title>{title}</title>\n  <style>{STYLE}  </style>\n\
             \x20 <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{content}</svg>\n"
        )
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
pub mod tests {
    use roxmltree::Document;

    use super::*;

    /// Everything that is drawn lies within the picture.
    #[track_caller]
    pub fn check_well_formed(svg: &str) {
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

    /// How many elements of a class there are.
    pub fn count(svg: &str, class: &str) -> usize {
        let document = Document::parse(svg).expect("XML");
        document.descendants().filter(|element| element.attribute("class") == Some(class)).count()
    }

    #[test]
    fn a_picture_holds_bars_bounds_and_the_spread_of_rounds() {
        let mut picture = Picture::new("How fast it is");
        picture.section("nothing", &[]);
        let spread = Some((1.0, 3.0));
        let bars = vec![(Bar::Product, 2.0)];
        let bounds = vec![(4.0, "enough")];
        let fast = Row { title: "fast".to_owned(), bars, spread, figure: "2.00".to_owned(), bounds };
        picture.section("per second", &[fast, latency_row("slow".to_owned(), 1.0, 2.0, Vec::new())]);
        let svg = picture.finish();
        check_well_formed(&svg);
        assert!(svg.contains("<title>How fast it is</title>") && !svg.contains("nothing"), "{svg}");
        let drawn = ["product", "half", "rest", "bound", "spread"].map(|class| count(&svg, class));
        assert_eq!(drawn, [1, 1, 1, 1, 1]);
    }

    #[test]
    fn what_would_be_markup_is_escaped() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}

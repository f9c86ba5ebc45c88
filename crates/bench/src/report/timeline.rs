//! Figures over time as a picture: panels under each other over the same seconds. Pure.

use std::fmt::{self, Write};

use super::svg::{STYLE, WIDTH, escaped};
use crate::number::number;

const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const PANEL: f64 = 150.0;
/// Between two panels, for the title of the lower one.
const GAP: f64 = 44.0;
const TOP: f64 = 84.0;

const LINES: &str = "
    .strong { fill: none; stroke: #0969da; stroke-width: 2 }
    .faint { fill: none; stroke: #8c959f; stroke-width: 2 }
    .axis { stroke: #d0d7de }
    .mark { stroke: #8250df; stroke-dasharray: 2 4 }
    .strong-name { fill: #0969da; font-size: 12px }
    .faint-name { fill: #57606a; font-size: 12px }
    @media (prefers-color-scheme: dark) {
      .strong { stroke: #4493f8 }
      .faint { stroke: #656c76 }
      .axis { stroke: #3d444d }
      .mark { stroke: #ab7df8 }
      .strong-name { fill: #4493f8 }
      .faint-name { fill: #9198a1 }
    }
";

/// A line of a panel.
pub struct Line {
    /// What it shows; empty where the panel's title says it.
    pub name: &'static str,
    /// How it looks.
    pub look: Look,
    /// Seconds and figures, in the order of time.
    pub points: Vec<(f64, f64)>,
    /// Whether a figure stays until the next one.
    pub stepped: bool,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is what the panel is about.
    Strong,
    /// It is there to compare with.
    Muted,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Look::Strong => "strong",
            Look::Muted => "faint",
        }
    }
}

/// Figures of one scale.
pub struct Panel {
    /// What they are, with their unit.
    pub title: String,
    /// The figures.
    pub lines: Vec<Line>,
    /// What they should not pass, and how that is called.
    pub bound: Option<(f64, &'static str)>,
}

/// A picture of figures over time.
pub struct Timeline {
    title: &'static str,
    spans: Vec<(&'static str, f64, f64)>,
    marks: Vec<f64>,
    panels: Vec<Panel>,
    text: String,
}

impl Timeline {
    /// An empty one.
    pub fn new(title: &'static str) -> Timeline {
        Timeline { title, spans: Vec::new(), marks: Vec::new(), panels: Vec::new(), text: String::new() }
    }

    /// Names the time from one second to another.
    pub fn span(&mut self, name: &'static str, from: f64, to: f64) {
        self.spans.push((name, from, to));
    }

    /// Marks a second in every panel.
    pub fn mark(&mut self, second: f64) {
        self.marks.push(second);
    }

    /// Adds a panel below the others.
    pub fn panel(&mut self, panel: Panel) {
        self.panels.push(panel);
    }

    /// The content of the SVG file.
    pub fn finish(mut self, caption: &str) -> String {
        let (title, panels) = (self.title, std::mem::take(&mut self.panels));
        let ends = self.spans.iter().map(|(_, _, to)| *to).chain(self.marks.iter().copied());
        let points = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
        let end = ends.chain(points.map(|(second, _)| *second)).fold(1.0, f64::max);
        self.text("head", 24.0, 32.0, title);
        for (name, from, _) in self.spans.clone() {
            self.text("muted", x(from, end), TOP - 30.0, name);
        }
        let mut top = TOP;
        for panel in &panels {
            self.draw(panel, panels.len(), top, end);
            top += PANEL + GAP;
        }
        let bottom = top - GAP;
        for share in [0.0, 0.25, 0.5, 0.75] {
            self.text("muted", x(end * share, end), bottom + 18.0, &format!("{:.0} s", end * share));
        }
        self.text("muted", 24.0, bottom + 44.0, caption);
        let height = bottom + 60.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"14\" role=\"img\" aria-label=\"{title}\">\n\
             \x20 <title>{title}</title>\n  <style>{STYLE}{LINES}  </style>\n\
             \x20 <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            self.text
        )
    }

    fn draw(&mut self, panel: &Panel, panels: usize, top: f64, end: f64) {
        let bottom = top + PANEL;
        let figures = panel.lines.iter().flat_map(|line| &line.points).map(|(_, figure)| *figure);
        let most = figures.chain(panel.bound.map(|(bound, _)| bound)).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
        let y = |figure: f64| bottom - figure.max(0.0) / most * PANEL;
        self.text("ink", LEFT, top - 8.0, &panel.title);
        for figure in [0.0, most / 2.1, most / 1.05] {
            let y = y(figure);
            self.add(format_args!(
                r#"<line class="axis" x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/>"#,
                WIDTH - RIGHT
            ));
            self.text("muted figure", LEFT - 8.0, y + 4.0, &number(figure));
        }
        for index in 0..self.spans.len() {
            let x = x(self.spans[index].1, end);
            self.add(format_args!(r#"<line class="axis" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#));
        }
        if top <= TOP {
            let height = bottom + (PANEL + GAP) * (panels - 1) as f64;
            for index in 0..self.marks.len() {
                let x = x(self.marks[index], end);
                self.add(format_args!(
                    r#"<line class="mark" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{height:.1}"/>"#
                ));
            }
        }
        let mut name_at = WIDTH - RIGHT;
        for line in &panel.lines {
            self.line(line, &y, end);
            if !line.name.is_empty() {
                self.text(&format!("{}-name figure", line.look.class()), name_at, top - 8.0, line.name);
                name_at -= 14.0 + 7.0 * line.name.len() as f64;
            }
        }
        if let Some((bound, name)) = panel.bound {
            let (y, to) = (y(bound), WIDTH - RIGHT);
            self.add(format_args!(r#"<line class="bound" x1="{LEFT}" y1="{y:.1}" x2="{to:.1}" y2="{y:.1}"/>"#));
            self.text("bound-name", LEFT + 4.0, y + 14.0, name);
        }
    }

    fn line(&mut self, line: &Line, y: &impl Fn(f64) -> f64, end: f64) {
        let mut path = String::new();
        let mut before = None;
        for &(second, figure) in &line.points {
            let (x, y) = (x(second, end), y(figure));
            if let (true, Some(before)) = (line.stepped, before) {
                let _ = write!(path, "{x:.1},{before:.1} ");
            }
            let _ = write!(path, "{x:.1},{y:.1} ");
            before = Some(y);
        }
        let (class, path) = (line.look.class(), path.trim_end());
        self.add(format_args!(r#"<polyline class="{class}" points="{path}"/>"#));
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // A string takes everything that is written to it.
        let _ = writeln!(self.text, "  {element}");
    }
}

fn x(second: f64, end: f64) -> f64 {
    LEFT + second.clamp(0.0, end) / end * (WIDTH - LEFT - RIGHT)
}

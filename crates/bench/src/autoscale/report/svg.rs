//! The report as a picture: what came and was done, how old the oldest message was, and how many processors there were. Pure.

use super::Report;
use crate::{
    autoscale::fleet::{DRAIN_WITHIN, MAXIMUM, PER_PROCESSOR},
    report::timeline::{Line, Look, Panel, Timeline},
};

/// The content of `autoscale.svg`.
pub fn draw(report: &Report) -> String {
    let samples = &report.samples;
    let points = |figure: fn(&super::Sample) -> Option<f64>| {
        samples.iter().filter_map(|sample| Some((sample.seconds, figure(sample)?))).collect::<Vec<_>>()
    };
    let mut timeline = Timeline::new("How the number of processors follows what there is to do");
    for phase in &report.phases {
        timeline.span(phase.title, phase.from, phase.to);
    }
    for step in report.steps() {
        timeline.mark(step.seconds);
    }
    timeline.panel(Panel {
        title: "Messages per second".to_owned(),
        lines: vec![
            Line { name: "come", look: Look::Muted, points: points(|sample| sample.input), stepped: false },
            Line { name: "finished", look: Look::Strong, points: points(|sample| sample.done), stepped: false },
        ],
        bound: None,
    });
    timeline.panel(Panel {
        title: "Seconds that the oldest unfinished message has been in Kafka".to_owned(),
        lines: vec![Line {
            name: "",
            look: Look::Strong,
            points: points(|sample| sample.oldest_seconds),
            stepped: false,
        }],
        bound: Some((DRAIN_WITHIN.into(), "drainWithin")),
    });
    timeline.panel(Panel {
        title: "Processors".to_owned(),
        lines: vec![
            Line {
                name: "ready",
                look: Look::Muted,
                points: points(|sample| sample.ready.map(f64::from)),
                stepped: true,
            },
            Line {
                name: "asked for",
                look: Look::Strong,
                points: points(|sample| Some(sample.desired.into())),
                stepped: true,
            },
        ],
        bound: Some((MAXIMUM.into(), "maxReplicas")),
    });
    let caption = format!(
        "A processor does {PER_PROCESSOR:.0} messages a second. Dashed: decisions that change the count. {}",
        report.conditions.caption("everything together")
    );
    timeline.finish(&caption)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::{
        svg::tests::{check_well_formed, count},
        tests::conditions,
    };

    #[test]
    fn a_complete_report_shows_three_panels_with_every_step() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "strong"), count(&svg, "faint"), count(&svg, "bound")), (3, 2, 2));
        assert_eq!(count(&svg, "mark"), 2);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_picture() {
        check_well_formed(&draw(&Report::new(conditions())));
    }
}

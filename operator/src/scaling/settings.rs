//! What the rule is told of a pipeline's wishes. Pure.

use std::time::Duration;

use autoscaler::{Mode, Settings};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    controller::validate::parse_duration,
    crd::{AutoscalingMode, Processor, ProcessorAutoscaling, SmsPipeline},
};

/// The annotation that keeps the number of processors as it is until a time, such as `2026-11-29T18:30:00Z` (RFC 3339).
pub const HOLD_UNTIL: &str = "smspipeline.dev/hold-replicas-until";

/// How long nobody knows how much there is to do before `fallbackReplicas` count.
const FALLBACK_AFTER: Duration = Duration::from_mins(5);
/// How long an answer of a provider is taken to need until that is measured.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// What the rule is told; `None` where the pipeline says itself how many processors run. `interval` is how often the rule
/// is asked.
pub fn settings(pipeline: &SmsPipeline, interval: Duration) -> Option<Settings> {
    let processor = &pipeline.spec.processor;
    let autoscaling = processor.autoscaling.as_ref()?;
    let (min, max) = (count(autoscaling.min_replicas), count(autoscaling.max_replicas));
    Some(Settings {
        utilization: f64::from(autoscaling.utilization_percent) / 100.0,
        interval,
        scale_down_after: parse_duration(&autoscaling.scale_down_after),
        max_in_flight: count(processor.max_in_flight),
        first_guess: first_guess(processor, autoscaling),
        fallback: autoscaling.fallback_replicas.map(count),
        fallback_after: FALLBACK_AFTER,
        mode: match autoscaling.mode {
            AutoscalingMode::Auto => Mode::Auto,
            AutoscalingMode::DryRun => Mode::DryRun,
        },
        rate_limit: processor.provider.messages_per_second.map(f64::from),
        ..Settings::new(min, max, parse_duration(&autoscaling.drain_within))
    })
}

/// Why the count is to stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The annotation says so, until this time.
    Until(Timestamp),
    /// The annotation holds no time, which may well have been meant as a wish to hold: what is wrong with it.
    Invalid(String),
    /// Nothing at all is to be changed, as this says.
    Paused(&'static str),
}

impl Hold {
    /// What keeps the count of this pipeline, if anything does.
    pub fn of(pipeline: &SmsPipeline) -> Option<Self> {
        if let Some(by) = pipeline.paused_by() {
            return Some(Self::Paused(by));
        }
        let text = pipeline.annotations().get(HOLD_UNTIL)?;
        Some(text.trim().parse().map_or_else(|_| Self::Invalid(invalid(text)), Self::Until))
    }

    /// Until when; without an end where only an edit ends it.
    pub fn until(&self) -> Timestamp {
        match self {
            Self::Until(until) => *until,
            Self::Invalid(_) | Self::Paused(_) => Timestamp::MAX,
        }
    }
}

fn invalid(text: &str) -> String {
    format!(
        "the annotation {HOLD_UNTIL} is {text:?} and must be a time such as 2026-11-29T18:30:00Z: correct or remove it, \
         until then the number of processors stays as it is"
    )
}

fn first_guess(processor: &Processor, autoscaling: &ProcessorAutoscaling) -> f64 {
    if let Some(messages) = autoscaling.initial_messages_per_second {
        return messages.into();
    }
    let answer = match &processor.provider.simulated {
        Some(simulated) => (parse_duration(&simulated.min_delay) + parse_duration(&simulated.max_delay)) / 2,
        None => FIRST_ANSWER,
    };
    let slots =
        processor.provider.max_connections.map_or(processor.max_in_flight, |most| most.min(processor.max_in_flight));
    // No provider answers faster than that, and a processor does not do more.
    f64::from(slots) / answer.as_secs_f64().max(0.1)
}

/// The schema lets no negative number through.
fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::{pipeline, pipeline_with_http_provider};

    const INTERVAL: Duration = Duration::from_secs(10);

    fn scaled(mut pipeline: SmsPipeline, autoscaling: &str) -> SmsPipeline {
        pipeline.spec.processor.autoscaling = Some(serde_json::from_str(autoscaling).expect("autoscaling"));
        pipeline
    }

    #[test]
    fn a_pipeline_that_says_itself_how_many_run_is_not_scaled() {
        assert_eq!(settings(&pipeline(), INTERVAL), None);
    }

    #[test]
    fn what_the_pipeline_says_reaches_the_rule_and_the_rule_accepts_it() {
        let told = r#"{"minReplicas":0,"maxReplicas":6,"drainWithin":"2m","scaleDownAfter":"1h","utilizationPercent":50,
                       "initialMessagesPerSecond":7,"fallbackReplicas":3,"mode":"DryRun"}"#;
        let mut pipeline = scaled(pipeline(), told);
        pipeline.spec.processor.max_in_flight = 100;
        pipeline.spec.processor.provider.messages_per_second = Some(40);
        let settings = settings(&pipeline, INTERVAL).expect("it is scaled");
        assert_eq!(settings.check(), Ok(()));
        let expected = Settings {
            utilization: 0.5,
            scale_down_after: Duration::from_hours(1),
            max_in_flight: 100,
            first_guess: 7.0,
            fallback: Some(3),
            mode: Mode::DryRun,
            rate_limit: Some(40.0),
            ..Settings::new(0, 6, Duration::from_mins(2))
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn the_first_guess_is_made_from_slots_and_the_time_of_an_answer() {
        let guess = |mut pipeline: SmsPipeline| {
            pipeline.spec.processor.max_in_flight = 100;
            settings(&scaled(pipeline, r#"{"maxReplicas":6}"#), INTERVAL).expect("it is scaled").first_guess
        };
        // One to three seconds.
        assert!((guess(pipeline()) - 50.0).abs() < 1e-9);
        assert!((guess(pipeline_with_http_provider()) - 100.0).abs() < 1e-9);
        let mut few = pipeline();
        few.spec.processor.provider.max_connections = Some(10);
        assert!((guess(few) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_count_is_held_until_the_time_of_the_annotation_and_while_that_is_no_time_or_nothing_is_changed() {
        let mut pipeline = pipeline();
        assert_eq!(Hold::of(&pipeline), None);
        pipeline.annotations_mut().insert(HOLD_UNTIL.to_owned(), "1970-01-01T00:01:00Z".to_owned());
        assert_eq!(Hold::of(&pipeline), Some(Hold::Until(Timestamp::from_second(60).expect("a time"))));
        pipeline.annotations_mut().insert(HOLD_UNTIL.to_owned(), "2h".to_owned());
        let Some(hold @ Hold::Invalid(_)) = Hold::of(&pipeline) else { panic!("no time") };
        assert_eq!(hold.until(), Timestamp::MAX);
        let Hold::Invalid(why) = hold else { panic!("no time") };
        assert!(why.contains(HOLD_UNTIL) && why.contains("\"2h\""), "{why}");
        pipeline.spec.paused = true;
        assert_eq!(Hold::of(&pipeline), Some(Hold::Paused("spec.paused")));
    }
}

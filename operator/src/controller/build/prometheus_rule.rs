use serde_json::{Value, json};

use super::metadata::{
    API_COMPONENT, COMPONENT_LABEL, INSTANCE_LABEL, PIPELINE_COMPONENT, PROCESSOR_COMPONENT, metadata,
};
use crate::controller::{
    kinds::{Object, PROMETHEUS_RULE},
    validate::{Replicas, ValidatedPipeline},
};

/// One alert.
struct Alert {
    name: &'static str,
    severity: &'static str,
    /// How long it must be so.
    lasting: &'static str,
    expression: String,
    summary: String,
    /// What to look at.
    advice: &'static str,
}

/// Alerts for what a pipeline cannot heal by itself. Those of its workloads' metrics find them by the labels that the
/// PodMonitor gives; those of the operator's metrics take them from any scrape that keeps its labels or renames them.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Object {
    let rules: Vec<_> = alerts(pipeline).iter().map(|alert| rule(pipeline, alert)).collect();
    let spec = json!({ "groups": [{ "name": format!("{}.{}", pipeline.namespace, pipeline.name), "rules": rules }] });
    Object::with_spec(&PROMETHEUS_RULE, &metadata(pipeline, &pipeline.name, PIPELINE_COMPONENT), &spec)
}

fn rule(pipeline: &ValidatedPipeline, alert: &Alert) -> Value {
    json!({
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": { "severity": alert.severity, "namespace": pipeline.namespace, "pipeline": pipeline.name },
        "annotations": { "summary": alert.summary, "description": alert.advice },
    })
}

fn alerts(pipeline: &ValidatedPipeline) -> Vec<Alert> {
    let name = format!("{}/{}", pipeline.namespace, pipeline.name);
    let of = |metric: &str, component: &str| {
        let (instance, part) = (label(INSTANCE_LABEL), label(COMPONENT_LABEL));
        format!(r#"{metric}{{namespace="{}",{instance}="{}",{part}="{component}"}}"#, pipeline.namespace, pipeline.name)
    };
    let down = |component| format!("absent({} == 1)", of("up", component));
    // A scrape that does not keep the operator's labels renames its namespace, and puts the operator's own in its place.
    let lag = |labels: &str| {
        let (namespace, name) = (&pipeline.namespace, &pipeline.name);
        format!(r#"smspipeline_consumer_lag_records{{{labels}="{namespace}",pipeline="{name}"}}"#)
    };
    let mut alerts = vec![
        Alert {
            name: "SmsLagUnknown",
            severity: "warning",
            lasting: "10m",
            // Only where the operator is scraped at all, or was until lately.
            expression: format!(
                "count(last_over_time(smspipeline_reconciles_total[1d])) > 0 unless on() ({} or {})",
                lag(r#"exported_namespace="",namespace"#),
                lag("exported_namespace")
            ),
            summary: format!("Nobody knows how far the processors of {name} are behind: the operator or Kafka is away"),
            advice: "See the pipeline's TopicsReady condition and the operator's log. Processors work on meanwhile.",
        },
        Alert {
            name: "SmsReportsHeldUp",
            severity: "critical",
            lasting: "5m",
            expression: format!("max({}) == 1", of("sms_report_breaker_open", PROCESSOR_COMPONENT)),
            summary: format!("Processors of {name} take no messages, because the API refuses their delivery reports"),
            advice: "See why the API is not available; nothing is lost, and processors go on by themselves once it is.",
        },
        Alert {
            name: "SmsQueueFailing",
            severity: "critical",
            lasting: "5m",
            expression: format!("sum(rate({}[5m])) > 0", of("sms_queue_failed_total", API_COMPONENT)),
            summary: format!("Messages of {name} are stored, but Kafka does not take them"),
            advice: "See whether the brokers answer and have enough replicas in sync; messages are sent on once they do.",
        },
        Alert {
            name: "SmsDeadLetters",
            severity: "warning",
            lasting: "5m",
            expression: format!("max({}) > 0", of("sms_dead_letters_waiting", API_COMPONENT)),
            summary: format!("Records of {name} could not be processed and wait to be sent again or given up"),
            advice: "List them with GET /v1/dead-letters, mend the cause, and send them again.",
        },
        Alert {
            name: "SmsApiKeysBroken",
            severity: "warning",
            lasting: "5m",
            expression: format!("min({}) == 0", of("api_keys_last_reload_successful", API_COMPONENT)),
            summary: format!("The API of {name} goes on with old keys, because the new ones cannot be read"),
            advice: "See /readyz of the API for what is wrong with the Secret, and mend it.",
        },
    ];
    if pipeline.processor.replicas.at_first() > 0 {
        alerts.push(Alert {
            name: "SmsProcessorDown",
            severity: "critical",
            lasting: "5m",
            expression: down(PROCESSOR_COMPONENT),
            summary: format!("No processor of {name} runs: messages are accepted and not sent"),
            advice: "See the pipeline's ProcessorAvailable condition and kubectl describe of the pods.",
        });
    }
    if !matches!(pipeline.api.replicas, Replicas::Fixed(0)) {
        alerts.push(Alert {
            name: "SmsApiDown",
            severity: "critical",
            lasting: "5m",
            expression: down(API_COMPONENT),
            summary: format!("No API of {name} runs: messages are not accepted"),
            advice: "See the pipeline's ApiAvailable condition and kubectl describe of the pods.",
        });
    }
    alerts
}

/// A Kubernetes label as Prometheus names it.
fn label(name: &str) -> String {
    name.replace(['.', '/', '-'], "_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::controller::fixtures::{pipeline, validated};

    fn alerts_of(processors: i32) -> Vec<Alert> {
        let mut pipeline = pipeline();
        pipeline.spec.processor.replicas = Some(processors);
        alerts(&validated(&pipeline))
    }

    /// The metrics that an expression asks for, by the words that their names begin with.
    fn metrics_of(expression: &str) -> BTreeSet<&str> {
        let words = expression.split(|part: char| !part.is_ascii_alphanumeric() && part != '_');
        let starts = ["sms_", "smspipeline_", "api_keys_", "kafka_", "http_"];
        words.filter(|word| *word == "up" || starts.iter().any(|start| word.starts_with(start))).collect()
    }

    /// By the place where it is registered, without what is put behind the name when it is told.
    #[track_caller]
    fn check_exists(metric: &str) {
        let sources = [
            include_str!("../../metrics.rs"),
            include_str!("../../scaling/metrics.rs"),
            include_str!("../../../../sms-api/src/metrics.rs"),
            include_str!("../../../../processor/src/metrics.rs"),
        ];
        let part = ["_total", "_bucket", "_count"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
        let names = [part, part.trim_end_matches("_seconds"), part.trim_start_matches("smspipeline_autoscaler_")];
        let is_registered =
            |name: &str| sources.iter().any(|source| source.contains(&format!("\"{name}\"")) && !name.is_empty());
        assert!(metric == "up" || names.into_iter().any(is_registered), "{metric}");
    }

    #[test]
    fn every_metric_that_an_alert_or_the_dashboard_asks_for_exists() {
        let dashboard = include_str!("../../../../charts/sms-operator/files/dashboard.json");
        let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        let shown: Vec<_> = targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect();
        assert!(shown.len() > 30, "{} expressions", shown.len());
        let alerts = alerts_of(1).into_iter().map(|alert| alert.expression);
        for expression in alerts.chain(shown) {
            let metrics = metrics_of(&expression);
            assert!(!metrics.is_empty(), "{expression}");
            for metric in metrics {
                check_exists(metric);
            }
        }
    }

    #[test]
    fn a_workload_that_is_wanted_to_rest_is_not_missed() {
        let down = |alerts: Vec<Alert>| alerts.iter().any(|alert| alert.name == "SmsProcessorDown");
        assert!(down(alerts_of(1)));
        assert!(!down(alerts_of(0)));
    }
}

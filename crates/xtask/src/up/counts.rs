//! The live line: what the metrics of the operator and the API's replicas say right now.

use std::{fmt, fs, net::SocketAddr, path::Path};

use serde::Deserialize;

use crate::{http::Client, metrics_text::sum};

/// Numbers of one moment; `None` is unknown, because nobody answered or the metric is not there yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    accepted: Option<f64>,
    sent: Option<f64>,
    failed: Option<f64>,
    lag: Option<f64>,
    api_replicas: Option<f64>,
    processor_replicas: Option<f64>,
}

/// One entry of the operator's `replicas.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replica {
    component: String,
    metrics_address: SocketAddr,
}

impl Counts {
    /// Asks everybody once.
    pub fn read(client: &Client, operator: SocketAddr, replicas_file: &Path) -> Counts {
        let metrics = |address| Some(client.get(address, "/metrics").ok()?.body);
        let apis: Vec<String> = api_addresses(replicas_file).into_iter().filter_map(metrics).collect();
        Counts::from_texts(&apis, &metrics(operator).unwrap_or_default())
    }

    fn from_texts(apis: &[String], operator: &str) -> Counts {
        let over_apis = |name| apis.iter().filter_map(|text| sum(text, name, &[])).reduce(|total, value| total + value);
        let replicas = |component| sum(operator, "smspipeline_replicas", &[("component", component)]);
        Counts {
            accepted: over_apis("sms_accepted_total"),
            sent: over_apis("sms_sent_total"),
            failed: over_apis("sms_failed_total"),
            lag: sum(operator, "smspipeline_consumer_lag_records", &[]),
            api_replicas: replicas("api"),
            processor_replicas: replicas("processor"),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.0}"));
        write!(
            formatter,
            "accepted {}  sent {}  failed {}  lag {}  replicas: api {}, processor {}",
            number(self.accepted),
            number(self.sent),
            number(self.failed),
            number(self.lag),
            number(self.api_replicas),
            number(self.processor_replicas),
        )
    }
}

/// Where the API's replicas show their metrics. The file changes while the operator scales; one that
/// cannot be read right now is read again a second later.
fn api_addresses(replicas_file: &Path) -> Vec<SocketAddr> {
    let text = fs::read_to_string(replicas_file).unwrap_or_default();
    let replicas: Vec<Replica> = serde_json::from_str(&text).unwrap_or_default();
    replicas.into_iter().filter(|replica| replica.component == "api").map(|replica| replica.metrics_address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_the_replicas_and_lag_over_partitions() {
        let apis = ["sms_accepted_total 3\nsms_sent_total 1\n", "sms_accepted_total 4\n"].map(str::to_owned);
        let operator = "smspipeline_consumer_lag_records{partition=\"0\"} 2\n\
                        smspipeline_consumer_lag_records{partition=\"1\"} 3\n\
                        smspipeline_replicas{component=\"api\"} 2\n";
        assert_eq!(
            Counts::from_texts(&apis, operator).to_string(),
            "accepted 7  sent 1  failed ?  lag 5  replicas: api 2, processor ?"
        );
    }

    #[test]
    fn only_replicas_of_the_api_are_asked() {
        let file = std::env::temp_dir().join(format!("xtask-replicas-{}.json", std::process::id()));
        let text = r#"[{"name":"notifications-processor-0","component":"processor","pid":1,"metricsAddress":"127.0.0.1:9092"},
                       {"name":"notifications-api-0","component":"api","pid":2,"metricsAddress":"127.0.0.1:9091"}]"#;
        fs::write(&file, text).expect("a temporary file");
        assert_eq!(api_addresses(&file), [SocketAddr::from(([127, 0, 0, 1], 9091))]);
        fs::remove_file(&file).expect("our own file");
        assert!(api_addresses(&file).is_empty());
    }
}

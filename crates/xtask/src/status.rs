//! `cargo xtask status`: what runs, where, and whether it is ready.

use std::{fs, process::ExitCode};

use serde_json::Value;

use crate::{
    arguments::Place,
    http::Client,
    readiness::{self, Readiness},
    screen::print_line,
    supervisor,
};

/// Nothing runs.
const NOT_RUNNING: u8 = 3;

/// The exit code tells as much as the text: 0 ready, 1 running but not ready, 3 not running.
pub fn run(place: &Place) -> ExitCode {
    let folder = place.folder();
    let Some(state) = supervisor::running(&folder) else {
        print_line(&format!("nothing is up in {}", folder.display()));
        return ExitCode::from(NOT_RUNNING);
    };
    print_line(&state.describe());
    print_line(&format!("  API         http://{}", state.api_address));
    print_line(&format!("  reports     http://{}", state.internal_address));
    print_line(&format!("  metrics     http://{}/metrics", state.metrics_address));
    print_line(&format!("  PostgreSQL  127.0.0.1:{}", state.postgres_port));
    print_line(&format!("  Kafka       127.0.0.1:{}", state.kafka_port));
    print_line(&format!("  logs        {}", folder.display()));

    let readiness = readiness::ask(&Client::new(), state.metrics_address);
    print_line(&match &readiness {
        Readiness::Ready => "ready".to_owned(),
        Readiness::NotReady(why) | Readiness::Silent(why) => format!("not ready: {why}"),
    });
    // Written by the operator; there is none before its first look at the pipeline.
    if let Ok(resource) = fs::read_to_string(folder.join("pipeline/status.json")) {
        for line in conditions(&resource) {
            print_line(&line);
        }
    }
    if readiness == Readiness::Ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One line per condition of an `SmsPipeline`.
fn conditions(resource: &str) -> Vec<String> {
    let resource: Value = serde_json::from_str(resource).unwrap_or_default();
    let conditions = resource["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |condition: &Value| {
        let field = |name: &str| condition[name].as_str().unwrap_or("?").to_owned();
        format!("  {:<20} {:<8} {}", field("type"), field("status"), field("message"))
    };
    conditions.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_is_a_line_with_its_message() {
        let resource = r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Waiting","message":"no topics yet"}]}}"#;
        assert_eq!(conditions(resource), ["  Ready                False    no topics yet"]);
    }

    #[test]
    fn a_file_that_is_being_written_shows_no_conditions() {
        assert!(conditions(r#"{"status":{"cond"#).is_empty());
    }
}

//! `POST /v1/internal/delivery-reports`.

use std::{iter, sync::Arc};

use axum::{Json, extract::State};
use contract::{LARGEST_BATCH, ReportResult, ReportResults};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AppState, json_body::JsonBody, report_request::parse};
use crate::problem::{Problem, Violation};

/// The body as it came.
#[derive(Deserialize)]
pub struct Request {
    reports: Vec<Map<String, Value>>,
}

/// Records all reports or, when one of them cannot be understood, none. Tells what became of each, in order.
pub async fn handle(State(app): State<Arc<AppState>>, body: JsonBody) -> Result<Json<ReportResults>, Problem> {
    let Request { reports } = body.decode()?;
    if reports.len() > LARGEST_BATCH {
        let message = format!("At most {LARGEST_BATCH} reports can be brought at once");
        return Err(Problem::invalid_fields(vec![Violation::of("reports", "processDeliveryReports.reports", message)]));
    }
    let (mut parsed, mut violations) = (Vec::with_capacity(reports.len()), Vec::new());
    for (index, report) in reports.into_iter().enumerate() {
        match parse(report) {
            Ok(report) => parsed.push(report),
            Err(faults) => violations.extend(faults.into_iter().map(|fault| Violation {
                pointer: format!("reports/{index}/{}", fault.pointer),
                field: fault.field.replace("Report.deliveryReport.", &format!("Reports.reports[{index}].")),
                ..fault
            })),
        }
    }
    if !violations.is_empty() {
        return Err(Problem::invalid_fields(violations));
    }
    let outcomes = app.record_reports(&parsed).await?;
    let results = iter::zip(parsed, outcomes)
        .map(|(report, outcome)| ReportResult { message_id: report.message_id, outcome })
        .collect();
    Ok(Json(ReportResults { results }))
}

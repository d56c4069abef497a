//! The line that each event leaves on standard output: its log, and its metrics.
//!
//! In Lambda's JSON format the line is an embedded metric format document, of which CloudWatch makes metrics. In the text
//! format, which `local` sets, it is one for people. `docs/reference/operations.md` describes its members.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

mod lines;

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tracing::{error, info, warn};

use crate::domain::time::Timestamp;
use crate::domain::units::Units;
use crate::domain::usage::Usage;
use crate::runtime::config::optional;

/// The namespace of a function that is not told another.
const NAMESPACE: &str = "Tenantry";

/// Enough for a line without a long cause.
const LINE_BYTES: usize = 1024;

static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    function: &'static str,
    /// The metric directives, which are the same in every line. None in the text format.
    directives: Option<Box<RawValue>>,
    /// Whether no event came yet.
    cold: AtomicBool,
}

/// What an event took, whatever became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The status of its answer; for what is not HTTP, the one that says the same.
    pub status: u16,
    /// Of the table.
    pub units: Units,
    /// From the event to the answer.
    pub elapsed: Duration,
    /// The bytes of the request's body.
    pub bytes_in: usize,
    /// The bytes of the answer's body.
    pub bytes_out: usize,
}

impl Measured {
    /// The same as a tenant's usage, in a function of so much memory. A millisecond that has begun counts, as on
    /// Lambda's bill.
    #[must_use]
    pub fn usage(&self, memory_mb: u64) -> Usage {
        let Self { status, units, elapsed, bytes_in, bytes_out } = *self;
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let ms = u64::try_from(elapsed.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        Usage {
            requests: 1,
            errors: u64::from(status >= 400),
            bytes_in: count(bytes_in),
            bytes_out: count(bytes_out),
            units,
            memory_ms: ms.saturating_mul(memory_mb),
        }
    }
}

/// What is said of an event. Never a token, a claim that was not checked, or a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry<'a> {
    /// Method and route as the contract writes them, or the name of an event that has none. One of few: each costs
    /// metrics of its own.
    pub route: &'a str,
    /// API Gateway's id of the request.
    pub request_id: Option<&'a str>,
    /// For whom.
    pub tenant: Option<&'a str>,
    /// On which plan.
    pub plan: Option<&'a str>,
    /// The issuer of a token that was judged.
    pub issuer: Option<&'a str>,
    /// The scopes that a token got.
    pub scopes: Option<&'a str>,
    /// The code of the problem that was answered.
    pub code: Option<&'a str>,
    /// What only the log sees of it.
    pub cause: Option<&'a str>,
}

/// Starts logging, before anything else: `function` is the package's name. How is in Lambda's own variables
/// `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`; `METRICS_NAMESPACE` is the namespace of the metrics.
pub fn init(function: &'static str) {
    let json = optional("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    lines::init(function, json, optional("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let namespace = optional("METRICS_NAMESPACE");
    let directives = json.then(|| directives(namespace.as_deref().unwrap_or(NAMESPACE))).flatten();
    // A second call changes nothing.
    let _first = LOG.set(Log { function, directives, cold: AtomicBool::new(true) });
}

/// Writes an event's line. Nothing, where logging was not started.
pub fn write(entry: &Entry<'_>, measured: &Measured) {
    let Some(log) = LOG.get() else { return };
    let cold = log.cold.swap(false, Ordering::Relaxed);
    match &log.directives {
        Some(directives) => {
            let mut line = Vec::with_capacity(LINE_BYTES);
            if serde_json::to_writer(&mut line, &Line::of(log.function, directives, cold, entry, measured)).is_ok() {
                line.push(b'\n');
                // Where there is nobody to read, there is nobody to tell.
                let _unread = std::io::stdout().lock().write_all(&line);
            }
        }
        None => write_text(entry, measured, cold),
    }
}

/// What CloudWatch is to make metrics of. A dimension multiplies their number, and their price: so those of a tenant are
/// members of the line, which Logs Insights finds, and never dimensions.
fn directives(namespace: &str) -> Option<Box<RawValue>> {
    let directives = json!([
        {
            "Namespace": namespace,
            "Dimensions": [["Route", "StatusClass"]],
            "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
        },
        {
            "Namespace": namespace,
            "Dimensions": [["Function"]],
            "Metrics": [
                {"Name": "ColdStart", "Unit": "Count"},
                {"Name": "DynamoDbReadUnits", "Unit": "Count"},
                {"Name": "DynamoDbWriteUnits", "Unit": "Count"},
            ],
        },
    ]);
    to_raw_value(&directives).ok()
}

/// A line as CloudWatch reads it. What a directive names begins with a capital, as CloudWatch's own metrics do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata<'a>,
    /// Without it, Lambda takes every line for `INFO`.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
    timestamp: Timestamp,
    level: Level,
    #[serde(rename = "Function")]
    function: &'a str,
    #[serde(rename = "Route")]
    route: &'a str,
    #[serde(rename = "StatusClass")]
    status_class: &'static str,
    status: u16,
    #[serde(rename = "Latency")]
    latency: f64,
    #[serde(rename = "ColdStart")]
    cold_start: u8,
    #[serde(rename = "DynamoDbReadUnits")]
    read_units: f64,
    #[serde(rename = "DynamoDbWriteUnits")]
    write_units: f64,
    bytes_in: usize,
    bytes_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    directives: &'a RawValue,
}

/// As Lambda filters by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    /// A defect is an error. What does not answer is a warning, and what the caller did wrong is neither.
    fn of(status: u16) -> Self {
        match status {
            500 => Self::Error,
            501.. => Self::Warn,
            _ => Self::Info,
        }
    }
}

impl<'a> Line<'a> {
    fn of(function: &'a str, directives: &'a RawValue, cold: bool, entry: &Entry<'a>, measured: &Measured) -> Self {
        let Entry { route, request_id, tenant, plan, issuer, scopes, code, cause } = *entry;
        let Measured { status, units, elapsed, bytes_in, bytes_out } = *measured;
        let timestamp = Timestamp::now();
        Self {
            metadata: Metadata { timestamp: timestamp.as_millis(), directives },
            timestamp,
            level: Level::of(status),
            function,
            route,
            status_class: class(status),
            status,
            latency: milliseconds(elapsed),
            cold_start: cold.into(),
            read_units: units.read,
            write_units: units.write,
            bytes_in,
            bytes_out,
            request_id,
            tenant,
            plan,
            issuer,
            scopes,
            code,
            cause,
        }
    }
}

fn class(status: u16) -> &'static str {
    match status {
        500.. => "5xx",
        400.. => "4xx",
        300.. => "3xx",
        _ => "2xx",
    }
}

fn milliseconds(elapsed: Duration) -> f64 {
    // To the microsecond: more digits say nothing, and are paid for.
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// For people.
fn write_text(entry: &Entry<'_>, measured: &Measured, cold: bool) {
    let Entry { route, request_id, tenant, plan: _, issuer, scopes, code, cause } = *entry;
    let Measured { status, units: Units { read, write }, elapsed, bytes_in: _, bytes_out: _ } = *measured;
    let (ms, cold) = (milliseconds(elapsed), cold.then_some(true));
    match Level::of(status) {
        Level::Info => info!(route, status, code, cause, ms, read, write, cold, tenant, issuer, scopes, request_id),
        Level::Warn => warn!(route, status, code, cause, ms, read, write, cold, tenant, issuer, scopes, request_id),
        Level::Error => error!(route, status, code, cause, ms, read, write, cold, tenant, issuer, scopes, request_id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn line(entry: &Entry<'_>, status: u16) -> Value {
        let measured = Measured {
            status,
            units: Units { read: 0.5, write: 2.0 },
            elapsed: Duration::from_nanos(1_234_567),
            bytes_in: 3,
            bytes_out: 5,
        };
        let directives = directives("Tenantry/prod").unwrap();
        serde_json::to_value(Line::of("records", &directives, true, entry, &measured)).unwrap()
    }

    #[test]
    fn a_line_has_what_happened_and_nothing_that_did_not() {
        let mut line = line(&Entry { route: "GET /health", tenant: Some("t"), ..Entry::default() }, 200);
        let moment = line["_aws"]["Timestamp"].as_i64().unwrap();
        assert_eq!(line["timestamp"], serde_json::to_value(Timestamp::from_millis(moment)).unwrap());
        let metadata = line.as_object_mut().unwrap().remove("_aws").unwrap();
        assert_eq!(metadata["CloudWatchMetrics"].as_array().unwrap().len(), 2);
        line.as_object_mut().unwrap().remove("timestamp");
        let expected = json!({
            "level": "INFO", "Function": "records", "Route": "GET /health", "StatusClass": "2xx", "status": 200,
            "Latency": 1.235, "ColdStart": 1, "DynamoDbReadUnits": 0.5, "DynamoDbWriteUnits": 2.0,
            "bytesIn": 3, "bytesOut": 5, "tenant": "t",
        });
        assert_eq!(line, expected);
    }

    /// Each value of a dimension is a metric of its own, which is paid for by the month.
    #[test]
    fn no_dimension_tells_tenants_or_requests_apart() {
        let entry = Entry {
            route: "GET /health",
            request_id: Some("r"),
            tenant: Some("t"),
            plan: Some("p"),
            issuer: Some("i"),
            scopes: Some("s"),
            code: Some("c"),
            cause: Some("x"),
        };
        let line = line(&entry, 500);
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let dimensions = directives.iter().flat_map(|directive| directive["Dimensions"].as_array().unwrap());
        let dimensions: Vec<&Value> = dimensions.flat_map(|set| set.as_array().unwrap()).collect();
        assert_eq!(dimensions, ["Route", "StatusClass", "Function"]);
        for name in ["requestId", "tenant", "plan", "issuer", "scopes", "code", "cause", "status"] {
            assert!(line.get(name).is_some() && !dimensions.iter().any(|dimension| **dimension == *name), "{name}");
        }
    }

    #[test]
    fn levels_and_classes_of_statuses() {
        for (status, level, class) in [
            (200, "INFO", "2xx"),
            (304, "INFO", "3xx"),
            (429, "INFO", "4xx"),
            (500, "ERROR", "5xx"),
            (503, "WARN", "5xx"),
        ] {
            let line = line(&Entry::default(), status);
            assert_eq!((&line["level"], &line["StatusClass"]), (&json!(level), &json!(class)));
        }
    }
}

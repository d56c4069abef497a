//! The line that each event writes to standard output: its log entry, and its metrics.
//!
//! In Lambda's JSON format the line is a document in the embedded metric format, from which CloudWatch extracts metrics. In
//! the text format, which `local` sets, the line is for people. `docs/reference/operations.md` describes its members.
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

/// The default namespace of the metrics.
const NAMESPACE: &str = "Tenantry";

/// The initial capacity of a line's buffer, which is enough for a line without a long cause.
const LINE_BYTES: usize = 1024;

static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    function: &'static str,
    /// The metric directives, which are the same in every line. They are `None` in the text format.
    directives: Option<Box<RawValue>>,
    /// Whether there was no event yet.
    cold: AtomicBool,
}

/// The measurements of an event, whatever its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The status of the response. An event that is not an HTTP request gets the HTTP status of the same meaning.
    pub status: u16,
    /// The capacity units that its requests to the table consumed.
    pub units: Units,
    /// The time from the event to the response.
    pub elapsed: Duration,
    /// The size of the request's body, in bytes.
    pub bytes_in: usize,
    /// The size of the response's body, in bytes.
    pub bytes_out: usize,
}

impl Measured {
    /// Converts the measurements to a tenant's usage, in a function with this memory in MB. The time is rounded up to a
    /// millisecond, as on Lambda's bill.
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

/// The contents of an event's log entry. They never include a token, an unverified claim or a body.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// The method and the route as the contract writes them, or the name of an event that has none. It must be
    /// low-cardinality: every value becomes a CloudWatch metric.
    #[serde(rename = "Route")]
    pub route: &'a str,
    /// API Gateway's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// The tenant's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
    /// The tenant's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<&'a str>,
    /// The issuer of the token that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    /// The scopes that were granted to the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<&'a str>,
    /// The code of the problem in the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// The cause of the problem, which only the log has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
}

/// Starts logging, before anything else. `function` is the package's name.
///
/// The format and the level are in Lambda's own environment variables `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`,
/// and the namespace of the metrics is in `METRICS_NAMESPACE`.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html>
pub fn init(function: &'static str) {
    let json = optional("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    lines::init(function, json, optional("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let namespace = optional("METRICS_NAMESPACE");
    let directives = json.then(|| directives(namespace.as_deref().unwrap_or(NAMESPACE))).flatten();
    // A second call changes nothing.
    let _first = LOG.set(Log { function, directives, cold: AtomicBool::new(true) });
}

/// Writes an event's line, if logging was started.
pub fn write(entry: &Entry<'_>, measured: &Measured) {
    let Some(log) = LOG.get() else { return };
    let cold = log.cold.swap(false, Ordering::Relaxed);
    match &log.directives {
        Some(directives) => {
            let mut line = Vec::with_capacity(LINE_BYTES);
            if serde_json::to_writer(&mut line, &Line::of(log.function, directives, cold, entry, measured)).is_ok() {
                line.push(b'\n');
                // If standard output cannot be written to, the error cannot be reported either.
                let _unread = std::io::stdout().lock().write_all(&line);
            }
        }
        None => write_text(entry, measured, cold),
    }
}

/// Returns the directives by which CloudWatch extracts metrics. A dimension multiplies the number of metrics, and their
/// price. So a tenant's attributes are members of the line, which Logs Insights finds, and never dimensions.
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

/// A line in the embedded metric format. The members that a directive names begin with a capital letter, like CloudWatch's
/// own metrics.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata<'a>,
    /// The time at which the line is written. Without it, Lambda treats every line as `INFO`.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
    timestamp: Timestamp,
    level: Level,
    #[serde(rename = "Function")]
    function: &'a str,
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
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    directives: &'a RawValue,
}

/// The level of a line, by which Lambda filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    /// Returns the level of a status. A defect is an error, an unavailable service is a warning, and a client's mistake is
    /// neither.
    fn of(status: u16) -> Self {
        match status {
            500 => Self::Error,
            501.. => Self::Warn,
            _ => Self::Info,
        }
    }
}

impl<'a> Line<'a> {
    fn of(function: &'a str, directives: &'a RawValue, cold: bool, entry: &'a Entry<'a>, measured: &Measured) -> Self {
        let Measured { status, units, elapsed, bytes_in, bytes_out } = *measured;
        let timestamp = Timestamp::now();
        Self {
            metadata: Metadata { timestamp: timestamp.as_millis(), directives },
            timestamp,
            level: Level::of(status),
            function,
            status_class: class(status),
            status,
            latency: milliseconds(elapsed),
            cold_start: cold.into(),
            read_units: units.read,
            write_units: units.write,
            bytes_in,
            bytes_out,
            entry,
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
    // The value is rounded to the microsecond: further digits carry no information, and the log is billed by its size.
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// Writes a line for people.
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
    fn a_line_has_no_members_without_a_value() {
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

    /// Each value of a dimension is a metric of its own, which is billed by the month.
    #[test]
    fn no_dimension_distinguishes_tenants_or_requests() {
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

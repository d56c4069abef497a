//! The log lines other than those of `log::write`: which are written, and in which format.
//!
//! Below `INFO`, libraries log the data that passes through them: `lambda_runtime` the whole event with its token and body,
//! the SDK the headers and signatures of its requests. No setting may put these into a log. So only the project's own
//! crates follow the configured level, and every other one, known today or not, stops at `INFO`. The subscriber of
//! `lambda_runtime` would not do that, and it takes directives from `RUST_LOG`.

use lambda_http::tracing::Metadata;
use lambda_http::tracing::subscriber::filter::{FilterFn, LevelFilter};
use lambda_http::tracing::subscriber::fmt;
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;

/// The crate that the functions share.
const SHARED: &str = "service";

/// Starts writing lines to standard output. `level` is one of Lambda's levels. If it is absent or invalid, it is `INFO`.
pub(super) fn init(function: &'static str, json: bool, level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // Lambda adds the time, and the log group identifies the function.
    let lines = fmt().with_max_level(level).with_target(false).without_time();
    // A second call changes nothing.
    let _first = if json {
        lines.json().finish().with(filter(function, level)).try_init()
    } else {
        lines.finish().with(filter(function, level)).try_init()
    };
}

fn filter(function: &'static str, level: LevelFilter) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let is_written = move |metadata: &Metadata<'_>| {
        let origin = metadata.target().split("::").next();
        let is_own = origin == Some(SHARED) || origin == Some(function);
        *metadata.level() <= if is_own { level } else { level.min(LevelFilter::INFO) }
    };
    FilterFn::new(is_written).with_max_level_hint(level)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};

    use tracing::subscriber::with_default;
    use tracing::{debug, error, info, trace, warn};

    use super::*;

    /// Returns the lines that the function `records` writes at a level.
    fn written(level: &str, work: impl FnOnce()) -> String {
        let (mut reader, writer) = pipe().unwrap();
        let level: LevelFilter = level.parse().unwrap();
        let lines = fmt().with_max_level(level).with_writer(move || writer.try_clone().unwrap()).finish();
        with_default(lines.with(filter("records", level)), work);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        written
    }

    #[test]
    fn libraries_stop_at_info_whatever_the_level() {
        for level in ["TRACE", "DEBUG", "INFO"] {
            let lines = written(level, || {
                trace!(target: "lambda_runtime::layers::api_response", "secret");
                debug!(target: "aws_sigv4::http_request::sign", "secret");
                debug!(target: "hyper_util", "secret");
                trace!(target: "services", "secret");
                trace!(target: "records_of_another", "secret");
                info!(target: "a_library", "a note");
            });
            assert!(!lines.contains("secret") && lines.contains("a note"), "{level}: {lines}");
        }
        let lines = written("ERROR", || {
            info!(target: "a_library", "a note");
            error!(target: "a_library", "a fault");
        });
        assert!(!lines.contains("a note") && lines.contains("a fault"), "{lines}");
    }

    #[test]
    fn own_crates_follow_the_level() {
        for (level, count) in [("TRACE", 5), ("DEBUG", 4), ("INFO", 3), ("WARN", 2), ("ERROR", 1), ("OFF", 0)] {
            let lines = written(level, || {
                trace!(target: "service::store", "a line");
                debug!(target: "records", "a line");
                info!(target: "service", "a line");
                warn!(target: "records::draft", "a line");
                error!(target: "service::http", "a line");
            });
            assert_eq!(lines.lines().count(), count, "{level}: {lines}");
        }
    }
}

//! The access log: a line on the terminal for each request, as a stage has it on AWS.
//!
//! A line such as `09:30:00.250Z GET /v1/collections 403 12 ms 01K0ACME000000000000000000 insufficient_scope` has the path
//! without the query string, and no header, because both may contain secrets.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::context::Context;

const TIME: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A request and its response, as the log shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// The time at which the request arrived.
    pub time: OffsetDateTime,
    /// The method.
    pub method: String,
    /// The path with the stage, without the query string.
    pub path: String,
    /// The status of the response.
    pub status: StatusCode,
    /// The time until the response was ready.
    pub elapsed: Duration,
    /// The tenant that the authorizer found.
    pub tenant: Option<String>,
    /// The `code` of a problem document.
    pub code: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Adds the [`Access`] to the extensions of the response.
pub(super) async fn note(response: Response<Body>, context: &Context, elapsed: Duration) -> Response<Body> {
    let (mut response, code) = code(response).await;
    let access = Access {
        time: context.time,
        method: context.http_method.clone(),
        path: context.path.clone(),
        status: response.status(),
        elapsed,
        tenant: context.authorizer.as_ref().and_then(|grant| grant.context.get("tenant").cloned()),
        code,
    };
    response.extensions_mut().insert(access);
    response
}

/// Reads the code of a response that is a problem document. The body is in memory already, and is put back.
async fn code(response: Response<Body>) -> (Response<Body>, Option<String>) {
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if !is_problem {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let code = serde_json::from_slice(&body).ok().map(|Problem { code }| code);
    (Response::from_parts(head, Body::from(body)), code)
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, method, path, status, elapsed, tenant, code } = self;
        let time = time.format(TIME).unwrap_or_default();
        // Escaped, because a terminal interprets control characters.
        let path = path.escape_debug();
        write!(f, "{time} {method} {path} {} {} ms", status.as_u16(), elapsed.as_millis())?;
        for text in [tenant, code].into_iter().flatten() {
            write!(f, " {}", text.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn access() -> Access {
        Access {
            time: datetime!(2026-11-21 09:30:00.250 UTC),
            method: "GET".to_owned(),
            path: "/v1/collections".to_owned(),
            status: StatusCode::OK,
            elapsed: Duration::from_micros(12_900),
            tenant: None,
            code: None,
        }
    }

    #[test]
    fn a_line_has_the_tenant_and_the_code_if_they_are_known() {
        assert_eq!(access().to_string(), "09:30:00.250Z GET /v1/collections 200 12 ms");
        let denied = Access {
            status: StatusCode::FORBIDDEN,
            tenant: Some("01K0ACME000000000000000000".to_owned()),
            code: Some("insufficient_scope".to_owned()),
            ..access()
        };
        let line = "09:30:00.250Z GET /v1/collections 403 12 ms 01K0ACME000000000000000000 insufficient_scope";
        assert_eq!(denied.to_string(), line);
    }

    #[test]
    fn no_text_controls_the_terminal() {
        let line = Access { code: Some("\u{1b}[2Jx\n".to_owned()), ..access() }.to_string();
        assert!(line.ends_with(r" \u{1b}[2Jx\n"), "{line}");
    }
}

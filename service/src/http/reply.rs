//! Successful responses.

use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Problem, conditional};
use crate::domain::precondition::Precondition;
use crate::domain::record::Version;

/// A response of a function: a status, headers, and a body that may be empty.
#[derive(Debug)]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Reply {
    /// A reply without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// A reply with a text. The caller adds its media type.
    #[must_use]
    pub fn text(status: StatusCode, body: String) -> Self {
        Self { body, ..Self::empty(status) }
    }

    /// A reply with a JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(body).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Self { body, ..Self::empty(status) }.header(CONTENT_TYPE, "application/json"))
    }

    /// The response to a `GET` of a resource in this version, if the precondition holds (RFC 9110, section 13.2.2).
    pub fn if_holds(precondition: &Precondition, version: Version, body: &impl Serialize) -> Result<Self, Problem> {
        let current = Some(version);
        if !precondition.matches(current) {
            Err(Problem::precondition_failed())
        } else if precondition.none_match(current) {
            Ok(Self::json(StatusCode::OK, body)?.etag(version))
        } else {
            Ok(Self::empty(StatusCode::NOT_MODIFIED).etag(version))
        }
    }

    /// Adds the version as the `ETag`.
    #[must_use]
    pub fn etag(self, version: Version) -> Self {
        self.header(ETAG, &conditional::etag(version))
    }

    /// Adds the `Location` of the resource.
    #[must_use]
    pub fn location(self, location: &str) -> Self {
        self.header(LOCATION, location)
    }

    /// Adds a `Link` to the next page (RFC 8288).
    #[must_use]
    pub fn next_page(self, target: &str) -> Self {
        self.header(LINK, &format!("<{target}>; rel=\"next\""))
    }

    /// Sets a header. All values are built from parsed parts, so every value is a valid one.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

//! Successful answers.

use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Problem, conditional};
use crate::domain::record::Version;

/// A status, headers and perhaps a body.
#[derive(Debug)]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// An answer with a text, whose media type is for the caller to add.
    #[must_use]
    pub fn text(status: StatusCode, body: String) -> Self {
        Self { body, ..Self::empty(status) }
    }

    /// An answer with a JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(body).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Self { body, ..Self::empty(status) }.header(CONTENT_TYPE, "application/json"))
    }

    /// Adds the version as the entity tag.
    #[must_use]
    pub fn etag(self, version: Version) -> Self {
        self.header(ETAG, &conditional::etag(version))
    }

    /// Says where the record is.
    #[must_use]
    pub fn location(self, location: &str) -> Self {
        self.header(LOCATION, location)
    }

    /// Links to the next page (RFC 8288).
    #[must_use]
    pub fn next_page(self, target: &str) -> Self {
        self.header(LINK, &format!("<{target}>; rel=\"next\""))
    }

    /// Sets a header. Values are made of parsed parts, so none is refused.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

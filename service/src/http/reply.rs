//! Successful answers.

use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Inbound, Problem, conditional};
use crate::page::{Order, Page, PageRequest};
use crate::record::Version;

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

    /// A page of a list, with a link to the next one (RFC 8288).
    pub fn page<T: Serialize>(request: &Inbound<'_>, page: &PageRequest, found: &Page<T>) -> Result<Self, Problem> {
        let reply = Self::json(StatusCode::OK, found)?;
        let Some(next) = &found.next else { return Ok(reply) };
        let mut target = format!("{}?limit={}&cursor={next}", request.path(), page.limit.get());
        if page.order == Order::Desc {
            target.push_str("&order=desc");
        }
        if page.consistent {
            target.push_str("&consistent=true");
        }
        Ok(reply.header(LINK, &format!("<{target}>; rel=\"next\"")))
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

//! Query strings, read strictly: an operation rejects a parameter that it does not know.

use http::StatusCode;
use lambda_http::RequestExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Problem, Reply};
use crate::domain::page::{Limit, Order, Page, PageRequest};

/// The characters that a link encodes: all but the unreserved ones (RFC 3986, section 2.3). The key of an index may have any.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query parameters of a request. The operation knows each of them, and none is given twice.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query parameters of a request, and rejects all but these.
    pub fn of(request: &lambda_http::Request, allowed: &[&str]) -> Result<Self, Problem> {
        let mut seen: Vec<(String, String)> = Vec::new();
        let given = request.query_string_parameters_ref();
        for (name, value) in given.into_iter().flat_map(|map| map.iter()) {
            let invalid = |what: &str| Err(Problem::invalid_parameter(format!("The query parameter `{name}` {what}.")));
            if !allowed.contains(&name) {
                return invalid("is not supported here");
            }
            if seen.iter().any(|(known, _)| known == name) {
                return invalid("is given more than once");
            }
            seen.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(seen))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`. An absent parameter is `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid_parameter(format!("`{name}` must be `true` or `false`."))),
        }
    }

    /// `consistent`: whether the read must be strongly consistent.
    pub fn consistent(&self) -> Result<bool, Problem> {
        self.flag("consistent")
    }

    /// The reply with a page of a list, which links to the next page.
    pub fn paged<T: Serialize>(&self, path: &str, found: &Page<T>) -> Result<Reply, Problem> {
        Ok(self.link(Reply::json(StatusCode::OK, found)?, path, found.next.as_deref()))
    }

    /// Adds a link to the next page: the same request with the cursor of the next page.
    #[must_use]
    pub fn link(&self, reply: Reply, path: &str, next: Option<&str>) -> Reply {
        let Some(next) = next else { return reply };
        let given =
            self.0.iter().filter(|(name, _)| name != "cursor").map(|(name, value)| (name.as_str(), value.as_str()));
        let target = given.chain([("cursor", next)]).fold(path.to_owned(), |target, (name, value)| {
            let separator = if target.contains('?') { '&' } else { '?' };
            format!("{target}{separator}{name}={}", utf8_percent_encode(value, ENCODED))
        });
        reply.next_page(&target)
    }

    /// The query parameters of every list.
    pub const PAGE: &[&str] = &["limit", "order", "cursor", "consistent"];

    /// Reads [`Query::PAGE`].
    pub fn page(&self) -> Result<PageRequest, Problem> {
        let invalid = |detail: &str| Problem::invalid_parameter(detail);
        let limit = self.get("limit").map_or(Some(Limit::default()), Limit::parse);
        let order = self.get("order").map_or(Ok(Order::default()), str::parse);
        Ok(PageRequest {
            limit: limit.ok_or_else(|| invalid("`limit` must be a whole number from 1 to 100."))?,
            order: order.map_err(|_| invalid("`order` must be `asc` or `desc`."))?,
            cursor: self.get("cursor").map(ToOwned::to_owned),
            consistent: self.consistent()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::http::Code;

    fn query(parameters: &[(&str, &[&str])]) -> Result<Query, Problem> {
        let map: HashMap<String, Vec<String>> = parameters
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
            .collect();
        Query::of(&lambda_http::Request::default().with_query_string_parameters(map), Query::PAGE)
    }

    #[test]
    fn a_page_has_defaults() {
        let page = query(&[]).unwrap().page().unwrap();
        assert_eq!((page.limit.get(), page.order, page.cursor, page.consistent), (25, Order::Asc, None, false));
    }

    #[test]
    fn a_page_as_asked_for() {
        let page = query(&[("limit", &["3"]), ("order", &["desc"]), ("cursor", &["c"]), ("consistent", &["true"])]);
        let page = page.unwrap().page().unwrap();
        assert_eq!(
            (page.limit.get(), page.order, page.cursor.as_deref(), page.consistent),
            (3, Order::Desc, Some("c"), true)
        );
    }

    #[test]
    fn a_link_encodes_the_values() {
        let map = HashMap::from([("customer".to_owned(), vec!["Müller & Sons>".to_owned()])]);
        let request = lambda_http::Request::default().with_query_string_parameters(map);
        let query = Query::of(&request, &["customer"]).unwrap();
        let reply = query.link(Reply::empty(StatusCode::OK), "/invoices", Some("a~b"));
        let link = r#"</invoices?customer=M%C3%BCller%20%26%20Sons%3E&cursor=a~b>; rel="next""#;
        assert_eq!(reply.headers[http::header::LINK], link);
    }

    #[test]
    fn unknown_parameters_are_rejected() {
        for parameters in [&[("limits", &["3"][..])][..], &[("limit", &["3", "3"])], &[("", &["3"])]] {
            assert_eq!(query(parameters).unwrap_err().code(), Code::INVALID_PARAMETER, "{parameters:?}");
        }
        for parameter in [("limit", "0"), ("limit", ""), ("order", "up"), ("consistent", "1"), ("consistent", "")] {
            let query = query(&[(parameter.0, &[parameter.1])]).unwrap();
            assert_eq!(query.page().unwrap_err().code(), Code::INVALID_PARAMETER, "{parameter:?}");
        }
    }
}

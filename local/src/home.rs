//! The page for a browser that opens the address which `local` prints.
//!
//! It is not part of the API: a client that does not accept HTML gets the response of API Gateway.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, Method};

const PAGE: &str = include_str!("home.html");

/// The page and its paths.
#[derive(Debug)]
pub(crate) struct Home {
    paths: [String; 3],
    page: String,
}

impl Home {
    /// Returns the page of a `local` at `base_url` whose API is under `stage`.
    pub(crate) fn new(base_url: &str, stage: &str) -> Self {
        let page = PAGE.replace("{base_url}", base_url).replace("{api}", &format!("{base_url}/{stage}"));
        Self { paths: ["/".to_owned(), format!("/{stage}"), format!("/{stage}/")], page }
    }

    /// Returns the page, if a browser requests it.
    pub(crate) fn page(&self, request: &Request<Body>) -> Option<Response> {
        let path = request.uri().path();
        let wanted = request.method() == Method::GET
            && self.paths.iter().any(|own| own == path)
            && accepts_html(request.headers());
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        ];
        wanted.then(|| (headers, self.page.clone()).into_response())
    }
}

/// Returns whether a client names HTML, as every browser does that opens a page.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(method: Method, path: &str, accept: &str) -> Option<Response> {
        let request = Request::builder().method(method).uri(path).header(ACCEPT, accept).body(Body::empty());
        Home::new("http://127.0.0.1:3000", "v1").page(&request.unwrap())
    }

    #[tokio::test]
    async fn a_browser_gets_a_page_with_all_addresses() {
        for path in ["/", "/v1", "/v1/", "/?from=bookmark"] {
            let page = page(Method::GET, path, "text/html,application/xhtml+xml,*/*;q=0.8").unwrap();
            assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            let html = axum::body::to_bytes(page.into_body(), 100_000).await.unwrap();
            let html = String::from_utf8(html.to_vec()).unwrap();
            for text in ["http://127.0.0.1:3000/v1", "/_local/functions", "cargo run -q -- token acme", "README.md"] {
                assert!(html.contains(text), "{text}");
            }
            assert!(!html.contains("{api}") && !html.contains("{base_url}"));
        }
    }

    #[test]
    fn clients_of_the_api_get_no_page() {
        assert!(page(Method::GET, "/", "*/*").is_none());
        assert!(page(Method::GET, "/v1", "application/json").is_none());
        assert!(page(Method::POST, "/", "text/html").is_none());
        for path in ["/v1/health", "/v2", "/v10", "/index.html"] {
            assert!(page(Method::GET, path, "text/html").is_none(), "{path}");
        }
    }
}

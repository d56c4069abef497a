//! What the proxies have in common: an address of their own, and a way to the backend behind them.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A response that was read to its end.
pub(crate) type Parts = (StatusCode, HeaderMap, Bytes);

/// The backend behind a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
}

impl Upstream {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), client: reqwest::Client::new() }
    }

    /// Sends a request to a path of the backend.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> Parts {
        let request = self.client.request(method, format!("{}{path}", self.url)).headers(headers).body(body);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap())
    }
}

/// Serves a proxy on a free port. Returns its URL and its task.
pub(crate) async fn serve(app: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (endpoint, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

//! The engine that `local` embeds, with the template's table, and a proxy before it that counts.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use local::engine;
use local::template::Table;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::Error;

/// A database at its own address.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) endpoint: String,
    server: AbortHandle,
}

impl Database {
    /// Starts it with the template's tables and their streams, as `local` does, so that a write takes the same wherever it
    /// is measured.
    pub(crate) async fn open(tables: &[Table]) -> Result<Self, Error> {
        let engine = engine::memory()?;
        for table in tables {
            let mut properties = table.properties.clone();
            let kept =
                ["AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "StreamSpecification"];
            properties.as_object_mut().ok_or("a table without properties")?.retain(|name, _| kept.contains(&&**name));
            properties["StreamSpecification"]["StreamEnabled"] = true.into();
            properties["TableName"] = table.name.clone().into();
            engine.create_table(serde_json::from_value(properties)?)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(dynoxide::server::serve_on(listener, engine)).abort_handle();
        Ok(Self { endpoint, server })
    }

    /// Ends it.
    pub(crate) fn close(&self) {
        self.server.abort();
    }
}

/// How many requests there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// For units of a tenant's quota, which also report what the tenant used.
    pub(crate) orders: u32,
    /// All others.
    pub(crate) work: u32,
}

/// A way to the database for those whose requests are counted. It takes time, so nobody is timed on it.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    counter: Counter,
    server: AbortHandle,
}

#[derive(Debug, Clone)]
struct Counter {
    upstream: String,
    client: reqwest::Client,
    requests: Arc<Mutex<Requests>>,
}

impl Proxy {
    /// Starts it before the database at `upstream`.
    pub(crate) async fn open(upstream: &str) -> Result<Self, Error> {
        let counter =
            Counter { upstream: upstream.to_owned(), client: reqwest::Client::new(), requests: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(forward).with_state(counter.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        Ok(Self { endpoint, counter, server })
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Requests {
        self.counter.change(std::mem::take)
    }

    /// Ends it.
    pub(crate) fn close(&self) {
        self.server.abort();
    }
}

impl Counter {
    fn change<T>(&self, change: impl FnOnce(&mut Requests) -> T) -> T {
        change(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn forward(State(counter): State<Counter>, headers: HeaderMap, body: Bytes) -> Response {
    let order = is_order(&body);
    counter.change(|requests| *(if order { &mut requests.orders } else { &mut requests.work }) += 1);
    let answer = async {
        let answer = counter.client.post(&counter.upstream).headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
    };
    answer.await.map_err(|_| StatusCode::BAD_GATEWAY).into_response()
}

/// Whether a request is an update of a month's row (`service::store::quota`).
fn is_order(body: &[u8]) -> bool {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_update = request.get("UpdateExpression").is_some();
    is_update && request["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with("#USAGE"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn orders_are_told_apart_from_work() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", upstream.local_addr().unwrap());
        let echo = Router::new().fallback(|body: Bytes| async { body });
        let server = tokio::spawn(async move { axum::serve(upstream, echo).await });
        let proxy = Proxy::open(&address).await.unwrap();
        let send = async |body: Value| {
            let sending = reqwest::Client::new().post(&proxy.endpoint).body(body.to_string()).send();
            assert_eq!(sending.await.unwrap().text().await.unwrap(), body.to_string());
        };
        let key = json!({"pk": {"S": "T#01K0ACME000000000000000000#USAGE"}, "sk": {"S": "2026-11"}});
        send(json!({"Key": key, "UpdateExpression": "SET #leased = :leased"})).await;
        send(json!({ "Key": key })).await;
        send(json!({"Key": {"pk": {"S": "T#01K0ACME000000000000000000#R#notes"}}, "UpdateExpression": "SET #a = :a"}))
            .await;
        assert_eq!(proxy.take(), Requests { orders: 1, work: 2 });
        assert_eq!(proxy.take(), Requests::default());
        proxy.close();
        server.abort();
        let refused = reqwest::get(&address).await.map(|answer| answer.status());
        assert!(refused.is_err(), "{refused:?}");
    }
}

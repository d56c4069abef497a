//! A proxy before DynamoDB, which counts requests and makes them fail.
//!
//! Updates of rows of usage, which are made now and then, are told apart from all other requests: they have counts and
//! fates of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use service::domain::units::Units;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::proxy::{self, Upstream};

/// The way in which a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is throttled.
    Throttle,
    /// Another write is in the way of a transaction, or a transaction in the way of a write.
    Conflict,
    /// It is a transaction with an item that is throttled, beside one whose condition does not hold.
    ThrottleItem,
    /// It is a transaction that is cancelled for this reason.
    Cancel(&'static str),
    /// It is rejected with this status and code.
    Error(u16, &'static str),
    /// It is a transaction, and is cancelled for an unknown reason, which comes with its second item.
    Reject,
    /// It is done, and the response breaks off in the middle of an item.
    Garble,
    /// It waits until [`DynamoDb::release`], and is done then.
    Hold,
    /// It is done after 25 ms in which no other request of this fate is, as if all of them shared a slow processor.
    InTurn,
    /// It is a transaction and is done, but gets the response to one that another write is in the way of: an attempt of it
    /// arrived late.
    ConflictDone,
    /// It is a batch of reads, and only its first key is read.
    Partly,
    /// It is a batch, and none of its keys is read, or none of its writes made.
    Unprocessed,
    /// It fails, with a 500.
    Fail,
    /// It gets no response.
    Stall,
    /// It is done, but the response is a 500.
    LoseResponse,
    /// As before, and the engine does not recognize a repeated transaction by its `ClientRequestToken`.
    LoseResponseAndToken,
    /// It is done, but gets no response.
    StallDone,
}

/// A request that reached the proxy.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GetItem`, `Query`…
    pub operation: String,
    /// The JSON of the request.
    pub body: Value,
    /// The capacity that the response reports. Nothing if no response got through, or if the request did not ask for it.
    pub units: Units,
    number: u64,
}

/// The proxy. It ends when this is dropped.
#[derive(Debug)]
pub struct DynamoDb {
    /// Its URL.
    pub endpoint: String,
    /// The engine that was started for this proxy.
    engine: Option<Engine>,
    proxy: Proxy,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Script {
    count: u64,
    work: Rules,
    updates: Rules,
}

#[derive(Debug, Default)]
struct Rules {
    seen: Vec<Seen>,
    next: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    /// The operations to which `always` applies. If there are none, it applies to every operation.
    operations: &'static [&'static str],
}

impl Script {
    /// Returns the rules for updates of usage, or those for all other requests.
    fn rules(&mut self, is_update: bool) -> &mut Rules {
        if is_update { &mut self.updates } else { &mut self.work }
    }
}

#[derive(Debug, Clone)]
struct Proxy {
    upstream: Upstream,
    state: Arc<Mutex<Script>>,
    stalled: Arc<Notify>,
    released: Arc<Notify>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl DynamoDb {
    /// Starts a proxy before an engine of its own, without tables.
    pub async fn start() -> Self {
        let engine = Engine::start(&[]).await;
        let mut proxy = Self::before(&engine.endpoint).await;
        proxy.engine = Some(engine);
        proxy
    }

    /// Starts a proxy before the DynamoDB at `upstream`.
    pub async fn before(upstream: &str) -> Self {
        let proxy = Proxy {
            upstream: Upstream::new(upstream),
            state: Arc::default(),
            stalled: Arc::default(),
            released: Arc::default(),
            turn: Arc::default(),
        };
        let (endpoint, server) = proxy::serve(Router::new().fallback(forward).with_state(proxy.clone())).await;
        Self { endpoint, engine: None, proxy, server: Some(server) }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.proxy.state.lock().unwrap()
    }

    /// Returns the requests since the last call of this method, without the updates of usage.
    #[expect(clippy::must_use_candidate, reason = "a test may discard what was requested so far")]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.script().work.seen)
    }

    /// Returns the updates of usage since the last call of this method.
    #[expect(clippy::must_use_candidate, reason = "a test may discard what was requested so far")]
    pub fn take_updates(&self) -> Vec<Seen> {
        std::mem::take(&mut self.script().updates.seen)
    }

    /// Decides the next updates of usage, one after the other; `None` is one that succeeds.
    pub fn next_updates(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.script().updates.next.extend(fates);
    }

    /// Makes every update of usage fail, or none, after those that [`DynamoDb::next_updates`] decides.
    pub fn fail_updates(&self, fault: Option<Fault>) {
        self.script().updates.always = fault;
    }

    /// Decides the next requests, one after the other; `None` is one that succeeds.
    pub fn next(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.script().work.next.extend(fates);
    }

    /// Returns all items of a table, directly from the engine.
    pub async fn scan(&self, table: &str) -> Vec<Value> {
        self.proxy.upstream.scan(table).await
    }

    /// Returns the engine's URL, for requests that the proxy is not to record.
    #[must_use]
    pub fn engine_endpoint(&self) -> &str {
        &self.proxy.upstream.url
    }

    /// Makes the items of a table expire now whose partition key contains this text, directly in the engine.
    pub async fn age(&self, table: &str, part: &str) {
        for mut item in self.scan(table).await {
            if item["pk"]["S"].as_str().unwrap().contains(part) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                item["expiresAt"] = json!({ "N": now.to_string() });
                self.proxy.upstream.call("PutItem", &json!({ "TableName": table, "Item": item })).await;
            }
        }
    }

    /// Waits for a request that stalls.
    pub async fn stalled(&self) {
        self.proxy.stalled.notified().await;
    }

    /// Lets a request continue that is held.
    pub fn release(&self) {
        self.proxy.released.notify_one();
    }

    /// Makes every request fail, or none, after those that [`DynamoDb::next`] decides.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.fail_operations(&[], fault);
    }

    /// Makes every request of these operations fail, except those for rows of collections, and no other request.
    pub fn fail_operations(&self, operations: &'static [&'static str], fault: Option<Fault>) {
        let mut script = self.script();
        let work = &mut script.work;
        (work.always, work.operations) = (fault, operations);
    }

    /// Ends the proxy and its engine: from now on nothing listens at its address.
    pub async fn stop(&mut self) {
        self.engine = None;
        if let Some(server) = self.server.take() {
            server.abort();
            // An aborted task ends with an error.
            assert!(server.await.is_err());
        }
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

impl Upstream {
    /// Returns all items of a table of a DynamoDB.
    pub(crate) async fn scan(&self, table: &str) -> Vec<Value> {
        let page = self.call("Scan", &json!({ "TableName": table })).await;
        page["Items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
    }

    async fn call(&self, operation: &str, request: &Value) -> Value {
        let call = self
            .client
            .post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            // The engine wants a signature, and does not check it.
            .header("authorization", "AWS4-HMAC-SHA256 Credential=t/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20261121T000000Z");
        let response = call.body(request.to_string()).send().await.unwrap().error_for_status().unwrap();
        response.json().await.unwrap()
    }
}

async fn forward(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let is_update = is_update(&operation, &request);
    let (fault, number) = {
        let mut script = proxy.state.lock().unwrap();
        script.count += 1;
        let number = script.count;
        let rules = script.rules(is_update);
        rules.seen.push(Seen { operation: operation.clone(), body: request.clone(), units: Units::default(), number });
        // The row of a collection is written before an execution environment's first write to it. Whether this happens is
        // not known to a test.
        let is_row = request["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with("#COLLECTIONS"));
        let of_all = rules.operations.is_empty() || (!is_row && rules.operations.contains(&operation.as_str()));
        let always = rules.always.filter(|_| of_all);
        (rules.next.pop_front().unwrap_or(always), number)
    };
    let error = |status: StatusCode, code: &str| {
        (status, axum::Json(json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") }))).into_response()
    };
    let failure = || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError");
    match fault {
        Some(Fault::Throttle) => return error(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
        Some(Fault::Conflict) if operation != "TransactWriteItems" => {
            return error(StatusCode::BAD_REQUEST, "TransactionConflictException");
        }
        Some(Fault::Conflict) => return cancelled(&json!([{ "Code": "TransactionConflict" }])),
        Some(Fault::ThrottleItem) if operation == "TransactWriteItems" => {
            return cancelled(&json!([{ "Code": "ConditionalCheckFailed" }, { "Code": "ThrottlingError" }]));
        }
        Some(Fault::Cancel(reason)) => return cancelled(&json!([{ "Code": "None" }, { "Code": reason }])),
        Some(Fault::Unprocessed) => {
            let left = if operation == "BatchWriteItem" { "UnprocessedItems" } else { "UnprocessedKeys" };
            let nothing = json!({ "Responses": {}, (left): request["RequestItems"] });
            return axum::Json(nothing).into_response();
        }
        Some(Fault::Reject) => {
            let item = &request["TransactItems"][1]["Put"]["Item"];
            return cancelled(&json!([{ "Code": "ValidationError", "Message": "Bad.", "Item": item }]));
        }
        Some(Fault::Error(status, code)) => return error(StatusCode::from_u16(status).unwrap(), code),
        Some(Fault::Fail) => return failure(),
        Some(Fault::Hold) => {
            proxy.stalled.notify_one();
            proxy.released.notified().await;
        }
        Some(Fault::InTurn) => {
            let _turn = proxy.turn.lock().await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Some(Fault::Stall) => {
            proxy.stalled.notify_one();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let body = if fault == Some(Fault::LoseResponseAndToken) { with_another_token(&body) } else { body };
    let (body, left) = if fault == Some(Fault::Partly) { first_key(&body) } else { (body, json!({})) };
    let (status, headers, body) = proxy.upstream.send(Method::POST, "", headers, body).await;
    match fault {
        Some(Fault::ConflictDone) => return error(StatusCode::BAD_REQUEST, "TransactionCanceledException"),
        Some(Fault::LoseResponse | Fault::LoseResponseAndToken) => return failure(),
        Some(Fault::Garble) => {
            // Headers about the body are left out: the checksum is that of the whole body.
            let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
            let headers = headers.filter(|(name, _)| is_about_request(name));
            return (headers.collect::<HeaderMap>(), body.slice(..body.len() / 2)).into_response();
        }
        Some(Fault::Partly) => {
            let mut page: Value = serde_json::from_slice(&body).unwrap();
            page["UnprocessedKeys"] = left;
            return axum::Json(page).into_response();
        }
        Some(Fault::StallDone) => {
            proxy.stalled.notify_one();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let mut script = proxy.state.lock().unwrap();
    if let Some(seen) = script.rules(is_update).seen.iter_mut().rfind(|seen| seen.number == number) {
        seen.units = units(&seen.operation, &serde_json::from_slice(&body).unwrap());
    }
    (status, headers, body).into_response()
}

/// Whether a request updates rows of usage, and nothing else.
fn is_update(operation: &str, request: &Value) -> bool {
    let is_usage = |update: &Value| update["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with("#USAGE"));
    match operation {
        "UpdateItem" => is_usage(request),
        "TransactWriteItems" => request["TransactItems"].as_array().unwrap().iter().all(|one| is_usage(&one["Update"])),
        _ => false,
    }
}

/// Whether a header is about the request, and not about the body.
fn is_about_request(name: &HeaderName) -> bool {
    name == "x-amzn-requestid" || name == "content-type"
}

fn cancelled(reasons: &Value) -> Response {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body =
        axum::Json(json!({ "__type": kind, "message": "Transaction cancelled.", "CancellationReasons": reasons }));
    (StatusCode::BAD_REQUEST, [("x-amzn-requestid", "REQUEST")], body).into_response()
}

/// Returns the capacity that a response reports.
fn units(operation: &str, response: &Value) -> Units {
    let consumed = &response["ConsumedCapacity"];
    let mut sum = Units::default();
    for one in consumed.as_array().unwrap_or(&vec![consumed.clone()]) {
        let units = one["CapacityUnits"].as_f64().unwrap_or_default();
        // A repeated transaction is a read.
        let reads = one.get("ReadCapacityUnits").is_some();
        if reads || ["GetItem", "Query", "BatchGetItem", "TransactGetItems"].contains(&operation) {
            sum.read += units;
        } else {
            sum.write += units;
        }
    }
    sum
}

fn with_another_token(body: &Bytes) -> Bytes {
    let mut body: Value = serde_json::from_slice(body).unwrap();
    if let Some(token) = body["ClientRequestToken"].as_str() {
        body["ClientRequestToken"] = token.chars().rev().collect::<String>().into();
    }
    body.to_string().into()
}

/// Splits a batch of reads into one of its first key and one of all others.
fn first_key(body: &Bytes) -> (Bytes, Value) {
    let mut body: Value = serde_json::from_slice(body).unwrap();
    let tables = body["RequestItems"].as_object_mut().unwrap();
    let mut left = tables.clone();
    for (name, table) in tables {
        left[name]["Keys"] = table["Keys"].as_array_mut().unwrap().split_off(1).into();
    }
    left.retain(|_, table| table["Keys"] != json!([]));
    (body.to_string().into(), left.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn updates_of_usage_are_told_apart_from_other_requests() {
        let (upstream, server) = proxy::serve(Router::new().fallback(async |body: Bytes| body)).await;
        let mut proxy = DynamoDb::before(&upstream).await;
        let endpoint = proxy.endpoint.clone();
        let send = async |operation: &str, body: Value| {
            let request =
                reqwest::Client::new().post(&endpoint).header("x-amz-target", format!("DynamoDB.{operation}"));
            assert_eq!(request.body(body.to_string()).send().await.unwrap().text().await.unwrap(), body.to_string());
        };
        let key = json!({"pk": {"S": "T#01K0ACME000000000000000000#USAGE"}, "sk": {"S": "2026-11"}});
        send("UpdateItem", json!({"Key": key, "UpdateExpression": "SET #leased = :leased"})).await;
        send("GetItem", json!({ "Key": key })).await;
        let key = json!({"pk": {"S": "T#01K0ACME000000000000000000#R#notes"}});
        send("UpdateItem", json!({"Key": key, "UpdateExpression": "SET #a = :a"})).await;
        assert_eq!((proxy.take_updates().len(), proxy.take().len()), (1, 2));
        assert_eq!((proxy.take_updates().len(), proxy.take().len()), (0, 0));
        proxy.stop().await;
        let stopped = reqwest::get(&endpoint).await.map(|response| response.status());
        assert!(stopped.is_err(), "{stopped:?}");
        server.abort();
    }
}

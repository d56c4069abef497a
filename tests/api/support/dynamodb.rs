//! A DynamoDB with a proxy before it, which counts requests and makes them fail.
//!
//! Orders for units of a tenant's quota, which come now and then, are told apart from everything else: they have counts and
//! fates of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use service::domain::units::Units;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
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
    /// It is a transaction, and is cancelled for a reason that nobody expects, which comes with its second item.
    Reject,
    /// It is done, and the response breaks off in the middle of an item.
    Garble,
    /// It waits until [`DynamoDb::release`], and is done then.
    Hold,
    /// It is done after 25 ms in which no other request of this fate is, as if all of them shared a slow processor.
    InTurn,
    /// It is a transaction and is done, but answered as if another write was in its way: a try of it came late.
    ConflictDone,
    /// It is a batch of reads, and only its first key is read.
    Partly,
    /// It is a batch, and none of its keys is read, or none of its writes made.
    Unprocessed,
    /// It fails, with a 500.
    Fail,
    /// It is never answered.
    Stall,
    /// It is done, but the answer is a 500.
    LoseAnswer,
    /// As before, and the engine does not know a repeat of a transaction by its `ClientRequestToken`.
    LoseAnswerAndToken,
    /// It is done, but never answered.
    StallDone,
}

/// A request that came through.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GetItem`, `Query`…
    pub(crate) operation: String,
    pub(crate) body: Value,
    /// What the answer said that it took. Nothing where no answer got through, or the request did not ask.
    pub(crate) units: Units,
    number: u64,
}

/// The proxy.
pub(crate) struct DynamoDb {
    pub(crate) endpoint: String,
    upstream: String,
    state: Arc<Mutex<Script>>,
    stalled: Arc<Notify>,
    released: Arc<Notify>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Script {
    count: u64,
    work: Rules,
    orders: Rules,
}

#[derive(Default)]
struct Rules {
    seen: Vec<Seen>,
    next: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    /// The operations that the rule for all is for; empty: every one.
    operations: &'static [&'static str],
}

impl Script {
    /// The rules for a request: for orders, or for everything else.
    fn rules(&mut self, orders: bool) -> &mut Rules {
        if orders { &mut self.orders } else { &mut self.work }
    }
}

#[derive(Clone)]
struct Proxy {
    upstream: String,
    client: reqwest::Client,
    state: Arc<Mutex<Script>>,
    stalled: Arc<Notify>,
    released: Arc<Notify>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl DynamoDb {
    pub(crate) async fn start() -> Self {
        let engine = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", engine.local_addr().unwrap());
        let database = local::engine::memory().unwrap();
        let engine = tokio::spawn(async move { dynoxide::server::serve_on(engine, database).await });

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<Script>>::default();
        let (stalled, released) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let client = reqwest::Client::new();
        let proxy = Proxy {
            upstream: upstream.clone(),
            client,
            state: Arc::clone(&state),
            stalled: Arc::clone(&stalled),
            released: Arc::clone(&released),
            turn: Arc::default(),
        };
        let app = Router::new().fallback(forward).with_state(proxy);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, upstream, state, stalled, released, tasks: vec![engine, server] }
    }

    /// The requests since the last call of this.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().work.seen)
    }

    /// The orders for units since the last call of this.
    pub(crate) fn take_orders(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().orders.seen)
    }

    /// What becomes of the next orders for units, before the rule for all of them.
    pub(crate) fn next_orders(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.state.lock().unwrap().orders.next.extend(fates);
    }

    /// Makes every order for units fail, or none.
    pub(crate) fn fail_orders(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().orders.always = fault;
    }

    /// What becomes of the next requests, one after the other, before the rule for every request.
    pub(crate) fn next(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.state.lock().unwrap().work.next.extend(fates);
    }

    /// All items of a table, past the proxy.
    pub(crate) async fn scan(&self, table: &str) -> Vec<Value> {
        let answer = self.ask("Scan", &json!({ "TableName": table })).await;
        answer["Items"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// The engine, for tests that send more than is to be remembered.
    pub(crate) fn past_the_proxy(&self) -> &str {
        &self.upstream
    }

    /// Makes the items of a table whose partition key has this in it expire now, past the proxy.
    pub(crate) async fn age(&self, table: &str, part: &str) {
        for mut item in self.scan(table).await {
            if item["pk"]["S"].as_str().unwrap().contains(part) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                item["expiresAt"] = json!({ "N": now.to_string() });
                self.ask("PutItem", &json!({ "TableName": table, "Item": item })).await;
            }
        }
    }

    async fn ask(&self, operation: &str, request: &Value) -> Value {
        let call = reqwest::Client::new()
            .post(&self.upstream)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            // The engine wants a signature, and does not check it.
            .header("authorization", "AWS4-HMAC-SHA256 Credential=t/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20261121T000000Z");
        let answer = call.body(request.to_string()).send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    }

    /// Waits for a request that stalls.
    pub(crate) async fn stalled(&self) {
        self.stalled.notified().await;
    }

    /// Lets a request go on that is held.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Makes every request fail, or none.
    pub(crate) fn fail_always(&self, fault: Option<Fault>) {
        self.fail_operations(&[], fault);
    }

    /// Makes every request of these operations fail, but for rows of collections, and no other.
    pub(crate) fn fail_operations(&self, operations: &'static [&'static str], fault: Option<Fault>) {
        let work = &mut self.state.lock().unwrap().work;
        (work.always, work.operations) = (fault, operations);
    }

    /// Ends it: connections are refused from now on.
    pub(crate) async fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            // An aborted task ends with an error.
            assert!(task.await.is_err());
        }
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn forward(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let is_order = is_order(&operation, &request);
    let (fault, number) = {
        let mut script = proxy.state.lock().unwrap();
        script.count += 1;
        let number = script.count;
        let rules = script.rules(is_order);
        let body = request.clone();
        rules.seen.push(Seen { operation: operation.clone(), body: body.clone(), units: Units::default(), number });
        // The row of a collection is written before an environment's first write to it: whether it is cannot be known.
        let is_row = body["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with("#COLLECTIONS"));
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
    let body = if fault == Some(Fault::LoseAnswerAndToken) { with_another_token(&body) } else { body };
    let (body, left) = if fault == Some(Fault::Partly) { first_key(&body) } else { (body, json!({})) };
    let answer = proxy.client.post(proxy.upstream).headers(headers).body(body).send().await.unwrap();
    match fault {
        Some(Fault::ConflictDone) => return error(StatusCode::BAD_REQUEST, "TransactionCanceledException"),
        Some(Fault::LoseAnswer | Fault::LoseAnswerAndToken) => return failure(),
        Some(Fault::Garble) => {
            let (headers, body) = (answer.headers().clone(), answer.bytes().await.unwrap());
            // The checksum is of the whole body.
            let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
            let headers = headers.filter(|(name, _)| is_of_request(name));
            return (headers.collect::<HeaderMap>(), body.slice(..body.len() / 2)).into_response();
        }
        Some(Fault::Partly) => {
            let mut answer: Value = answer.json().await.unwrap();
            answer["UnprocessedKeys"] = left;
            return axum::Json(answer).into_response();
        }
        Some(Fault::StallDone) => {
            proxy.stalled.notify_one();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    if let Some(seen) = proxy.state.lock().unwrap().rules(is_order).seen.iter_mut().rfind(|seen| seen.number == number)
    {
        seen.units = units(&seen.operation, &serde_json::from_slice(&body).unwrap());
    }
    (status, headers, body).into_response()
}

/// Whether a request updates rows of usage, and nothing else.
fn is_order(operation: &str, request: &Value) -> bool {
    let is_usage = |update: &Value| update["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with("#USAGE"));
    match operation {
        "UpdateItem" => is_usage(request),
        "TransactWriteItems" => request["TransactItems"].as_array().unwrap().iter().all(|one| is_usage(&one["Update"])),
        _ => false,
    }
}

/// Whether a header says something of the request, and nothing of the body.
fn is_of_request(name: &HeaderName) -> bool {
    name == "x-amzn-requestid" || name == "content-type"
}

fn cancelled(reasons: &Value) -> Response {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body =
        axum::Json(json!({ "__type": kind, "message": "Transaction cancelled.", "CancellationReasons": reasons }));
    (StatusCode::BAD_REQUEST, [("x-amzn-requestid", "REQUEST")], body).into_response()
}

/// What an answer says of the units that it took.
fn units(operation: &str, answer: &Value) -> Units {
    let consumed = &answer["ConsumedCapacity"];
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

/// A batch of reads with its first key only, and one of the others.
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

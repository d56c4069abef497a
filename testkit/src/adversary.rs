//! A DynamoDB behind a network that a test controls: the test decides the fate of each attempt of a write, and acts
//! meanwhile.
//!
//! Only writes of items that tenants own are affected; reads, updates of usage and rows of collections pass. An attempt that
//! fails gets its response when the test says so, and the service waits while the test acts before that. So an interleaving
//! is the same whenever it is run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::proxy::{self, Upstream};

/// The fate of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does its response.
    Arrive,
    /// It arrives, and its response is lost.
    LoseResponse(Silence),
    /// It does not arrive.
    LoseRequest(Silence),
    /// It arrives later.
    Late(Silence),
    /// It is throttled, so it certainly did nothing.
    Throttle,
    /// Another write is in its way, so it certainly did nothing.
    Conflict,
}

/// The way in which a response is lost, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// A status of 500.
    Error,
    /// The beginning of a response.
    Torn,
    /// Nothing at all, until it no longer waits.
    Timeout,
}

/// An attempt that arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The call of the API that it belongs to.
    pub call: usize,
    /// Whether it changed what is stored.
    pub changed: bool,
    /// The items that are stored after it.
    pub stored: Vec<Value>,
}

/// The proxy that stands for the network. It ends when this is dropped.
#[derive(Debug)]
pub struct Adversary {
    /// Its URL.
    pub endpoint: String,
    network: Network,
    _engine: Engine,
    paused: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Network {
    upstream: Upstream,
    state: Arc<Mutex<Script>>,
    pause: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct Script {
    fates: Option<VecDeque<Fate>>,
    call: usize,
    late: Vec<(usize, HeaderMap, Bytes)>,
    arrivals: Vec<Arrival>,
}

impl Adversary {
    /// Starts it, with an engine of its own that has no tables.
    pub async fn start() -> Self {
        let engine = Engine::start(&[]).await;
        let (pause, paused) = mpsc::unbounded_channel();
        let network = Network { upstream: Upstream::new(&engine.endpoint), state: Arc::default(), pause };
        let (endpoint, server) = proxy::serve(Router::new().fallback(forward).with_state(network.clone())).await;
        Self { endpoint, network, _engine: engine, paused, server }
    }

    /// Decides the fates of the next attempts. Those after them arrive.
    pub fn attack(&self, fates: impl IntoIterator<Item = Fate>) {
        let mut script = self.network.state.lock().unwrap();
        *script = Script { fates: Some(fates.into_iter().collect()), ..Script::default() };
    }

    /// Sets the call of the API to which the next attempts belong.
    pub fn begin_call(&self, call: usize) {
        self.network.state.lock().unwrap().call = call;
    }

    /// Lets everything pass unrecorded, until [`Adversary::resume`] gets the fates that this returns.
    #[must_use]
    pub fn cease(&self) -> Option<VecDeque<Fate>> {
        self.network.state.lock().unwrap().fates.take()
    }

    /// Continues where it ceased.
    pub fn resume(&self, fates: Option<VecDeque<Fate>>) {
        self.network.state.lock().unwrap().fates = fates;
    }

    /// Waits for an attempt that fails. The service waits until the sender is used or dropped.
    pub async fn paused(&mut self) -> oneshot::Sender<()> {
        self.paused.recv().await.unwrap()
    }

    /// Lets all attempts arrive that are late.
    pub async fn deliver_late(&self) {
        let late = std::mem::take(&mut self.network.state.lock().unwrap().late);
        for (call, headers, body) in late {
            drop(self.network.deliver(call, headers, body).await);
        }
    }

    /// Returns the attempts that arrived since the attack began.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.network.state.lock().unwrap().arrivals.clone()
    }
}

impl Drop for Adversary {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Network {
    /// Returns the stored items that tenants own, sorted by primary key.
    async fn stored(&self) -> Vec<Value> {
        let mut items = self.upstream.scan("Table").await;
        let own = ["#R#", "#KEYS#", "#TOKENS", "TOKEN#"];
        items.retain(|item| own.iter().any(|part| item["pk"]["S"].as_str().unwrap().contains(part)));
        items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
        items
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> Response {
        self.upstream.send(Method::POST, "", headers, body).await.into_response()
    }

    /// Forwards an attempt, and records what it did.
    async fn deliver(&self, call: usize, headers: HeaderMap, body: Bytes) -> Response {
        let before = self.stored().await;
        let response = self.send(headers, body).await;
        let stored = self.stored().await;
        let arrival = Arrival { call, changed: before != stored, stored };
        self.state.lock().unwrap().arrivals.push(arrival);
        response
    }

    /// Holds the service until the test has acted.
    async fn meanwhile(&self) {
        let (resume, resumed) = oneshot::channel();
        self.pause.send(resume).unwrap();
        // The test may have ended.
        let _ended = resumed.await;
    }
}

async fn forward(State(network): State<Network>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap_or_default().to_owned();
    let (fate, call) = {
        let mut script = network.state.lock().unwrap();
        let fate = match script.fates.as_mut() {
            Some(fates) if is_touched(&operation, &body) => Some(fates.pop_front().unwrap_or(Fate::Arrive)),
            _ => None,
        };
        (fate, script.call)
    };
    match fate {
        None => network.send(headers, body).await,
        Some(Fate::Arrive) => network.deliver(call, headers, body).await,
        Some(Fate::LoseResponse(silence)) => {
            drop(network.deliver(call, headers, body).await);
            network.meanwhile().await;
            lost(silence).await
        }
        Some(Fate::LoseRequest(silence)) => {
            network.meanwhile().await;
            lost(silence).await
        }
        Some(Fate::Late(silence)) => {
            network.state.lock().unwrap().late.push((call, headers, body));
            network.meanwhile().await;
            lost(silence).await
        }
        Some(Fate::Throttle) => {
            network.meanwhile().await;
            error(StatusCode::BAD_REQUEST, "ThrottlingException", &Value::Null)
        }
        Some(Fate::Conflict) => {
            network.meanwhile().await;
            if operation == "TransactWriteItems" {
                let reasons = json!([{ "Code": "TransactionConflict" }]);
                error(StatusCode::BAD_REQUEST, "TransactionCanceledException", &reasons)
            } else {
                error(StatusCode::BAD_REQUEST, "TransactionConflictException", &Value::Null)
            }
        }
    }
}

fn is_touched(operation: &str, body: &Bytes) -> bool {
    let untouched = |part: &str| body.windows(part.len()).any(|window| window == part.as_bytes());
    ["DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"].contains(&operation)
        && !["#USAGE\"", "#COLLECTIONS\""].iter().any(|part| untouched(part))
}

async fn lost(silence: Silence) -> Response {
    match silence {
        Silence::Error => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", &Value::Null),
        Silence::Torn => {
            let parts = [Ok("{\"Attributes\":{"), Err(std::io::Error::other("the connection broke"))];
            Body::from_stream(stream::iter(parts)).into_response()
        }
        Silence::Timeout => std::future::pending().await,
    }
}

fn error(status: StatusCode, code: &str, reasons: &Value) -> Response {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    (status, axum::Json(json!({ "__type": kind, "CancellationReasons": reasons }))).into_response()
}

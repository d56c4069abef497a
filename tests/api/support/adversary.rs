//! A DynamoDB behind a network that a test controls: what becomes of each attempt of a write, and what happens meanwhile.
//!
//! Only writes of what tenants own are touched; reads, units of the quota and rows of collections pass. An attempt that
//! fails is answered when the test says so, and everything that a test does before is done while the service waits. So an
//! interleaving is the same whenever it is run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::dynamodb::DynamoDb;

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives, and so does its response.
    Arrive,
    /// It arrives, and its response is lost.
    LoseResponse(Silence),
    /// It does not arrive.
    LoseRequest(Silence),
    /// It arrives later.
    Late(Silence),
    /// It is throttled: it certainly did nothing.
    Throttle,
    /// Another write is in its way: it certainly did nothing.
    Conflict,
}

/// What the service gets in the place of a response that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// A status of 500.
    Error,
    /// The beginning of a response.
    Torn,
    /// Nothing at all, until it no longer waits.
    Timeout,
}

/// An attempt that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The call of the API that it belongs to.
    pub(crate) call: usize,
    /// Whether it changed what is stored.
    pub(crate) changed: bool,
    /// What is stored after it.
    pub(crate) stored: Vec<Value>,
}

/// The proxy that is the network.
pub(crate) struct Adversary {
    pub(crate) endpoint: String,
    network: Network,
    paused: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Network {
    database: Arc<DynamoDb>,
    client: reqwest::Client,
    state: Arc<Mutex<Script>>,
    pause: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Script {
    fates: Option<VecDeque<Fate>>,
    call: usize,
    late: Vec<(usize, HeaderMap, Bytes)>,
    arrivals: Vec<Arrival>,
}

impl Adversary {
    pub(crate) async fn start() -> Self {
        let database = DynamoDb::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (pause, paused) = mpsc::unbounded_channel();
        let state = Arc::default();
        let network = Network { database: Arc::new(database), client: reqwest::Client::new(), state, pause };
        let app = Router::new().fallback(forward).with_state(network.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, network, paused, server }
    }

    /// The fates of the next attempts; those after them arrive.
    pub(crate) fn attack(&self, fates: impl IntoIterator<Item = Fate>) {
        let mut script = self.network.state.lock().unwrap();
        *script = Script { fates: Some(fates.into_iter().collect()), ..Script::default() };
    }

    /// Says which call of the API the next attempts belong to.
    pub(crate) fn begin_call(&self, call: usize) {
        self.network.state.lock().unwrap().call = call;
    }

    /// Lets everything pass, and watches nothing, until it is undone with what this returns.
    pub(crate) fn cease(&self) -> Option<VecDeque<Fate>> {
        self.network.state.lock().unwrap().fates.take()
    }

    /// Goes on where it ceased.
    pub(crate) fn resume(&self, fates: Option<VecDeque<Fate>>) {
        self.network.state.lock().unwrap().fates = fates;
    }

    /// Waits for an attempt that fails. The service waits until the sender is used.
    pub(crate) async fn paused(&mut self) -> oneshot::Sender<()> {
        self.paused.recv().await.unwrap()
    }

    /// Lets everything arrive that is late.
    pub(crate) async fn deliver_late(&self) {
        let late = std::mem::take(&mut self.network.state.lock().unwrap().late);
        for (call, headers, body) in late {
            drop(self.network.deliver(call, headers, body).await);
        }
    }

    /// The attempts that arrived since the attack began.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.network.state.lock().unwrap().arrivals.clone()
    }
}

impl Drop for Adversary {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Network {
    /// What is stored of tenants' own, in a certain order.
    async fn stored(&self) -> Vec<Value> {
        let mut items = self.database.scan("Table").await;
        let own = ["#R#", "#KEYS#", "#TOKENS", "TOKEN#"];
        items.retain(|item| own.iter().any(|part| item["pk"]["S"].as_str().unwrap().contains(part)));
        items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
        items
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> Response {
        let upstream = self.database.past_the_proxy();
        let response = self.client.post(upstream).headers(headers).body(body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap()).into_response()
    }

    /// Sends an attempt on, and notes what it did.
    async fn deliver(&self, call: usize, headers: HeaderMap, body: Bytes) -> Response {
        let before = self.stored().await;
        let response = self.send(headers, body).await;
        let stored = self.stored().await;
        let arrival = Arrival { call, changed: before != stored, stored };
        self.state.lock().unwrap().arrivals.push(arrival);
        response
    }

    /// Holds the service until the test has done what it wants to do meanwhile.
    async fn meanwhile(&self) {
        let (resume, resumed) = oneshot::channel();
        self.pause.send(resume).unwrap();
        // The test may be over.
        let _over = resumed.await;
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

//! A proxy before API Gateway's management calls, which records them and makes them fail.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::proxy::{self, Upstream};

/// A management call that the functions make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "AWS documents its operations, by the same names")]
pub enum Operation {
    CreateApiKey,
    GetApiKey,
    GetApiKeys,
    UpdateApiKey,
    DeleteApiKey,
    GetUsagePlan,
    GetUsagePlans,
    CreateUsagePlanKey,
    GetUsagePlanKey,
    GetUsagePlanKeys,
    DeleteUsagePlanKey,
}

impl Operation {
    fn of(method: &Method, path: &str) -> Self {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        match (method.as_str(), &segments[..]) {
            ("POST", ["apikeys"]) => Self::CreateApiKey,
            ("GET", ["apikeys"]) => Self::GetApiKeys,
            ("GET", ["apikeys", _]) => Self::GetApiKey,
            ("PATCH", ["apikeys", _]) => Self::UpdateApiKey,
            ("DELETE", ["apikeys", _]) => Self::DeleteApiKey,
            ("GET", ["usageplans"]) => Self::GetUsagePlans,
            ("GET", ["usageplans", _]) => Self::GetUsagePlan,
            ("POST", ["usageplans", _, "keys"]) => Self::CreateUsagePlanKey,
            ("GET", ["usageplans", _, "keys"]) => Self::GetUsagePlanKeys,
            ("GET", ["usageplans", _, "keys", _]) => Self::GetUsagePlanKey,
            ("DELETE", ["usageplans", _, "keys", _]) => Self::DeleteUsagePlanKey,
            _ => panic!("{method} {path} is not a call that the functions make"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The way in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is throttled, with a 429.
    Throttle,
    /// It is not done, and the response is a 500.
    Fail,
    /// It is done, but the response is a 500.
    LoseResponse,
    /// It is not done, and gets no response.
    Stall,
    /// It is done, but gets no response.
    StallDone,
    /// It is not done, and the response is this error.
    Error(ErrorKind),
}

/// An error that API Gateway documents for its calls, or for those of every service. `TooManyRequestsException` is
/// [`Fault::Throttle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "AWS documents its errors, by the same names")]
pub enum ErrorKind {
    AccessDenied,
    BadRequest,
    Conflict,
    LimitExceeded,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::AccessDenied,
        Self::BadRequest,
        Self::Conflict,
        Self::LimitExceeded,
        Self::NotFound,
        Self::ServiceUnavailable,
        Self::Unauthorized,
    ];

    fn response(self) -> Response {
        let (status, name) = match self {
            Self::AccessDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "BadRequestException"),
            Self::Conflict => (StatusCode::CONFLICT, "ConflictException"),
            Self::LimitExceeded => (StatusCode::TOO_MANY_REQUESTS, "LimitExceededException"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NotFoundException"),
            Self::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UnauthorizedException"),
        };
        error(status, name)
    }
}

/// A call that got a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The operation that was called.
    pub operation: Operation,
    /// The status of the response.
    pub status: u16,
}

/// The proxy. It ends when this is dropped.
#[derive(Debug)]
pub struct ApiGateway {
    /// Its URL.
    pub endpoint: String,
    proxy: Proxy,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Proxy {
    upstream: Upstream,
    script: Arc<Mutex<Script>>,
    stalled: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Option<Fault>>,
    always: HashMap<Operation, Fault>,
    calls: Vec<Call>,
}

impl ApiGateway {
    /// Starts a proxy before the calls at `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let proxy = Proxy { upstream: Upstream::new(upstream), script: Arc::default(), stalled: Arc::default() };
        let (endpoint, server) = proxy::serve(Router::new().fallback(forward).with_state(proxy.clone())).await;
        Self { endpoint, proxy, server }
    }

    /// Decides the next calls, one after the other; `None` is a call that succeeds.
    pub fn fail_next(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.proxy.script.lock().unwrap().next.extend(fates);
    }

    /// Makes every call of an operation fail, or none, after those that [`ApiGateway::fail_next`] decides.
    pub fn fail_always(&self, operation: Operation, fault: Option<Fault>) {
        let always = &mut self.proxy.script.lock().unwrap().always;
        match fault {
            Some(fault) => always.insert(operation, fault),
            None => always.remove(&operation),
        };
    }

    /// Waits until a call stalls. Returns at once if one has stalled since the last call of this method.
    pub async fn stalled(&self) {
        self.proxy.stalled.notified().await;
    }

    /// Returns the calls that got a response, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.proxy.script.lock().unwrap().calls.clone()
    }
}

impl Drop for ApiGateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(State(proxy): State<Proxy>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let operation = Operation::of(&method, uri.path());
    let fate = {
        let mut script = proxy.script.lock().unwrap();
        script.next.pop_front().unwrap_or_else(|| script.always.get(&operation).copied())
    };
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let send = || proxy.upstream.send(method, path, headers, body);
    let failure = || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure");
    let response = match fate {
        None => send().await.into_response(),
        Some(Fault::Throttle) => error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        Some(Fault::Error(kind)) => kind.response(),
        Some(Fault::Fail) => failure(),
        Some(Fault::LoseResponse) => {
            let response = send().await;
            if response.0.is_success() { failure() } else { response.into_response() }
        }
        Some(Fault::Stall) => proxy.stall().await,
        Some(Fault::StallDone) => {
            send().await;
            proxy.stall().await
        }
    };
    proxy.script.lock().unwrap().calls.push(Call { operation, status: response.status().as_u16() });
    response
}

impl Proxy {
    /// Never returns: the connection ends with its caller, or with the proxy.
    async fn stall(&self) -> Response {
        self.stalled.notify_one();
        std::future::pending().await
    }
}

/// Returns an error as API Gateway's SDKs read it: the type in a header, the message in the body.
/// <https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html>
fn error(status: StatusCode, name: &'static str) -> Response {
    let body = axum::Json(json!({ "message": "The call fails because a test wants it to" }));
    let mut response = (status, [("x-amzn-errortype", name)], body).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert("retry-after", "1".parse().unwrap());
    }
    response
}

#[cfg(test)]
mod tests;

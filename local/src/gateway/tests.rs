//! The whole gateway, with closures as its functions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use serde_json::{Value, json};

use super::{ApiKeys, Gateway, GatewayError};
use crate::runtime::{Invoke, InvokeError};
use crate::template::{Api, Authorizer, Cors, GatewayResponse, Plan, Route, Template};

type Invoked = Result<Value, InvokeError>;
type Stub = dyn Fn(&str, Value) -> Invoked + Send + Sync;

/// Functions whose results come from a closure, and whose invocations are counted.
#[derive(Clone)]
pub(super) struct StubFunctions {
    stub: Arc<Stub>,
    invocations: Arc<AtomicUsize>,
}

impl StubFunctions {
    pub(super) fn new(stub: impl Fn(&str, Value) -> Invoked + Send + Sync + 'static) -> Self {
        Self { stub: Arc::new(stub), invocations: Arc::default() }
    }

    pub(super) fn invocations(&self) -> usize {
        self.invocations.load(Ordering::SeqCst)
    }
}

impl Invoke for StubFunctions {
    async fn invoke(&self, function: &str, event: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        self.invocations.fetch_add(1, Ordering::SeqCst);
        (self.stub)(function, serde_json::from_slice(&event).unwrap()).map(|result| result.to_string().into_bytes())
    }
}

pub(super) fn function_error(message: &str) -> InvokeError {
    InvokeError::Function { error_type: "Error".to_owned(), message: message.to_owned() }
}

fn route(method: &str, path: &str, guarded: bool) -> Route {
    let (method, path, function) = (method.to_owned(), path.to_owned(), "echo".to_owned());
    Route { method, path, function, authorized: guarded, api_key_required: guarded }
}

fn template() -> Template {
    let status = |status| GatewayResponse { status: Some(status), ..GatewayResponse::default() };
    let reason = GatewayResponse {
        body: Some(r#"{"reason":"$context.authorizer.reason","id":"$context.requestId"}"#.to_owned()),
        ..GatewayResponse::default()
    };
    Template {
        functions: Vec::new(),
        api: Api {
            stage: "v1".to_owned(),
            routes: vec![
                route("GET", "/open", false),
                route("POST", "/open", false),
                route("GET", "/things/{id}", true),
                route("DELETE", "/things/{id}", true),
            ],
            authorizer: Some(Authorizer {
                function: "authorizer".to_owned(),
                header: "Authorization".to_owned(),
                validation_expression: Some("Bearer [a-z]+".to_owned()),
                ttl: Duration::from_mins(5),
            }),
            gateway_responses: BTreeMap::from([
                ("MISSING_AUTHENTICATION_TOKEN".to_owned(), status(404)),
                ("ACCESS_DENIED".to_owned(), reason),
            ]),
            cors: Some(Cors {
                allow_origin: None,
                allow_methods: Some("GET,POST".to_owned()),
                allow_headers: Some("Authorization".to_owned()),
                max_age: Some("7200".to_owned()),
            }),
            binary_media_types: vec!["application/octet-stream".to_owned()],
            minimum_compression_size: Some(0),
        },
        tables: Vec::new(),
        plans: vec![Plan { name: "free".to_owned(), rate: 1.0, burst: 2, ..Plan::default() }],
    }
}

/// An authorizer that allows `GET` on everything and denies `DELETE` to all but `admin`, and a function that echoes.
fn functions() -> StubFunctions {
    StubFunctions::new(|function, event| match function {
        "authorizer" => {
            let effect = if event["authorizationToken"] == "Bearer admin" { "Allow" } else { "Deny" };
            let statement = |effect, method| {
                let resource = format!("arn:aws:execute-api:us-east-1:000000000000:local/v1/{method}/*");
                json!({ "Effect": effect, "Action": "execute-api:Invoke", "Resource": resource })
            };
            Ok(json!({
                "principalId": "p",
                "policyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [statement("Allow", "GET"), statement(effect, "DELETE")],
                },
                "context": { "reason": "no_delete", "number": 7 },
                "usageIdentifierKey": event["authorizationToken"].as_str().unwrap().trim_start_matches("Bearer "),
            }))
        }
        "echo" => Ok(json!({ "statusCode": 200, "body": event.to_string() })),
        other => Err(InvokeError::Unknown(other.to_owned())),
    })
}

fn gateway(functions: StubFunctions) -> Gateway<StubFunctions> {
    let keys = ApiKeys::default();
    keys.put("user", "free");
    keys.put("admin", "free");
    Gateway::new(&template(), functions, keys).unwrap()
}

async fn send(gateway: &Gateway<StubFunctions>, method: &str, path: &str, token: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:3000");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    gateway.handle(request.body(Body::empty()).unwrap(), ([127, 0, 0, 1], 9).into()).await
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_open_route_gets_the_proxy_event() {
    let gateway = gateway(functions());
    let request = Request::post("/v1/open?a=1&a=2&b=%20")
        .header("host", "localhost:3000")
        .header("x-two", "1")
        .header("x-two", "2")
        .header("connection", "close")
        .header("user-agent", "test")
        .body(Body::from("{}"))
        .unwrap();
    let response = gateway.handle(request, ([10, 0, 0, 1], 9).into()).await;
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    assert!(response.headers().contains_key("x-amz-apigw-id"));
    let event = json(response).await;
    assert_eq!(event["resource"], "/open");
    assert_eq!(event["path"], "/open");
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(event["headers"]["x-two"], "2");
    assert_eq!(event["multiValueHeaders"]["x-two"], json!(["1", "2"]));
    assert_eq!(event["headers"]["connection"], Value::Null);
    assert_eq!(event["queryStringParameters"], json!({ "a": "2", "b": " " }));
    assert_eq!(event["multiValueQueryStringParameters"], json!({ "a": ["1", "2"], "b": [" "] }));
    assert_eq!(event["pathParameters"], Value::Null);
    assert_eq!(event["stageVariables"], Value::Null);
    assert_eq!(event["body"], "{}");
    assert_eq!(event["isBase64Encoded"], false);
    let context = &event["requestContext"];
    assert_eq!(context["requestId"], json!(id));
    assert_eq!(context["path"], "/v1/open");
    assert_eq!(context["stage"], "v1");
    assert_eq!(context["protocol"], "HTTP/1.1");
    assert_eq!(context["accountId"], "000000000000");
    assert_eq!(context["identity"]["sourceIp"], "10.0.0.1");
    assert_eq!(context["identity"]["userAgent"], "test");
    assert_eq!(context.get("authorizer"), None);
}

#[tokio::test]
async fn binary_bodies_are_base64() {
    let gateway = gateway(functions());
    let request = Request::post("/v1/open").header("content-type", "application/octet-stream");
    let response = gateway.handle(request.body(Body::from(vec![0, 255])).unwrap(), ([127, 0, 0, 1], 9).into()).await;
    let event = json(response).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AP8="), &json!(true)));
}

#[tokio::test]
async fn a_protected_route_passes_the_context_as_strings() {
    let functions = functions();
    let gateway = gateway(functions.clone());
    assert_eq!(send(&gateway, "GET", "/v1/things/a", None).await.status(), 401);
    assert_eq!(send(&gateway, "GET", "/v1/things/a", Some("A1")).await.status(), 401);
    assert_eq!(functions.invocations(), 0);

    let event = json(send(&gateway, "GET", "/v1/things/a%2Fb", Some("user")).await).await;
    assert_eq!(event["pathParameters"], json!({ "id": "a%2Fb" }));
    let expected = json!({ "principalId": "p", "integrationLatency": 0, "reason": "no_delete", "number": "7" });
    assert_eq!(event["requestContext"]["authorizer"], expected);
    assert_eq!(event["requestContext"]["identity"]["apiKey"], "user");
}

#[tokio::test]
async fn the_cached_policy_is_applied_to_each_route() {
    let functions = functions();
    let gateway = gateway(functions.clone());
    assert_eq!(send(&gateway, "GET", "/v1/things/a", Some("user")).await.status(), 200);
    let response = send(&gateway, "DELETE", "/v1/things/a", Some("user")).await;
    assert_eq!(response.status(), 403);
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    assert_eq!(json(response).await, json!({ "reason": "no_delete", "id": id }));
    assert_eq!(functions.invocations(), 2, "the authorizer once, the function once");
    assert_eq!(send(&gateway, "DELETE", "/v1/things/a", Some("admin")).await.status(), 200);
}

#[tokio::test]
async fn api_keys_are_checked_and_metered() {
    let gateway = gateway(functions());
    assert_eq!(send(&gateway, "GET", "/v1/things/a", Some("stranger")).await.status(), 403);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(send(&gateway, "GET", "/v1/things/a", Some("user")).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(send(&gateway, "GET", "/v1/things/a", Some("admin")).await.status(), 200);
}

#[tokio::test]
async fn a_request_that_is_not_routed_gets_the_response_of_the_template() {
    let functions = functions();
    let gateway = gateway(functions.clone());
    for (method, path) in [("GET", "/v1/nothing"), ("PUT", "/v1/open"), ("GET", "/v2/open"), ("GET", "/")] {
        let response = send(&gateway, method, path, None).await;
        assert_eq!(response.status(), 404, "{method} {path}");
        assert_eq!(json(response).await, json!({ "message": "Missing Authentication Token" }));
    }
    assert_eq!(functions.invocations(), 0);
}

#[tokio::test]
async fn preflight_is_open() {
    let gateway = gateway(functions());
    let response = send(&gateway, "OPTIONS", "/v1/things/a", None).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-methods"], "GET,POST");
    assert_eq!(response.headers()["access-control-max-age"], "7200");
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    assert!(response.headers().contains_key("x-amzn-requestid"));
    assert_eq!(send(&gateway, "OPTIONS", "/v1/nothing", None).await.status(), 404);
}

#[tokio::test]
async fn a_method_arn_over_1600_bytes_is_414_where_there_is_an_authorizer() {
    let gateway = gateway(functions());
    let id = "a".repeat(1600);
    assert_eq!(send(&gateway, "GET", &format!("/v1/things/{id}"), Some("user")).await.status(), 414);
    assert_eq!(send(&gateway, "GET", &format!("/v1/open?{id}"), None).await.status(), 200);
}

#[tokio::test]
async fn a_failing_function_is_a_bad_gateway_and_a_slow_one_times_out() {
    for (status, result) in [
        (504, (|| Err(InvokeError::Timeout)) as fn() -> Invoked),
        (502, || Err(InvokeError::Crashed("exit 1".to_owned()))),
        (502, || Err(function_error("Unauthorized"))),
        (502, || Ok(json!({ "malformed": true }))),
    ] {
        let gateway = gateway(StubFunctions::new(move |_, _| result()));
        assert_eq!(send(&gateway, "GET", "/v1/open", None).await.status(), status);
    }
}

#[tokio::test]
async fn a_function_has_29_seconds_whatever_its_own_timeout_is() {
    #[derive(Clone)]
    struct Never;
    impl Invoke for Never {
        async fn invoke(&self, _: &str, _: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
            std::future::pending().await
        }
    }
    let mut gateway = Gateway::new(&template(), Never, ApiKeys::default()).unwrap();
    assert_eq!(gateway.integration_timeout, Duration::from_secs(29));
    gateway.integration_timeout = Duration::ZERO;
    let request = Request::get("/v1/open").body(Body::empty()).unwrap();
    assert_eq!(gateway.handle(request, ([127, 0, 0, 1], 9).into()).await.status(), 504);
}

#[test]
fn a_template_that_cannot_be_served_is_rejected() {
    let new = |change: fn(&mut Template)| {
        let mut template = template();
        change(&mut template);
        Gateway::new(&template, functions(), ApiKeys::default()).map(drop)
    };
    assert!(matches!(new(|template| template.api.authorizer = None), Err(GatewayError::NoAuthorizer { .. })));
    let broken = |template: &mut Template| {
        template.api.authorizer.as_mut().unwrap().validation_expression = Some("(".to_owned());
    };
    assert!(matches!(new(broken), Err(GatewayError::ValidationExpression(_))));
}

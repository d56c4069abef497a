//! The function of `tests/probe/kinds.rs`, invoked with the events of an API Gateway.

use std::path::Path;

use local::binaries::Binaries;
use local::runtime::Invoke as _;
use local::{Local, Options};
use serde_json::{Value, json};

/// The tenant of most calls.
pub(super) const ACME: &str = "01K0ACME000000000000000000";

/// The function, running beside a table of its own.
pub(super) struct Function(pub(super) Local);

/// A request of the function.
#[derive(Debug, Clone)]
pub(super) struct Request {
    tenant: String,
    scopes: String,
    method: &'static str,
    resource: &'static str,
    id: Option<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

/// The response of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u64,
    pub(super) headers: Value,
    pub(super) body: String,
}

impl Function {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With changes to the options.
    pub(super) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/kinds.yaml");
        let binaries = Path::new(env!("CARGO_BIN_EXE_probe-kinds")).parent().unwrap().to_owned();
        let mut options =
            Options { binaries: Binaries::Directory(binaries), quiet: true, seed: false, ..Options::new(template) };
        change(&mut options);
        Self(Local::start(options).await.unwrap())
    }

    /// Sends a request. `None` if the function died meanwhile.
    pub(super) async fn try_send(&self, request: &Request) -> Option<Response> {
        let response = self.0.functions().invoke("probe-kinds", request.event().to_string().into_bytes()).await.ok()?;
        let response: Value = serde_json::from_slice(&response).unwrap();
        Some(Response {
            status: response["statusCode"].as_u64().unwrap(),
            headers: response["multiValueHeaders"].clone(),
            body: response["body"].as_str().unwrap_or_default().to_owned(),
        })
    }

    pub(super) async fn send(&self, request: &Request) -> Response {
        self.try_send(request).await.unwrap()
    }

    /// Reads all pages of a list, and returns its items and the number of pages.
    pub(super) async fn list(&self, request: &Request) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let page = request.clone();
            let page = cursor.iter().fold(page, |page, cursor| page.query("cursor", cursor));
            let page = self.send(&page).await.expect(200);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            assert!(page.get("unreadable").is_none(), "{page}");
            pages += 1;
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return (items, pages),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a number or a text at the call")]
impl Request {
    pub(super) fn new(method: &'static str, resource: &'static str) -> Self {
        Self {
            tenant: ACME.to_owned(),
            scopes: "probe:read probe:write".to_owned(),
            method,
            resource,
            id: None,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(super) fn id(self, id: impl ToString) -> Self {
        Self { id: Some(id.to_string()), ..self }
    }

    pub(super) fn tenant(self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self }
    }

    pub(super) fn scopes(self, scopes: &str) -> Self {
        Self { scopes: scopes.to_owned(), ..self }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.retain(|(other, _)| *other != name);
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }.header("Content-Type", "application/json")
    }

    /// Returns the event, as API Gateway makes it.
    fn event(&self) -> Value {
        let path = self.resource.replace("{id}", self.id.as_deref().unwrap_or_default());
        let single =
            |pairs: &[(&str, String)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<Value>();
        let multi =
            |pairs: &[(&str, String)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), json!([v]))).collect::<Value>();
        json!({
            "resource": self.resource,
            "path": path,
            "httpMethod": self.method,
            "headers": single(&self.headers),
            "multiValueHeaders": multi(&self.headers),
            "queryStringParameters": single(&self.query),
            "multiValueQueryStringParameters": multi(&self.query),
            "pathParameters": self.id.as_ref().map(|id| json!({ "id": id })),
            "stageVariables": null,
            "requestContext": {
                "resourcePath": self.resource,
                "path": format!("/probe{path}"),
                "httpMethod": self.method,
                "requestId": "0d1c6a1e-4f3e-4a52-9f0a-6f1f2b9d7c11",
                "stage": "probe",
                "identity": {},
                "authorizer": { "tenant": self.tenant, "plan": "free", "scopes": self.scopes },
            },
            "body": self.body.as_ref().map(ToString::to_string),
            "isBase64Encoded": false,
        })
    }
}

impl Response {
    /// Returns the body as JSON, after a check of the status.
    pub(super) fn expect(&self, status: u64) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { serde_json::from_str(&self.body).unwrap() }
    }

    /// Checks the status and the code of a problem.
    pub(super) fn expect_problem(&self, status: u64, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// Returns the first line of a header, or an empty text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name][0].as_str().unwrap_or_default()
    }
}

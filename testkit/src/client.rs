//! Requests as a tenant makes them.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::{Api, Response, contract};

/// A client with a token, or without one.
pub struct Caller<'a> {
    api: &'a Api,
    /// The token.
    pub token: Option<String>,
}

/// A request in the making.
#[must_use]
pub struct Call {
    method: Method,
    path: String,
    request: RequestBuilder,
    /// The media type and the text of the body.
    body: Option<(String, Vec<u8>)>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(api: &'a Api, token: Option<String>) -> Self {
        Self { api, token }
    }

    /// A request of a path below the stage.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.api.client.request(method.clone(), format!("{}{path}", self.api.local.url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Call { method, path: path.to_owned(), request, body: None }
    }

    /// Requests a path as a response contains it, with the stage.
    pub async fn follow(&self, location: &str) -> Response {
        self.get(location.strip_prefix("/v1").unwrap_or_else(|| panic!("{location} is not below the stage"))).await
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str) -> Response {
        self.call("GET", path).send().await
    }

    /// Sends a `DELETE`.
    pub async fn delete(&self, path: &str) -> Response {
        self.call("DELETE", path).send().await
    }

    /// Sends a `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.call("POST", path).json(body).send().await
    }

    /// Sends a `PUT` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.call("PUT", path).json(body).send().await
    }

    /// Sends a `PATCH` with a merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Response {
        self.call("PATCH", path).json(body).header("content-type", "application/merge-patch+json").send().await
    }
}

impl Call {
    /// Sets a header, over one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert(reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        self.request = self.request.headers(headers);
        self
    }

    /// Adds a header, in a line of its own.
    pub fn line(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets a body.
    pub fn body(mut self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        let body = body.into();
        self.body = body.as_bytes().map(|bytes| (media_type.to_owned(), bytes.to_vec()));
        self.request = self.request.body(body);
        self.header("content-type", media_type)
    }

    /// A body of JSON in a content coding. It is not held to the contract, which is about what is in it.
    pub fn encoded(self, coding: &str, body: Vec<u8>) -> Self {
        Self { body: None, ..self.body("application/json", body).header("content-encoding", coding) }
    }

    /// Sends it, as a client that is prepared for a broken connection.
    pub async fn try_send(self) -> Result<Response, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Response { status, headers, text: response.text().await? })
    }

    /// Sends it, and holds the response to the contract, and the request if it was accepted.
    pub async fn send(self) -> Response {
        let (method, path, body) = (self.method.clone(), self.path.clone(), self.body.clone());
        let response = self.try_send().await.unwrap();
        contract::check(method.as_str(), &path, &response);
        if let (200..300, Some((media_type, body))) = (response.status, body) {
            contract::check_request(method.as_str(), &path, &media_type, &body);
        }
        response
    }
}

//! A response, read to its end and held to the contract.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response with its body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

#[expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a test may call a method for its assertion only"
)]
impl Response {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The status, and the code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Panics unless the response has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Panics unless the response is a problem with this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.problem(), (status, code.to_owned()), "{self:?}");
        self
    }

    /// The parts that must not differ between a resource of another tenant and one that does not exist: all but the ids of the
    /// request.
    pub fn anonymous(&self) -> (u16, Vec<(String, String)>, Value) {
        let own = ["x-amzn-requestid", "x-amz-apigw-id", "date", "x-amzn-trace-id", "ratelimit"];
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let mut body = self.json();
        body["requestId"] = Value::Null;
        (self.status, headers.filter(|(name, _)| !own.contains(&name.as_str())).collect(), body)
    }
}

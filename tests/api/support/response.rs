//! A response, read to its end and held to the contract.

use reqwest::header::HeaderMap;
use serde_json::Value;

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The status, and the code of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.problem(), (status, code.to_owned()), "{self:?}");
        self
    }

    /// The parts that must not differ between a resource of another tenant and one that does not exist: all but the ids of the
    /// request.
    pub(crate) fn anonymous(&self) -> (u16, Vec<(String, String)>, Value) {
        let own = ["x-amzn-requestid", "x-amz-apigw-id", "date", "x-amzn-trace-id", "ratelimit"];
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let mut body = self.json();
        body["requestId"] = Value::Null;
        (self.status, headers.filter(|(name, _)| !own.contains(&name.as_str())).collect(), body)
    }
}

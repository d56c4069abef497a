//! The plans that tenants may be on.

use std::collections::BTreeMap;

/// API Gateway's usage plans by the names of plans, as the variable `PLANS` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, String>);

impl Plans {
    /// Reads a JSON object of names and usage plan ids.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    /// The usage plan's id.
    #[must_use]
    pub fn id(&self, plan: &str) -> Option<&str> {
        self.0.get(plan).map(String::as_str)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

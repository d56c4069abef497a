//! The plans that a tenant can be on.

use std::collections::BTreeMap;

/// The plans by name, each with its backstop: the number of requests a month after which API Gateway rejects further ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, u64>);

/// The environment variable `BACKSTOPS` is invalid.
#[derive(Debug, thiserror::Error)]
#[error("BACKSTOPS is not a JSON object with a number of requests for each plan: {0}")]
pub struct InvalidPlans(#[from] serde_json::Error);

impl Plans {
    /// Reads the value of the environment variable `BACKSTOPS`, such as `{"free":100000}`.
    pub fn parse(json: &str) -> Result<Self, InvalidPlans> {
        Ok(Self(serde_json::from_str(json)?))
    }

    /// Whether a plan of that name exists.
    #[must_use]
    pub fn contains(&self, plan: &str) -> bool {
        self.0.contains_key(plan)
    }

    /// The backstop of a plan, in requests a month, or 0 if the plan does not exist.
    #[must_use]
    pub fn backstop(&self, plan: &str) -> u64 {
        self.0.get(plan).copied().unwrap_or_default()
    }

    /// The names of the plans, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_listed_with_their_backstops() {
        let plans = Plans::parse(r#"{"pro":100,"free":10}"#).unwrap();
        assert_eq!(plans.names().collect::<Vec<_>>(), ["free", "pro"]);
        assert_eq!((plans.backstop("pro"), plans.backstop("gold")), (100, 0));
        for text in ["", "free,pro", "[]", r#"{"free":-1}"#, r#"{"free":"10"}"#, r#"{"free":null}"#] {
            assert!(Plans::parse(text).is_err(), "{text}");
        }
    }
}

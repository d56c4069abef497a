//! The plans that tenants may be on.

use std::collections::BTreeMap;

/// The plans by name, each with its backstop: the requests of a month after which API Gateway refuses any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, u64>);

/// The variable `BACKSTOPS` does not list plans.
#[derive(Debug, thiserror::Error)]
#[error("BACKSTOPS is not a JSON object with a number of requests for each plan: {0}")]
pub struct InvalidPlans(#[from] serde_json::Error);

impl Plans {
    /// Reads what the variable `BACKSTOPS` says, as `{"free":100000}`.
    pub fn parse(json: &str) -> Result<Self, InvalidPlans> {
        Ok(Self(serde_json::from_str(json)?))
    }

    /// Whether there is a plan of that name.
    #[must_use]
    pub fn contains(&self, plan: &str) -> bool {
        self.0.contains_key(plan)
    }

    /// The most requests a month that a tenant on this plan can be allowed.
    #[must_use]
    pub fn backstop(&self, plan: &str) -> u64 {
        self.0.get(plan).copied().unwrap_or_default()
    }

    /// The names, in order.
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

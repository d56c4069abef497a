//! The plans that tenants may be on.

use std::collections::BTreeSet;

/// The names of plans, as the variable `PLANS` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeSet<String>);

impl Plans {
    /// Reads names with commas between them.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect())
    }

    /// Whether there is a plan of that name.
    #[must_use]
    pub fn contains(&self, plan: &str) -> bool {
        self.0.contains(plan)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

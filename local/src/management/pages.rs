//! The paging of lists. A position is the id of the last item of the page before.

use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// The number of items on a page without a limit.
/// <https://docs.aws.amazon.com/apigateway/latest/api/API_GetApiKeys.html>
const DEFAULT_LIMIT: usize = 25;
/// The maximum number of items on a page.
const MAX_LIMIT: usize = 500;

/// The query parameters of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    limit: Option<usize>,
    position: Option<String>,
    /// The beginning of the names. AWS's pages do not state how it is compared. As a prefix, it finds the exact name, and
    /// callers that look for that still have to compare.
    name: Option<String>,
    /// The id of an API key whose usage plans are listed.
    pub(super) key_id: Option<String>,
    /// Whether API keys are listed with their values.
    #[serde(default)]
    pub(super) include_values: bool,
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    item: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl<T> Page<T> {
    /// Converts the items of the page.
    pub(super) fn map<U>(self, other: impl FnMut(T) -> U) -> Page<U> {
        Page { item: self.item.into_iter().map(other).collect(), position: self.position }
    }
}

impl Query {
    /// Returns whether an item with this name is in the list.
    pub(super) fn matches(&self, name: Option<&str>) -> bool {
        self.name.as_deref().is_none_or(|wanted| name.is_some_and(|name| name.starts_with(wanted)))
    }

    /// Returns the requested page of `items`, which are sorted by id.
    pub(super) fn page<T>(&self, items: impl Iterator<Item = T>, id: impl Fn(&T) -> &str) -> Result<Page<T>, ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::BadRequest(format!("limit should be 1 to {MAX_LIMIT}")));
        }
        let mut items = items.filter(|item| self.position.as_deref().is_none_or(|position| id(item) > position));
        let item: Vec<T> = items.by_ref().take(limit).collect();
        let position = items.next().and_then(|_| item.last()).map(|last| id(last).to_owned());
        Ok(Page { item, position })
    }
}

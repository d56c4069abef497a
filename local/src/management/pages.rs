//! Lists by page. A position is the id that the last page ended with.

use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_GetApiKeys.html>
const DEFAULT_LIMIT: usize = 25;
const MOST: usize = 500;

/// What a list may be asked with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    limit: Option<usize>,
    position: Option<String>,
    /// The beginning of names. AWS's pages do not say how it compares; as a prefix it is neither too strict for callers
    /// that look for the exact name nor does it spare them the comparison.
    name: Option<String>,
    /// The id of a key, for the plans that it is in.
    pub(super) key_id: Option<String>,
    /// Whether keys come with their values.
    #[serde(default)]
    pub(super) include_values: bool,
}

/// One page.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    item: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl<T> Page<T> {
    /// The same page of something else.
    pub(super) fn map<U>(self, other: impl FnMut(T) -> U) -> Page<U> {
        Page { item: self.item.into_iter().map(other).collect(), position: self.position }
    }
}

impl Query {
    /// Whether something of this name is asked for.
    pub(super) fn wants(&self, name: Option<&str>) -> bool {
        self.name.as_deref().is_none_or(|wanted| name.is_some_and(|name| name.starts_with(wanted)))
    }

    /// The page of `items`, which come by id.
    pub(super) fn page<T>(&self, items: impl Iterator<Item = T>, id: impl Fn(&T) -> &str) -> Result<Page<T>, ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(ApiError::BadRequest(format!("limit should be 1 to {MOST}")));
        }
        let mut items = items.filter(|item| self.position.as_deref().is_none_or(|position| id(item) > position));
        let item: Vec<T> = items.by_ref().take(limit).collect();
        let position = items.next().and_then(|_| item.last()).map(|last| id(last).to_owned());
        Ok(Page { item, position })
    }
}

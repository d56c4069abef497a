//! The rows by which the items of a tenant are found: one for each collection, and one for each kind. A row is written before
//! the first item that it leads to.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::expression::Condition;
use super::item::{attribute, number};
use super::keys::Key;
use super::table::{Failure, ItemWrite};
use super::{CommitError, Store};
use crate::domain::time::Timestamp;

/// A cache of the rows that are known to exist. A row is not deleted before its tenant is offboarded, so an entry never
/// expires, and only the first write of an execution environment that needs a row makes a request for it.
#[derive(Debug, Default)]
pub(super) struct KnownRows(Mutex<HashSet<Key>>);

/// The most entries, which take about 1 MB. A full cache is emptied.
const MAX_KNOWN: usize = 10_000;

impl KnownRows {
    fn contains(&self, row: &Key) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(row)
    }

    fn insert(&self, row: Key) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(row);
    }
}

impl Store {
    /// Makes sure that a row exists.
    pub(super) async fn row_ensure(&self, row: Key, now: Timestamp) -> Result<(), CommitError> {
        if self.known_rows.contains(&row) {
            return Ok(());
        }
        let update = format!("SET #{0} = if_not_exists(#{0}, :now)", attribute::CREATED_AT);
        let value = Condition::default().value(":now", number(now.as_millis()));
        // The update leaves a row that exists as it is, so it may be repeated.
        let write = ItemWrite::update(row.clone(), update, value).repeatable();
        self.table.write(write).await.map_err(|failure| match failure {
            Failure::Conflict(_) => CommitError::Conflict,
            failure => failure.into_fault().into(),
        })?;
        self.known_rows.insert(row);
        Ok(())
    }
}

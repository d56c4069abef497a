//! What is read from the table, kept between events: a minute while the table answers, an hour while it does not.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use service::domain::tenant::STALE;
use service::store::Fault;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

/// How long a row is taken as it was read.
const FRESH: Duration = Duration::from_mins(1);
/// How long what is not there stays unknown: it may be made any moment.
const UNKNOWN_FRESH: Duration = Duration::from_secs(5);
/// How long the table is left alone after a failure, where there is a row to go on with.
const RETRY: Duration = Duration::from_secs(5);
/// Beyond it rows are dropped: a few megabytes at the most.
const MOST_KEPT: usize = 10_000;

/// Rows of one kind.
#[derive(Debug)]
pub(crate) struct Rows<K, V>(Mutex<HashMap<K, Row<V>>>);

#[derive(Debug, Clone)]
struct Row<V> {
    value: Option<V>,
    read_at: Instant,
    /// Until when the table is not asked again.
    good_until: Instant,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Rows<K, V> {
    /// The row, or `None` if there is none. `read` asks the table.
    pub(crate) async fn get(
        &self,
        key: &K,
        read: impl Future<Output = Result<Option<V>, Fault>>,
    ) -> Result<Option<V>, Fault> {
        let mut rows = self.0.lock().await;
        let now = Instant::now();
        let kept = rows.get(key);
        if let Some(row) = kept.filter(|row| now < row.good_until) {
            return Ok(row.value.clone());
        }
        let row = match read.await {
            Ok(value) => {
                let fresh = if value.is_some() { FRESH } else { UNKNOWN_FRESH };
                Row { value, read_at: now, good_until: now + fresh }
            }
            Err(fault) => match kept.filter(|row| row.value.is_some() && now < row.read_at + STALE) {
                Some(row) => {
                    warn!(%fault, "the table cannot be read: an outdated cached item is used");
                    Row { good_until: Instant::now() + RETRY, ..row.clone() }
                }
                None => return Err(fault),
            },
        };
        if rows.len() >= MOST_KEPT && !rows.contains_key(key) {
            // First those who are not there: whoever makes up keys does not push out those who are.
            rows.retain(|_, row| row.value.is_some());
            if rows.len() >= MOST_KEPT {
                rows.clear();
            }
        }
        let value = row.value.clone();
        rows.insert(key.clone(), row);
        Ok(value)
    }

    /// Whether there was a row when the table was asked the last time.
    pub(crate) async fn has(&self, key: &K) -> bool {
        self.0.lock().await.get(key).is_some_and(|row| row.value.is_some())
    }

    /// Changes a row that is kept, until it is read again. `None` if none is.
    pub(crate) async fn change<R>(&self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.0.lock().await.get_mut(key)?.value.as_mut().map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn made_up_keys_do_not_push_out_what_is_known() {
        let rows = Rows::<usize, &str>::default();
        rows.get(&0, async { Ok(Some("known")) }).await.unwrap();
        for key in 1..=MOST_KEPT {
            rows.get(&key, async { Ok(None) }).await.unwrap();
        }
        assert!(rows.0.lock().await.len() < MOST_KEPT);
        let kept = rows.get(&0, async { panic!("it is kept") }).await.unwrap();
        assert_eq!(kept, Some("known"));
    }
}

//! A cache of items of the table. An item is valid for a minute, or for an hour while the table cannot be read.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use service::domain::tenant::STALE;
use service::store::Fault;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

/// How long a cached item is used without reading the table.
const FRESH: Duration = Duration::from_mins(1);
/// How long a missing item is cached as missing. This is short, because it may be created at any moment.
const MISSING_FRESH: Duration = Duration::from_secs(5);
/// How long an outdated item is used after a failed read before the table is read again.
const RETRY: Duration = Duration::from_secs(5);
/// The most entries of a cache, which bounds it to a few megabytes.
const MAX_ENTRIES: usize = 10_000;

/// The cached items of one kind, and the keys that have none.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Mutex<HashMap<K, Entry<V>>>);

#[derive(Debug, Clone)]
struct Entry<V> {
    value: Option<V>,
    read_at: Instant,
    /// The time from which the table is read again.
    fresh_until: Instant,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// Returns the item, or `None` if there is none. `read` reads it from the table.
    pub(crate) async fn get(
        &self,
        key: &K,
        read: impl Future<Output = Result<Option<V>, Fault>>,
    ) -> Result<Option<V>, Fault> {
        let mut entries = self.0.lock().await;
        let now = Instant::now();
        let cached = entries.get(key);
        if let Some(entry) = cached.filter(|entry| now < entry.fresh_until) {
            return Ok(entry.value.clone());
        }
        let entry = match read.await {
            Ok(value) => {
                let fresh = if value.is_some() { FRESH } else { MISSING_FRESH };
                Entry { value, read_at: now, fresh_until: now + fresh }
            }
            Err(fault) => match cached.filter(|entry| entry.value.is_some() && now < entry.read_at + STALE) {
                Some(entry) => {
                    warn!(%fault, "the table cannot be read: an outdated cached item is used");
                    Entry { fresh_until: Instant::now() + RETRY, ..entry.clone() }
                }
                None => return Err(fault),
            },
        };
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(key) {
            // Missing items are dropped first, so that made-up keys do not evict existing items.
            entries.retain(|_, entry| entry.value.is_some());
            if entries.len() >= MAX_ENTRIES {
                entries.clear();
            }
        }
        let value = entry.value.clone();
        entries.insert(key.clone(), entry);
        Ok(value)
    }

    /// Whether the item existed when it was last read.
    pub(crate) async fn has(&self, key: &K) -> bool {
        self.0.lock().await.get(key).is_some_and(|entry| entry.value.is_some())
    }

    /// Changes a cached item until it is read again. Returns `None` if the item is not cached.
    pub(crate) async fn change<R>(&self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.0.lock().await.get_mut(key)?.value.as_mut().map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn made_up_keys_do_not_evict_existing_items() {
        let cache = Cache::<usize, &str>::default();
        cache.get(&0, async { Ok(Some("known")) }).await.unwrap();
        for key in 1..=MAX_ENTRIES {
            cache.get(&key, async { Ok(None) }).await.unwrap();
        }
        assert!(cache.0.lock().await.len() < MAX_ENTRIES);
        let cached = cache.get(&0, async { panic!("it is cached") }).await.unwrap();
        assert_eq!(cached, Some("known"));
    }
}

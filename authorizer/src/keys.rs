//! The issuers' JWKS (RFC 7517): cached, and fetched again when a token names a key that is not in the cache.

mod fetch;
mod jwks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use futures_util::future::join_all;
use service::domain::issuer::{Issuer, Issuers, PlainHttp};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use fetch::{FetchError, fetch};

pub(crate) use jwks::Key;

/// The shortest time between two fetches of an issuer's JWKS, whatever key ids tokens name.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// The same as long as no fetch has succeeded, so that a failure at the start is over soon.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How long a JWKS is used without fetching it again. A key that the issuer withdraws is rejected after this time.
/// While the issuer does not respond, its cached keys remain valid.
const FRESH: Duration = Duration::from_hours(1);
/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most cached JWKS of single tenants' issuers. Beyond it, the cache is cleared.
const MAX_SETS: usize = 1000;

/// An error from the lookup of a JWKS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer does not respond, so it is not known whether it has such a key.
    Unavailable,
}

/// The JWKS of the stack's issuers, and of the single tenants' issuers whose tokens were used.
#[derive(Debug)]
pub(crate) struct Keys {
    issuers: Vec<(Issuer, KeySet)>,
    /// The JWKS of single tenants' issuers, by their source: if an issuer's JWKS URI changes, its JWKS is fetched
    /// again.
    of_tenants: Mutex<HashMap<String, Arc<KeySet>>>,
    connector: SharedHttpConnector,
    plain_http: PlainHttp,
}

/// An issuer's keys, with their source.
#[derive(Debug)]
enum KeySet {
    /// The keys are part of the issuer's settings, and never fetched.
    Pinned(HashMap<String, Key>),
    /// The issuer publishes its keys.
    Fetched { uri: String, state: Mutex<State> },
}

impl KeySet {
    fn of(issuer: &Issuer) -> Self {
        match &issuer.jwks {
            Some(jwks) => Self::Pinned(jwks::usable(jwks, &issuer.issuer).unwrap_or_default()),
            None => Self::Fetched { uri: issuer.jwks_uri(), state: Mutex::default() },
        }
    }
}

#[derive(Debug, Default)]
struct State {
    keys: HashMap<String, Key>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

impl State {
    fn is_fresh(&self, now: Instant) -> bool {
        self.fetched_at.is_some_and(|at| now < at + FRESH)
    }

    fn may_try(&self, now: Instant) -> bool {
        let interval = if self.fetched_at.is_some() { REFRESH_INTERVAL } else { FIRST_INTERVAL };
        self.tried_at.is_none_or(|at| now >= at + interval)
    }

    /// The reason why a key is missing. It is certain that the issuer does not have it only if the last fetch
    /// succeeded.
    fn key_error(&self) -> KeyError {
        let is_certain = self.fetched_at.is_some() && self.fetched_at == self.tried_at;
        if is_certain { KeyError::Unknown } else { KeyError::Unavailable }
    }
}

impl Keys {
    pub(crate) fn new(issuers: Issuers, connector: SharedHttpConnector, plain_http: PlainHttp) -> Self {
        let with_set = |issuer| {
            let set = KeySet::of(&issuer);
            (issuer, set)
        };
        let issuers = issuers.into_vec().into_iter().map(with_set).collect();
        Self { issuers, of_tenants: Mutex::default(), connector, plain_http }
    }

    /// Returns the stack's issuer with this `iss`.
    pub(crate) fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer).find(|issuer| issuer.issuer == iss)
    }

    /// Fetches the JWKS of all issuers of the stack at the same time. Lambda ends an init phase after ten seconds, and
    /// the slowest issuer must not delay the others' tokens for longer than [`TIMEOUT`].
    pub(crate) async fn fetch_all(&self) {
        let sets = self.issuers.iter().map(|(_, set)| async move {
            if let KeySet::Fetched { uri, state } = set {
                self.refresh(uri, &mut *state.lock().await).await;
            }
        });
        join_all(sets).await;
    }

    /// Returns a key of an issuer, which may be the stack's or a single tenant's.
    pub(crate) async fn key(&self, issuer: &Issuer, kid: &str) -> Result<Key, KeyError> {
        match self.issuers.iter().find(|(own, _)| own.issuer == issuer.issuer) {
            Some((_, set)) => self.key_of(set, kid).await,
            None => self.key_of(&*self.set_of_tenant(issuer).await, kid).await,
        }
    }

    async fn set_of_tenant(&self, issuer: &Issuer) -> Arc<KeySet> {
        let mut sets = self.of_tenants.lock().await;
        // A pinned JWKS starts with a brace, so it cannot be confused with a URI.
        let source = issuer.jwks.as_ref().map_or_else(|| issuer.jwks_uri(), ToString::to_string);
        if sets.len() >= MAX_SETS && !sets.contains_key(&source) {
            sets.clear();
        }
        Arc::clone(sets.entry(source).or_insert_with(|| Arc::new(KeySet::of(issuer))))
    }

    async fn key_of(&self, set: &KeySet, kid: &str) -> Result<Key, KeyError> {
        let (uri, state) = match set {
            KeySet::Pinned(keys) => return keys.get(kid).cloned().ok_or(KeyError::Unknown),
            KeySet::Fetched { uri, state } => (uri, state),
        };
        let mut state = state.lock().await;
        let now = Instant::now();
        if (!state.is_fresh(now) || !state.keys.contains_key(kid)) && state.may_try(now) {
            self.refresh(uri, &mut state).await;
        }
        state.keys.get(kid).cloned().ok_or_else(|| state.key_error())
    }

    async fn refresh(&self, uri: &str, state: &mut State) {
        let result = timeout(TIMEOUT, self.fetch(uri)).await.unwrap_or(Err(FetchError::Timeout));
        state.tried_at = Some(Instant::now());
        match result {
            Ok(keys) => {
                state.keys = keys;
                state.fetched_at = state.tried_at;
            }
            Err(error) => warn!(uri, %error, "the JWKS cannot be fetched: the cached keys stay in use"),
        }
    }

    async fn fetch(&self, uri: &str) -> Result<HashMap<String, Key>, FetchError> {
        let set = fetch(&self.connector, uri, self.plain_http).await?;
        let set = serde_json::from_slice(&set).map_err(|_| FetchError::NotJwks)?;
        jwks::usable(&set, uri).ok_or(FetchError::NotJwks)
    }
}

#[cfg(test)]
mod tests;

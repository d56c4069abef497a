//! Issuers' public keys (JWKS, RFC 7517): fetched once, kept, and fetched again when a token names one that is not known.

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

/// How often an issuer is asked for keys at most, whatever key ids tokens name.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// The same while its keys have never been fetched, so that a failure at the start is over soon.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How long keys are trusted without asking again: a key that the issuer withdraws is gone after that. While the issuer
/// does not answer, the keys stay.
const FRESH: Duration = Duration::from_hours(1);
/// How long an issuer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many key sets of tenants' issuers are kept; beyond it they are fetched anew.
const MOST_SETS: usize = 1000;

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// The issuer does not answer, so it is not known whether it has such a key.
    Unavailable,
}

/// The keys of the stack's issuers, and of those of tenants that tokens came from.
#[derive(Debug)]
pub(crate) struct Keys {
    issuers: Vec<(Issuer, KeySet)>,
    /// The key sets of tenants' issuers, by where the keys come from: an issuer that moves them is asked anew.
    of_tenants: Mutex<HashMap<String, Arc<KeySet>>>,
    connector: SharedHttpConnector,
    plain_http: PlainHttp,
}

/// Where an issuer's keys come from, and those that are known.
#[derive(Debug)]
enum KeySet {
    /// The issuer's entry, once and for all.
    Pinned(HashMap<String, Key>),
    /// The issuer itself.
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

    /// Why a key is not among the keys. Only an issuer that answered the last time is known not to have it.
    fn without(&self) -> NoKey {
        if self.fetched_at.is_some() && self.fetched_at == self.tried_at { NoKey::Unknown } else { NoKey::Unavailable }
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

    /// The stack's issuer with that `iss`.
    pub(crate) fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer).find(|issuer| issuer.issuer == iss)
    }

    /// Fetches the keys of every issuer of the stack, all at once: Lambda ends an init phase after ten seconds, and the
    /// slowest issuer must not hold up the others' tokens for longer than [`PATIENCE`].
    pub(crate) async fn fetch_all(&self) {
        let sets = self.issuers.iter().map(|(_, set)| async move {
            if let KeySet::Fetched { uri, state } = set {
                self.refresh(uri, &mut *state.lock().await).await;
            }
        });
        join_all(sets).await;
    }

    /// A key of an issuer, which is one of the stack's or a tenant's.
    pub(crate) async fn key(&self, issuer: &Issuer, kid: &str) -> Result<Key, NoKey> {
        match self.issuers.iter().find(|(own, _)| own.issuer == issuer.issuer) {
            Some((_, set)) => self.key_of(set, kid).await,
            None => self.key_of(&*self.set_of_tenant(issuer).await, kid).await,
        }
    }

    async fn set_of_tenant(&self, issuer: &Issuer) -> Arc<KeySet> {
        let mut sets = self.of_tenants.lock().await;
        // No URI looks like a JWKS, which starts with a brace.
        let source = issuer.jwks.as_ref().map_or_else(|| issuer.jwks_uri(), ToString::to_string);
        if sets.len() >= MOST_SETS && !sets.contains_key(&source) {
            sets.clear();
        }
        Arc::clone(sets.entry(source).or_insert_with(|| Arc::new(KeySet::of(issuer))))
    }

    async fn key_of(&self, set: &KeySet, kid: &str) -> Result<Key, NoKey> {
        let (uri, state) = match set {
            KeySet::Pinned(keys) => return keys.get(kid).cloned().ok_or(NoKey::Unknown),
            KeySet::Fetched { uri, state } => (uri, state),
        };
        let mut state = state.lock().await;
        let now = Instant::now();
        if (!state.is_fresh(now) || !state.keys.contains_key(kid)) && state.may_try(now) {
            self.refresh(uri, &mut state).await;
        }
        state.keys.get(kid).cloned().ok_or_else(|| state.without())
    }

    async fn refresh(&self, uri: &str, state: &mut State) {
        let result = timeout(PATIENCE, self.fetch(uri)).await.unwrap_or(Err(FetchError::Timeout));
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

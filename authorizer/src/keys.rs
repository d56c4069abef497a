//! Issuers' public keys (JWKS, RFC 7517): fetched once, kept, and fetched again when a token names one that is not known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use service::issuer::{Issuer, Issuers};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How often an issuer is asked for keys at most, whatever key ids tokens name.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// The same while there are none at all, so that a failure at the start is over soon.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How long keys are trusted without asking again: a key that the issuer withdraws is gone after that. While the issuer
/// does not answer, the keys stay.
const FRESH: Duration = Duration::from_hours(1);
/// How long an issuer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of a key set.
const MAX_BYTES: usize = 256 * 1024;
/// How many key sets of tenants' issuers are kept; beyond it they are fetched anew.
const MOST_SETS: usize = 1000;

/// A key, and the one algorithm that it is for.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// The issuer's keys have never been fetched.
    Unavailable,
}

/// The keys of the stack's issuers, and of those of tenants that tokens came from.
#[derive(Debug)]
pub(crate) struct Keys {
    issuers: Vec<(Issuer, KeySet)>,
    /// Of tenants' issuers, by where the keys are: an issuer that moves them is asked anew.
    of_tenants: Mutex<HashMap<String, Arc<KeySet>>>,
    connector: Option<SharedHttpConnector>,
}

#[derive(Debug)]
struct KeySet {
    uri: String,
    state: Mutex<State>,
}

impl KeySet {
    fn of(issuer: &Issuer) -> Self {
        Self { uri: issuer.jwks_uri(), state: Mutex::default() }
    }
}

#[derive(Default)]
struct State {
    keys: HashMap<String, Key>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.keys()).finish()
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("there is no HTTPS client")]
    NoClient,
    #[error("the address is not valid: {0}")]
    Address(String),
    #[error("no answer: {0}")]
    Transport(String),
    #[error("no answer in time")]
    Timeout,
    #[error("the answer's status is {0}")]
    Status(u16),
    #[error("the answer breaks off or has more than {MAX_BYTES} bytes: {0}")]
    Body(String),
    #[error("the answer is no key set with a usable key")]
    NoKeys,
}

impl Keys {
    pub(crate) fn new(issuers: Issuers, connector: Option<SharedHttpConnector>) -> Self {
        let with_set = |issuer| {
            let set = KeySet::of(&issuer);
            (issuer, set)
        };
        let issuers = issuers.into_vec().into_iter().map(with_set).collect();
        Self { issuers, of_tenants: Mutex::default(), connector }
    }

    /// The stack's issuer with that `iss`.
    pub(crate) fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer).find(|issuer| issuer.issuer == iss)
    }

    /// Fetches the keys of every issuer of the stack, one after the other: there are few, and one is the rule.
    pub(crate) async fn fetch_all(&self) {
        for (_, set) in &self.issuers {
            self.refresh(set, &mut *set.state.lock().await).await;
        }
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
        let uri = issuer.jwks_uri();
        if sets.len() >= MOST_SETS && !sets.contains_key(&uri) {
            sets.clear();
        }
        Arc::clone(sets.entry(uri).or_insert_with(|| Arc::new(KeySet::of(issuer))))
    }

    async fn key_of(&self, set: &KeySet, kid: &str) -> Result<Key, NoKey> {
        let mut state = set.state.lock().await;
        let now = Instant::now();
        let fresh = state.fetched_at.is_some_and(|at| now < at + FRESH);
        if !fresh || !state.keys.contains_key(kid) {
            let interval = if state.fetched_at.is_some() { REFRESH_INTERVAL } else { FIRST_INTERVAL };
            if state.tried_at.is_none_or(|at| now >= at + interval) {
                self.refresh(set, &mut state).await;
            }
        }
        match state.keys.get(kid) {
            Some(key) => Ok(key.clone()),
            None if state.fetched_at.is_some() => Err(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        }
    }

    async fn refresh(&self, set: &KeySet, state: &mut State) {
        let result = timeout(PATIENCE, self.fetch(&set.uri)).await.unwrap_or(Err(FetchError::Timeout));
        state.tried_at = Some(Instant::now());
        match result {
            Ok(keys) => {
                state.keys = keys;
                state.fetched_at = state.tried_at;
            }
            Err(error) => warn!(uri = set.uri, %error, "keys not fetched; those known stay"),
        }
    }

    async fn fetch(&self, uri: &str) -> Result<HashMap<String, Key>, FetchError> {
        let connector = self.connector.as_ref().ok_or(FetchError::NoClient)?;
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(uri).map_err(|error| FetchError::Address(error.to_string()))?;
        request.headers_mut().insert("accept", "application/jwk-set+json, application/json");
        let response = connector.call(request).await.map_err(|error| FetchError::Transport(error.to_string()))?;
        if response.status().as_u16() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| FetchError::Body(error.to_string()))?;
        parse(&body.to_bytes()).ok_or(FetchError::NoKeys)
    }
}

/// The usable keys of a set, by id. Others are left out, as RFC 7517, section 5, wants it.
fn parse(body: &[u8]) -> Option<HashMap<String, Key>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(body).ok()?;
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: HashMap<String, Key> = jwks.filter_map(|jwk| Some((jwk.common.key_id.clone()?, usable(&jwk)?))).collect();
    (!keys.is_empty()).then_some(keys)
}

/// A key for signatures of an algorithm on the allow-list. A symmetric key never is one.
fn usable(jwk: &Jwk) -> Option<Key> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let for_it = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == named);
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    if !for_it || !for_signatures {
        return None;
    }
    Some(Key { algorithm, decoding: DecodingKey::from_jwk(jwk).ok()? })
}

#[cfg(test)]
mod tests;

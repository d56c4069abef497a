//! Machine tokens, whose grants are looked up by the digest of the token and cached.

use std::time::Duration;

use service::domain::machine_token::{Digest, Grant, InvalidSecret, PREFIX, Secret};
use service::domain::time::Timestamp;
use service::store::Store;
use tokio::time::timeout;
use tracing::warn;

use crate::cache::Cache;
use crate::contract;
use crate::token::{Party, Rejection, Verified};

/// The issuer in the context and in the log, because a machine token has none.
pub(crate) const ISSUER: &str = "tenantry";

/// The shortest time between two writes of a token's last use.
const USE_INTERVAL: Duration = Duration::from_hours(1);
/// How long the write of a last use may delay its request, once per hour and token, and only while the table is slow. It
/// cannot run in the background, because Lambda freezes the execution environment after the response.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct MachineTokens {
    store: Store,
    grants: Cache<Digest, Grant>,
}

/// Whether a token has the prefix of machine tokens. A JWT starts with a JSON object in base64, and so with another
/// letter.
pub(crate) fn has_prefix(token: &str) -> bool {
    token.starts_with(PREFIX)
}

impl MachineTokens {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, grants: Cache::default() }
    }

    /// Verifies a machine token. Its form and checksum are checked before the table is read.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Rejection> {
        let secret = Secret::parse(token).map_err(|invalid| match invalid {
            InvalidSecret::Format => Rejection::NotMachineToken,
            InvalidSecret::Checksum => Rejection::BadChecksum,
        })?;
        let digest = secret.digest();
        let grant = self.grants.get(&digest, self.store.token_grant_get(&digest)).await.map_err(|fault| {
            warn!(%fault, "the machine token cannot be read");
            Rejection::TokensUnavailable
        })?;
        let Grant { tenant, token, scopes, expires_at, last_used_at: _ } = grant.ok_or(Rejection::UnknownToken)?;
        if expires_at.is_some_and(|expiry| expiry.is_reached(Timestamp::now())) {
            return Err(Rejection::Expired);
        }
        Ok(Verified {
            issuer: ISSUER.to_owned(),
            owner: None,
            by_default: false,
            party: Party::Tenant(Some(tenant)),
            subject: format!("token:{}", token.as_str()),
            scopes: scopes.as_slice().iter().filter(|scope| contract::is_known(scope, false)).cloned().collect(),
            machine_token: Some(digest),
            certificate: None,
        })
    }

    /// Records the use of a token, unless one was recorded in the last hour. The record is for information only, so a
    /// failure does not affect the token. The next attempt follows after the grant is read again.
    pub(crate) async fn record_use(&self, digest: &Digest) {
        let now = Timestamp::now();
        let interval = i64::try_from(USE_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(interval));
        let is_due = self.grants.change(digest, |grant| {
            let due = grant.last_used_at.is_none_or(|last| last <= before);
            if due {
                grant.last_used_at = Some(now);
            }
            due
        });
        if is_due.await != Some(true) {
            return;
        }
        match timeout(TIMEOUT, self.store.token_touch(digest, now, before)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => warn!(%fault, "the use of a machine token was not recorded"),
            Err(_) => warn!("the use of a machine token was not recorded in time"),
        }
    }
}

//! Machine tokens: known by their digest, and looked up in the table as seldom as may be.

use std::time::Duration;

use service::domain::machine_token::{Digest, Grant, InvalidSecret, PREFIX, Secret};
use service::domain::time::Timestamp;
use service::store::Store;
use tokio::time::timeout;
use tracing::warn;

use crate::contract;
use crate::rows::Rows;
use crate::token::{Party, Rejection, Verified};

/// What stands for an issuer where there is none.
pub(crate) const ISSUER: &str = "tenantry";

/// How far apart two records of a token's use are at least.
const USE_INTERVAL: Duration = Duration::from_hours(1);
/// How long recording a use may hold up its request: once an hour and token, and only while the table is slow. It is not
/// left to run on, because the environment stands still once the answer is out.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Machines {
    store: Store,
    grants: Rows<Digest, Grant>,
}

/// Whether a token claims to be a machine token. A JWT starts with a JSON object in base64, and so with another letter.
pub(crate) fn is_one(token: &str) -> bool {
    token.starts_with(PREFIX)
}

impl Machines {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, grants: Rows::default() }
    }

    /// Checks a machine token: first all that can be seen without the table.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Rejection> {
        let secret = Secret::parse(token).map_err(|invalid| match invalid {
            InvalidSecret::Shape => Rejection::NoMachineToken,
            InvalidSecret::Checksum => Rejection::BadChecksum,
        })?;
        let digest = secret.digest();
        let grant = self.grants.get(&digest, self.store.token_grant_get(&digest)).await.map_err(|fault| {
            warn!(%fault, "the machine token cannot be read");
            Rejection::TokensUnavailable
        })?;
        let Grant { tenant, token, scopes, expires_at, last_used_at: _ } = grant.ok_or(Rejection::UnknownToken)?;
        if expires_at.is_some_and(|expiry| expiry.is_past(Timestamp::now())) {
            return Err(Rejection::Expired);
        }
        Ok(Verified {
            issuer: ISSUER.to_owned(),
            owner: None,
            by_default: false,
            party: Party::Tenant(Some(tenant)),
            subject: format!("token:{}", token.as_str()),
            scopes: scopes.as_slice().iter().filter(|scope| contract::is_known(scope, false)).cloned().collect(),
            machine: Some(digest),
            certificate: None,
        })
    }

    /// Records that a token was used, if it was not for an hour. It is for information only, so a failure is not the
    /// token's; the next try is when its grant is read again.
    pub(crate) async fn record_use(&self, digest: &Digest) {
        let now = Timestamp::now();
        let interval = i64::try_from(USE_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(interval));
        let noted = self.grants.change(digest, |grant| {
            let due = grant.last_used_at.is_none_or(|last| last <= before);
            if due {
                grant.last_used_at = Some(now);
            }
            due
        });
        if noted.await != Some(true) {
            return;
        }
        match timeout(PATIENCE, self.store.token_touch(digest, now, before)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => warn!(%fault, "the use of a machine token was not recorded"),
            Err(_) => warn!("the use of a machine token was not recorded in time"),
        }
    }
}

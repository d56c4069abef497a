//! The lifecycle of a tenant, as operators manage it.
//!
//! A tenant's row contains the desired state (status, plan) and what is known of the actual state in API Gateway (`key_id`,
//! `placed_in`). A [`Change`] is a saga: it first writes the desired state, then brings it about, then records that it is
//! done. Each step can be repeated, so a change that nothing works on can be finished by the schedule, or by an operator
//! who retries it. A change that failed remains, with the reason. A new change may replace it, and then brings about the
//! new desired state.

mod failure;

use std::collections::BTreeMap;
use std::time::Duration;

use strum::{AsRefStr, EnumString, IntoStaticStr};

pub use self::failure::{Failure, FailureCode};
use crate::domain::issuer::Issuer;
use crate::domain::machine_token::Digest;
use crate::domain::offboarding::Offboarding;
use crate::domain::tenant::{Status, Tenant, TenantId};
use crate::domain::tenant_key::TenantKey;
use crate::domain::time::{Expiry, Timestamp};

/// The time for which a change is leased to the request or the run that works on it. It is longer than the function's
/// timeout.
pub const LEASE: Duration = Duration::from_secs(45);

/// The most opaque keys of a tenant that have not expired.
pub const MAX_TENANT_KEYS: usize = 10;

/// Whether a tenant has an API key of its own, or shares one with other tenants of its plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum KeyKind {
    /// An API key of its own, so its rate limit is its own as well.
    #[default]
    Own,
    /// An API key from the plan's fixed set. So a stack can have more tenants than the 10,000 API keys of an account.
    Pooled,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ChangeKind {
    /// Creates the tenant and its API key.
    Onboard,
    /// Moves the API key to another plan.
    Move,
    /// Disables the API key.
    Suspend,
    /// Enables the API key.
    Resume,
    /// Removes the API key, and then the tenant's data.
    Offboard,
}

/// A change in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The kind.
    pub kind: ChangeKind,
    /// The end of the lease. After that, another request or run may work on the change.
    pub leased_until: Timestamp,
    /// The failure of the last attempt, if it failed. It remains during the next attempt.
    pub failure: Option<Failure>,
}

impl Change {
    fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until > now
    }
}

/// The whole row of a tenant, as operators manage it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedTenant {
    /// The part that the authorizer reads.
    pub tenant: Tenant,
    /// Those of its issuers that belong to this tenant alone. The others are the stack's.
    pub own_issuers: Vec<Issuer>,
    /// The opaque keys that stand for its id, oldest first.
    pub tenant_keys: Vec<TenantKey>,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the API key is its own.
    pub key: KeyKind,
    /// API Gateway's id of its own API key, once it is known.
    pub key_id: Option<String>,
    /// The plan to whose usage plan its own API key is known to belong.
    pub placed_in: Option<String>,
    /// The operator's reason for the last suspension or resumption.
    pub reason: Option<String>,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of the last change of its row.
    pub updated_at: Timestamp,
    /// The number of its items that the offboarding has removed.
    pub purged: u64,
    /// The progress of its offboarding, once that has begun.
    pub offboarding: Option<Offboarding>,
    /// The change in progress.
    pub change: Option<Change>,
    /// The number of writes of the row. Of two concurrent writes, only one succeeds.
    pub revision: u64,
}

/// The reason why a tenant cannot be changed in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another change is leased.
    #[error("another change of the tenant is in progress")]
    Busy,
    /// The tenant's status does not allow the change.
    #[error("the tenant is {}", .0.as_ref())]
    WrongStatus(Status),
    /// The tenant has [`MAX_TENANT_KEYS`] opaque keys that have not expired.
    #[error("the tenant has too many opaque keys that have not expired")]
    TooManyKeys,
}

impl ManagedTenant {
    /// Creates a tenant whose onboarding is leased from now on.
    #[must_use]
    pub fn new(tenant: Tenant, key: KeyKind, labels: BTreeMap<String, String>, now: Timestamp) -> Self {
        let tenant = Tenant { status: Status::Onboarding, ..tenant };
        let mut managed = Self {
            tenant,
            own_issuers: Vec::new(),
            tenant_keys: Vec::new(),
            labels,
            key,
            key_id: None,
            placed_in: None,
            reason: None,
            created_at: now,
            updated_at: now,
            purged: 0,
            offboarding: None,
            change: None,
            revision: 0,
        };
        managed.lease(ChangeKind::Onboard, now);
        managed
    }

    /// Returns the tenant's id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.tenant.id
    }

    /// Starts a change, or a new attempt of it, in place of any other.
    fn lease(&mut self, kind: ChangeKind, now: Timestamp) {
        self.change = Some(Change { kind, leased_until: now.plus(LEASE), failure: None });
        self.updated_at = now;
    }

    /// Leases a change that is not leased, and returns whether it did. A change that failed has to wait until
    /// [`Failure::retry_at`].
    #[must_use]
    pub fn take_over(&mut self, now: Timestamp) -> bool {
        let is_due = |change: &&mut Change| {
            !change.is_leased(now) && change.failure.is_none_or(|failure| failure.retry_at() <= now)
        };
        let Some(change) = self.change.as_mut().filter(is_due) else { return false };
        change.leased_until = now.plus(LEASE);
        self.updated_at = now;
        true
    }

    /// Ends the lease of a change that made progress. Another run may continue it at the time `from`.
    pub fn give_back(&mut self, from: Timestamp) {
        if let Some(change) = &mut self.change {
            (change.leased_until, change.failure) = (from, None);
        }
    }

    /// Ends the lease of a change whose attempt failed.
    pub fn fail(&mut self, code: FailureCode, now: Timestamp) {
        if let Some(change) = &mut self.change {
            let attempts = change.failure.map_or(0, |failure| failure.attempts).saturating_add(1);
            (change.leased_until, change.failure) = (now, Some(Failure { code, attempts, failed_at: now }));
        }
    }

    /// Returns whether a change is leased.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.change.is_some_and(|change| change.is_leased(now))
    }

    /// Fails if an operator cannot change the tenant, because it is being offboarded, or while another change is leased.
    pub fn check_open(&self, now: Timestamp) -> Result<(), ChangeError> {
        self.check_alive()?;
        if self.is_leased(now) { Err(ChangeError::Busy) } else { Ok(()) }
    }

    fn check_alive(&self) -> Result<(), ChangeError> {
        match self.tenant.status {
            Status::Onboarding | Status::Active | Status::Suspended => Ok(()),
            status @ (Status::Offboarding | Status::Offboarded) => Err(ChangeError::WrongStatus(status)),
        }
    }

    /// Adds an opaque key. The existing ones expire after the overlap, unless they expire sooner.
    pub fn rotate_keys(&mut self, digest: Digest, overlap: Duration, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        let overlap = i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX);
        let end = Expiry::from_secs(now.as_millis().div_euclid(1000).saturating_add(overlap));
        for key in &mut self.tenant_keys {
            key.expires_at = Some(key.expires_at.map_or(end, |expiry| expiry.min(end)));
        }
        self.tenant_keys.retain(|key| key.expires_at.is_none_or(|expiry| !expiry.is_reached(now)));
        if self.tenant_keys.len() >= MAX_TENANT_KEYS {
            return Err(ChangeError::TooManyKeys);
        }
        self.tenant_keys.push(TenantKey { digest, created_at: now, expires_at: None });
        self.updated_at = now;
        Ok(())
    }

    /// Moves the tenant to another plan. The authorizer applies the plan at once, and the API key follows. A change that is
    /// not done continues with the new plan, because every kind of change also places the API key.
    pub fn move_to(&mut self, plan: &str, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        let kind = match self.change {
            Some(change) => change.kind,
            None if self.tenant.plan == plan => return Ok(()),
            None => ChangeKind::Move,
        };
        plan.clone_into(&mut self.tenant.plan);
        self.lease(kind, now);
        Ok(())
    }

    /// Denies the tenant access. The authorizer does so at once, and the API key follows.
    pub fn suspend(&mut self, reason: &str, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        self.tenant.status = Status::Suspended;
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Suspend, now);
        Ok(())
    }

    /// Gives the tenant access again. The API key is enabled first, and the authorizer follows. A tenant whose onboarding
    /// failed gets access for the first time.
    pub fn resume(&mut self, reason: &str, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Resume, now);
        Ok(())
    }

    /// Offboards the tenant, from any status but [`Status::Offboarded`]. It replaces a change that is not leased, and
    /// continues an offboarding that is not leased.
    pub fn offboard(&mut self, now: Timestamp) -> Result<(), ChangeError> {
        match self.tenant.status {
            status @ Status::Offboarded => Err(ChangeError::WrongStatus(status)),
            status @ Status::Offboarding if self.is_leased(now) => Err(ChangeError::WrongStatus(status)),
            _ if self.is_leased(now) => Err(ChangeError::Busy),
            _ => {
                self.tenant.status = Status::Offboarding;
                self.offboarding_from(now);
                self.lease(ChangeKind::Offboard, now);
                Ok(())
            }
        }
    }

    /// Returns the progress of the offboarding, which begins now if it had not begun.
    pub fn offboarding_from(&mut self, now: Timestamp) -> &mut Offboarding {
        self.offboarding.get_or_insert_with(|| Offboarding::begin(now))
    }

    /// Records that the change is done.
    pub fn settle(&mut self, now: Timestamp) {
        match self.change.take().map(|change| change.kind) {
            Some(ChangeKind::Onboard | ChangeKind::Resume) => self.tenant.status = Status::Active,
            Some(ChangeKind::Offboard) => self.tenant.status = Status::Offboarded,
            Some(ChangeKind::Move | ChangeKind::Suspend) | None => {}
        }
        self.updated_at = now;
    }

    /// Returns whether its own API key should be enabled.
    #[must_use]
    pub fn wants_enabled_key(&self) -> bool {
        match self.change.map(|change| change.kind) {
            Some(ChangeKind::Onboard | ChangeKind::Resume) => true,
            Some(ChangeKind::Suspend | ChangeKind::Offboard) => false,
            Some(ChangeKind::Move) | None => self.tenant.status == Status::Active,
        }
    }
}

#[cfg(test)]
mod tests;

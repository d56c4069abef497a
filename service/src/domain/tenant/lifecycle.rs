//! Tenants as operators see them: with their key, their labels, and the change that is under way.
//!
//! A tenant's row says what is wanted (status, plan) and what is known to be so (`key_id`, `placed_in`). A change writes
//! what is wanted first, then does it, then says that it is done. Each part can be repeated, so whoever finds a change
//! that nobody works on can finish it: a schedule, or an operator who sends it again. A change that failed stays, and says
//! why; another one may take its place, and then reaches what both want as far as they agree.

mod failure;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::failure::{Failure, FailureCode};
use crate::domain::issuer::Issuer;
use crate::domain::machine_token::Digest;
use crate::domain::offboarding::Offboarding;
use crate::domain::tenant::{Status, Tenant, TenantId};
use crate::domain::tenant_key::TenantKey;
use crate::domain::time::{Expiry, Timestamp};

/// How long a change belongs to the one who works on it: longer than the function may run.
pub const LEASE: Duration = Duration::from_secs(45);

/// The most opaque keys of a tenant that have not ended.
pub const MOST_TENANT_KEYS: usize = 10;

/// Whether a tenant has an API key of its own, or shares one with others of its plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// Its own: its limits are its own as well.
    #[default]
    Own,
    /// One of a fixed set for each plan: beyond 10,000 keys for each account.
    Pooled,
}

impl KeyKind {
    /// As in the API and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Pooled => "pooled",
        }
    }

    /// The reverse of [`KeyKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Own, Self::Pooled].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is being done to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is being made.
    Onboard,
    /// Its key moves to another plan.
    Move,
    /// Its key is being disabled.
    Suspend,
    /// Its key is being enabled.
    Resume,
    /// Its key, and then its data, are being removed.
    Offboard,
}

impl ChangeKind {
    /// As in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onboard => "onboard",
            Self::Move => "move",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Offboard => "offboard",
        }
    }

    /// The reverse of [`ChangeKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Onboard, Self::Move, Self::Suspend, Self::Resume, Self::Offboard]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A change under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What is being done.
    pub kind: ChangeKind,
    /// Until when somebody works on it. After that anybody may.
    pub leased_until: Timestamp,
    /// Why the last attempt failed, if it did. It is there during the next one as well.
    pub failure: Option<Failure>,
}

impl Change {
    fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until > now
    }
}

/// A tenant's whole row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedTenant {
    /// What the authorizer knows of it.
    pub tenant: Tenant,
    /// Those of its issuers that are its alone; the others are the stack's.
    pub own_issuers: Vec<Issuer>,
    /// The opaque keys that stand for its id, oldest first.
    pub tenant_keys: Vec<TenantKey>,
    /// The operator's own notes.
    pub labels: BTreeMap<String, String>,
    /// Whose key it uses.
    pub key: KeyKind,
    /// API Gateway's id of its own key, once it is known.
    pub key_id: Option<String>,
    /// The plan that its own key is known to be in.
    pub placed_in: Option<String>,
    /// Why it was suspended or resumed.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its row was last changed.
    pub updated_at: Timestamp,
    /// How many of its items were removed.
    pub purged: u64,
    /// How far its offboarding has come, once that has begun.
    pub offboarding: Option<Offboarding>,
    /// The change that is under way.
    pub change: Option<Change>,
    /// Grows with each write of the row: of two who write, one wins.
    pub revision: u64,
}

/// Why a tenant cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Somebody works on another change.
    #[error("another change of the tenant is under way")]
    Busy,
    /// It is not in a state from which this leads on.
    #[error("the tenant is {}", .0.as_str())]
    WrongStatus(Status),
    /// More opaque keys would overlap than it may have.
    #[error("the tenant has too many keys that have not ended")]
    TooManyKeys,
}

impl ManagedTenant {
    /// A tenant to be made.
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

    /// The id, for short.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.tenant.id
    }

    fn lease(&mut self, kind: ChangeKind, now: Timestamp) {
        self.change = Some(Change { kind, leased_until: now.plus(LEASE), failure: None });
        self.updated_at = now;
    }

    /// Takes over a change that nobody works on. One that failed has to wait for the end of its pause.
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

    /// Gives a change back, for anybody to go on with from then on.
    pub fn give_back(&mut self, from: Timestamp) {
        if let Some(change) = &mut self.change {
            (change.leased_until, change.failure) = (from, None);
        }
    }

    /// Gives a change back that could not be made.
    pub fn fail(&mut self, code: FailureCode, now: Timestamp) {
        if let Some(change) = &mut self.change {
            let attempts = change.failure.map_or(0, |failure| failure.attempts).saturating_add(1);
            (change.leased_until, change.failure) = (now, Some(Failure { code, attempts, failed_at: now }));
        }
    }

    /// Whether somebody works on a change.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.change.is_some_and(|change| change.is_leased(now))
    }

    /// Fails where an operator cannot change it: never again, or while somebody works on another change.
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

    /// Adds an opaque key. Those before end after the overlap, unless they end sooner already.
    pub fn rotate_keys(&mut self, digest: Digest, overlap: Duration, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        let overlap = i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX);
        let end = Expiry::from_secs(now.as_millis().div_euclid(1000).saturating_add(overlap));
        for key in &mut self.tenant_keys {
            key.expires_at = Some(key.expires_at.map_or(end, |expiry| expiry.min(end)));
        }
        self.tenant_keys.retain(|key| key.expires_at.is_none_or(|expiry| !expiry.is_reached(now)));
        if self.tenant_keys.len() >= MOST_TENANT_KEYS {
            return Err(ChangeError::TooManyKeys);
        }
        self.tenant_keys.push(TenantKey { digest, created_at: now, expires_at: None });
        self.updated_at = now;
        Ok(())
    }

    /// Wants another plan. The authorizer says so at once; the key follows. A change that is not done goes on with the new
    /// plan: each of them places the key as well.
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

    /// Wants the tenant cut off: by the authorizer at once, and by its key.
    pub fn suspend(&mut self, reason: &str, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        self.tenant.status = Status::Suspended;
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Suspend, now);
        Ok(())
    }

    /// Wants the tenant let in again: by its key, and then by the authorizer. A tenant whose onboarding failed is let in for
    /// the first time.
    pub fn resume(&mut self, reason: &str, now: Timestamp) -> Result<(), ChangeError> {
        self.check_open(now)?;
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Resume, now);
        Ok(())
    }

    /// Wants the tenant gone. It may come at any time but after its end: a change under way is overtaken when nobody
    /// works on it, and an offboarding that nobody works on goes on.
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

    /// How far the offboarding has come; it begins now if it had not begun.
    pub fn offboarding_from(&mut self, now: Timestamp) -> &mut Offboarding {
        self.offboarding.get_or_insert_with(|| Offboarding::begin(now))
    }

    /// Says that the change is done.
    pub fn settle(&mut self, now: Timestamp) {
        match self.change.take().map(|change| change.kind) {
            Some(ChangeKind::Onboard | ChangeKind::Resume) => self.tenant.status = Status::Active,
            Some(ChangeKind::Offboard) => self.tenant.status = Status::Offboarded,
            Some(ChangeKind::Move | ChangeKind::Suspend) | None => {}
        }
        self.updated_at = now;
    }

    /// Whether its own key should let requests through.
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

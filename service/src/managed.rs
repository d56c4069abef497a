//! Tenants as operators see them: with their key, their labels, and the change that is under way.
//!
//! A tenant's row says what is wanted (status, plan) and what is known to be so (`key_id`, `placed_in`). A change writes
//! what is wanted first, then does it, then says that it is done. Each part can be repeated, so whoever finds a change
//! that nobody works on can finish it: the next call, or a schedule.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::issuer::Issuer;
use crate::machine::Digest;
use crate::tenant::{Status, Tenant, TenantId};
use crate::tenant_key::TenantKey;
use crate::time::{Expiry, Timestamp};

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
}

/// A tenant's whole row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
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
    /// The change that is under way.
    pub change: Option<Change>,
    /// Grows with each write of the row: of two who write, one wins.
    pub revision: u64,
}

/// Why a tenant cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
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

impl Managed {
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
        let millis = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let leased_until = Timestamp::from_millis(now.as_millis().saturating_add(millis));
        self.change = Some(Change { kind, leased_until });
        self.updated_at = now;
    }

    /// Takes over a change that nobody works on.
    #[must_use]
    pub fn take_over(&mut self, now: Timestamp) -> bool {
        let abandoned = self.change.filter(|change| change.leased_until <= now);
        if let Some(change) = abandoned {
            self.lease(change.kind, now);
        }
        abandoned.is_some()
    }

    /// Gives a change back, for the next one to finish.
    pub fn give_back(&mut self, now: Timestamp) {
        if let Some(change) = &mut self.change {
            change.leased_until = now;
        }
    }

    /// Fails while there is a change under way.
    pub fn check_idle(&self) -> Result<(), Refused> {
        if self.change.is_some() { Err(Refused::Busy) } else { Ok(()) }
    }

    /// Whether it is there for operators to change.
    pub fn check_alive(&self) -> Result<(), Refused> {
        match self.tenant.status {
            Status::Onboarding | Status::Active | Status::Suspended => Ok(()),
            status @ (Status::Offboarding | Status::Offboarded) => Err(Refused::WrongStatus(status)),
        }
    }

    /// Adds an opaque key. Those before end after the overlap, unless they end sooner already.
    pub fn rotate_keys(&mut self, digest: Digest, overlap: Duration, now: Timestamp) -> Result<(), Refused> {
        self.check_idle()?;
        self.check_alive()?;
        let overlap = i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX);
        let end = Expiry::from_secs(now.as_millis().div_euclid(1000).saturating_add(overlap));
        for key in &mut self.tenant_keys {
            key.expires_at = Some(key.expires_at.map_or(end, |expiry| expiry.min(end)));
        }
        self.tenant_keys.retain(|key| key.expires_at.is_none_or(|expiry| !expiry.is_past(now)));
        if self.tenant_keys.len() >= MOST_TENANT_KEYS {
            return Err(Refused::TooManyKeys);
        }
        self.tenant_keys.push(TenantKey { digest, created_at: now, expires_at: None });
        self.updated_at = now;
        Ok(())
    }

    /// Wants another plan. The authorizer says so at once; the key follows.
    pub fn move_to(&mut self, plan: &str, now: Timestamp) -> Result<(), Refused> {
        self.check_idle()?;
        self.check_alive()?;
        if self.tenant.plan != plan {
            plan.clone_into(&mut self.tenant.plan);
            self.lease(ChangeKind::Move, now);
        }
        Ok(())
    }

    /// Wants the tenant cut off: by the authorizer at once, and by its key.
    pub fn suspend(&mut self, reason: &str, now: Timestamp) -> Result<(), Refused> {
        self.check_idle()?;
        self.check_alive()?;
        self.tenant.status = Status::Suspended;
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Suspend, now);
        Ok(())
    }

    /// Wants the tenant let in again: by its key, and then by the authorizer.
    pub fn resume(&mut self, reason: &str, now: Timestamp) -> Result<(), Refused> {
        self.check_idle()?;
        match self.tenant.status {
            Status::Suspended | Status::Active => {}
            status => return Err(Refused::WrongStatus(status)),
        }
        self.reason = Some(reason.to_owned());
        self.lease(ChangeKind::Resume, now);
        Ok(())
    }

    /// Wants the tenant gone. It may come at any time but after its end: a change under way is overtaken when nobody
    /// works on it.
    pub fn offboard(&mut self, now: Timestamp) -> Result<(), Refused> {
        match (self.tenant.status, self.change) {
            (status @ (Status::Offboarding | Status::Offboarded), _) => Err(Refused::WrongStatus(status)),
            (_, Some(change)) if change.leased_until > now => Err(Refused::Busy),
            _ => {
                self.tenant.status = Status::Offboarding;
                self.lease(ChangeKind::Offboard, now);
                Ok(())
            }
        }
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
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() + seconds * 1000)
    }

    fn onboarding() -> Managed {
        let tenant = Tenant {
            id: TenantId::generate(),
            name: "Acme".into(),
            plan: "free".into(),
            status: Status::Active,
            issuers: vec![],
            api_key: "x".into(),
            quota: None,
        };
        Managed::new(tenant, KeyKind::Own, BTreeMap::new(), NOW)
    }

    fn active() -> Managed {
        let mut managed = onboarding();
        managed.settle(NOW);
        managed
    }

    #[test]
    fn a_tenant_is_let_in_when_it_is_whole() {
        let mut managed = onboarding();
        assert_eq!(managed.tenant.status, Status::Onboarding);
        assert!(managed.wants_enabled_key());
        managed.settle(NOW);
        assert_eq!((managed.tenant.status, managed.change), (Status::Active, None));
    }

    #[test]
    fn changes_do_not_interleave() {
        let mut managed = active();
        managed.suspend("unpaid", NOW).unwrap();
        assert_eq!(managed.tenant.status, Status::Suspended, "at once");
        assert!(!managed.wants_enabled_key());
        for refused in [managed.clone().resume("paid", NOW), managed.clone().move_to("pro", NOW)] {
            assert_eq!(refused, Err(Refused::Busy));
        }
        assert_eq!(managed.clone().offboard(NOW), Err(Refused::Busy));
        managed.settle(NOW);
        managed.resume("paid", NOW).unwrap();
        assert_eq!(managed.tenant.status, Status::Suspended, "until the key is enabled");
        assert!(managed.wants_enabled_key());
        managed.settle(NOW);
        assert_eq!(managed.tenant.status, Status::Active);
    }

    #[test]
    fn an_abandoned_change_is_taken_over_once_its_lease_is_over() {
        let mut managed = onboarding();
        assert!(!managed.take_over(later(44)));
        assert!(managed.take_over(later(45)));
        assert!(!managed.take_over(later(46)), "it is worked on again");
        managed.give_back(later(50));
        assert!(managed.take_over(later(50)));
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let mut managed = active();
        managed.offboard(NOW).unwrap();
        assert_eq!(managed.tenant.status, Status::Offboarding);
        assert_eq!(managed.clone().offboard(NOW), Err(Refused::WrongStatus(Status::Offboarding)));
        managed.settle(NOW);
        assert_eq!(managed.tenant.status, Status::Offboarded);
        let refused = Err(Refused::WrongStatus(Status::Offboarded));
        assert_eq!(managed.clone().resume("", NOW), refused);
        assert_eq!(managed.clone().suspend("", NOW), refused);
        assert_eq!(managed.clone().move_to("pro", NOW), refused);
        assert_eq!(managed.offboard(NOW), refused);
    }

    #[test]
    fn a_tenant_that_was_never_whole_can_be_offboarded() {
        let mut managed = onboarding();
        assert_eq!(managed.offboard(later(1)), Err(Refused::Busy));
        assert_eq!(managed.offboard(later(60)), Ok(()));
        assert!(!managed.wants_enabled_key());
    }

    #[test]
    fn opaque_keys_overlap_and_end() {
        let digest = || crate::tenant_key::digest(&crate::tenant_key::generate()).unwrap();
        let ends = |managed: &Managed| -> Vec<Option<i64>> {
            let start = NOW.as_millis() / 1000;
            managed.tenant_keys.iter().map(|key| key.expires_at.map(|expiry| expiry.as_secs() - start)).collect()
        };
        let mut managed = active();
        managed.rotate_keys(digest(), Duration::from_secs(100), NOW).unwrap();
        assert_eq!(ends(&managed), [None]);
        managed.rotate_keys(digest(), Duration::from_secs(100), NOW).unwrap();
        managed.rotate_keys(digest(), Duration::from_secs(200), later(50)).unwrap();
        assert_eq!(ends(&managed), [Some(100), Some(250), None], "an end is never put off");
        managed.rotate_keys(digest(), Duration::from_secs(1000), later(100)).unwrap();
        assert_eq!(ends(&managed), [Some(250), Some(1100), None]);
        managed.rotate_keys(digest(), Duration::ZERO, later(101)).unwrap();
        assert_eq!(ends(&managed), [None]);
        for _ in 1..MOST_TENANT_KEYS {
            managed.rotate_keys(digest(), Duration::from_secs(100), later(101)).unwrap();
        }
        let full = managed.clone().rotate_keys(digest(), Duration::from_secs(100), later(101));
        assert_eq!(full, Err(Refused::TooManyKeys));
        managed.rotate_keys(digest(), Duration::ZERO, later(101)).unwrap();
    }
}

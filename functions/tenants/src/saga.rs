//! Changes of tenants as sagas: they complete whatever happens on the way.
//!
//! The goal of a change is written to the tenant's row before any work starts, together with a lease for the call that does the work.
//! Every step can be repeated. So a call that dies leaves a row with a change, and the sweep finishes the change when the lease has
//! expired. A call that fails records the failure on the row: the sweep retries it, less and less often, and an operator can read
//! the failure and ask for another change.

mod offboard;

use std::time::Duration;

use service::domain::caller::Operator;
use service::domain::tenant::lifecycle::{ChangeKind, FailureCode, KeyKind, ManagedTenant};
use service::domain::time::Timestamp;
use service::store::Fault;
use service::store::SaveError;
use service::store::Store;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::gateway::{ApiGateway, GatewayFault, KeyFault};

/// The time within which a sweep starts more work and removes items. Together with one call of API Gateway it is less than the
/// function's timeout.
const SWEEPING: Duration = Duration::from_secs(15);

/// The same time for a request that concerns one tenant.
const WORKING: Duration = Duration::from_secs(5);

/// Why a change was not completed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    /// A call of API Gateway failed.
    #[error(transparent)]
    Gateway(#[from] GatewayFault),
    /// The tenant's own API key was deleted.
    #[error("the tenant's API key was deleted: {0}")]
    KeyGone(GatewayFault),
    /// The table failed.
    #[error(transparent)]
    Table(#[from] Fault),
    /// Another call continues the change.
    #[error("another call continues the change")]
    Overtaken,
}

impl Interrupted {
    /// The failure that the operator reads. There is none if another call continues the change.
    fn failure(&self) -> Option<FailureCode> {
        match self {
            Self::Gateway(fault) | Self::KeyGone(fault) => Some(fault.code()),
            Self::Table(_) => Some(FailureCode::Unavailable),
            Self::Overtaken => None,
        }
    }
}

impl From<KeyFault> for Interrupted {
    fn from(error: KeyFault) -> Self {
        match error {
            KeyFault::Gone(fault) => Self::KeyGone(fault),
            KeyFault::Gateway(fault) => Self::Gateway(fault),
        }
    }
}

impl From<SaveError> for Interrupted {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Fault(fault) => Self::Table(fault),
            SaveError::Outdated | SaveError::NameTaken | SaveError::IssuerTaken | SaveError::IdTaken => Self::Overtaken,
        }
    }
}

/// The parts of the system that changes involve.
#[derive(Debug)]
pub(crate) struct Saga {
    pub(crate) store: Store,
    pub(crate) gateway: ApiGateway,
    /// How long requests of a tenant may still be in progress after its offboarding began.
    pub(crate) drain: Duration,
}

impl Saga {
    /// Continues the change on the row, under a lease that the caller holds. Returns whether the change is complete, rather than left
    /// to another call or to a sweep. `managed` is the row afterwards.
    pub(crate) async fn go_on(&self, operator: &Operator, managed: &mut ManagedTenant) -> bool {
        self.go_on_until(operator, managed, Instant::now() + WORKING).await
    }

    async fn go_on_until(&self, operator: &Operator, managed: &mut ManagedTenant, until: Instant) -> bool {
        match self.step_through(operator, managed, until).await {
            Ok(done) => done,
            Err(interrupted) => {
                warn!(tenant = managed.id().as_str(), %interrupted, "a change was interrupted, and the next sweep continues it");
                if let Some(code) = interrupted.failure() {
                    managed.fail(code, Timestamp::now());
                    if let Err(error) = self.store.tenant_save(operator, managed).await {
                        warn!(tenant = managed.id().as_str(), %error, "the failure was not recorded, and the change waits until its lease expires");
                    }
                }
                false
            }
        }
    }

    async fn step_through(
        &self,
        operator: &Operator,
        managed: &mut ManagedTenant,
        until: Instant,
    ) -> Result<bool, Interrupted> {
        match managed.change.map(|change| change.kind) {
            None => return Ok(true),
            Some(ChangeKind::Offboard) => return self.offboard(operator, managed, until).await,
            Some(ChangeKind::Onboard | ChangeKind::Move | ChangeKind::Suspend | ChangeKind::Resume) => {}
        }
        match managed.key {
            KeyKind::Own => self.arrange_own_key(operator, managed).await?,
            KeyKind::Pooled if managed.wants_enabled_key() => self.gateway.pool_key(managed).await?,
            // Other tenants use the API key as well: the authorizer alone cuts this tenant off.
            KeyKind::Pooled => {}
        }
        let mut settled = managed.clone();
        settled.settle(Timestamp::now());
        self.store.tenant_save(operator, &mut settled).await?;
        *managed = settled;
        Ok(true)
    }

    /// Brings the tenant's own API key to the state that the row demands. A key that somebody deleted is found under another id, or
    /// created again.
    async fn arrange_own_key(&self, operator: &Operator, managed: &mut ManagedTenant) -> Result<(), Interrupted> {
        match self.arrange_known_key(operator, managed).await {
            Err(Interrupted::KeyGone(_)) => {
                (managed.key_id, managed.placed_in) = (None, None);
                self.arrange_known_key(operator, managed).await
            }
            other => other,
        }
    }

    async fn arrange_known_key(&self, operator: &Operator, managed: &mut ManagedTenant) -> Result<(), Interrupted> {
        let key = if let Some(key) = &managed.key_id {
            key.clone()
        } else {
            let key = self.gateway.own_key(managed).await?;
            managed.key_id = Some(key.clone());
            self.store.tenant_save(operator, managed).await?;
            key
        };
        // This comes first, because it is what cuts a tenant off.
        self.gateway.set_enabled(&key, managed.wants_enabled_key()).await?;
        let is_resumed = managed.change.is_some_and(|change| change.kind == ChangeKind::Resume);
        let is_placed = managed.placed_in.as_ref() == Some(&managed.tenant.plan);
        // Somebody may have removed the key from its usage plan. A resumption promises that requests pass, so it checks.
        if !is_placed || is_resumed {
            if !is_placed && managed.placed_in.take().is_some() {
                // The key leaves its usage plan now. A call that moves it back must not assume that it is still there.
                self.store.tenant_save(operator, managed).await?;
            }
            self.gateway.place(&key, &managed.tenant.plan).await?;
            managed.placed_in = Some(managed.tenant.plan.clone());
        }
        Ok(())
    }

    /// Continues all changes that no call holds a lease for.
    pub(crate) async fn sweep(&self, operator: &Operator) -> Result<(), Interrupted> {
        let until = Instant::now() + SWEEPING;
        for id in self.store.tenant_list_changing(operator).await? {
            if Instant::now() >= until {
                break;
            }
            let Some(mut managed) = self.store.tenant_get_managed(operator, &id).await? else { continue };
            if !managed.take_over(Timestamp::now()) {
                continue;
            }
            match self.store.tenant_save(operator, &mut managed).await {
                Ok(()) => {
                    let done = self.go_on_until(operator, &mut managed, until).await;
                    info!(tenant = id.as_str(), done, "the sweep continued a change");
                }
                // Another call was faster.
                Err(SaveError::Outdated) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

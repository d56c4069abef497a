//! Changes of tenants, which end well whatever happens on the way.
//!
//! What is wanted is on the tenant's row before anything is done about it, with a lease of the one who does it. Each thing
//! that is done can be done again. So a call that dies leaves a row with a change on it, and the sweep finishes it when
//! the lease is over. A call that fails says so on the row: the sweep tries again, less and less often, and an operator
//! reads what is wrong, and may want something else.

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

/// How long a sweep takes on more work, and removes items. With a call of API Gateway it is less than the function's
/// timeout.
const SWEEPING: Duration = Duration::from_secs(15);

/// The same for a call for one tenant.
const WORKING: Duration = Duration::from_secs(5);

/// Why a change did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    /// A part that is needed fails. The change waits for the next one.
    #[error(transparent)]
    Gateway(#[from] GatewayFault),
    /// The tenant's own key is gone.
    #[error("the tenant's API key is gone: {0}")]
    KeyGone(GatewayFault),
    /// The table fails.
    #[error(transparent)]
    Table(#[from] Fault),
    /// Somebody else goes on with it.
    #[error("somebody else goes on with the change")]
    Overtaken,
}

impl Interrupted {
    /// What the operator is told. Nothing where somebody else has more to tell.
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

/// The parts that changes are made with.
#[derive(Debug)]
pub(crate) struct Saga {
    pub(crate) store: Store,
    pub(crate) gateway: ApiGateway,
    /// How long after it is offboarded a tenant's requests may still be at work.
    pub(crate) drain: Duration,
}

impl Saga {
    /// Does the change that is on the row, under a lease that the caller has. Says whether it is done, rather than left
    /// to somebody else or to later; the row in `managed` is as it is then.
    pub(crate) async fn go_on(&self, operator: &Operator, managed: &mut ManagedTenant) -> bool {
        self.go_on_until(operator, managed, Instant::now() + WORKING).await
    }

    async fn go_on_until(&self, operator: &Operator, managed: &mut ManagedTenant, until: Instant) -> bool {
        match self.step_through(operator, managed, until).await {
            Ok(done) => done,
            Err(interrupted) => {
                warn!(tenant = managed.id().as_str(), %interrupted, "a change is left to the next");
                if let Some(code) = interrupted.failure() {
                    managed.fail(code, Timestamp::now());
                    if let Err(error) = self.store.tenant_save(operator, managed).await {
                        warn!(tenant = managed.id().as_str(), %error, "the lease has to run out");
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
            // Others use the key as well: a tenant is cut off by the authorizer alone.
            KeyKind::Pooled => {}
        }
        let mut settled = managed.clone();
        settled.settle(Timestamp::now());
        self.store.tenant_save(operator, &mut settled).await?;
        *managed = settled;
        Ok(true)
    }

    /// Makes the tenant's own key what the row wants. A key that somebody deleted is found under another id, or made again.
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
        // First of all, because this is what cuts a tenant off.
        self.gateway.set_enabled(&key, managed.wants_enabled_key()).await?;
        let is_resumed = managed.change.is_some_and(|change| change.kind == ChangeKind::Resume);
        let is_placed = managed.placed_in.as_ref() == Some(&managed.tenant.plan);
        // Somebody may have taken the key out of its plan. A resumption, which says that requests pass, makes sure.
        if !is_placed || is_resumed {
            if !is_placed && managed.placed_in.take().is_some() {
                // The key leaves its plan now. Whoever moves it back must not find that it is there.
                self.store.tenant_save(operator, managed).await?;
            }
            self.gateway.place(&key, &managed.tenant.plan).await?;
            managed.placed_in = Some(managed.tenant.plan.clone());
        }
        Ok(())
    }

    /// Finishes what nobody works on.
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
                    info!(tenant = id.as_str(), done, "swept");
                }
                // Somebody was faster.
                Err(SaveError::Outdated) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

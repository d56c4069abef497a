//! Changes of tenants, which end well whatever happens on the way.
//!
//! What is wanted is on the tenant's row before anything is done about it, with a lease of the one who does it. Each thing
//! that is done can be done again. So a call that dies leaves a row with a change on it, and whoever comes first when the
//! lease is over finishes it: the next call for the tenant, or the sweep.

use service::caller::Operator;
use service::managed::{ChangeKind, KeyKind, Managed};
use service::store::Fault;
use service::store::Store;
use service::store::admin::SaveError;
use service::time::Timestamp;
use tracing::{info, warn};

use crate::gateway::{ApiGateway, GatewayFault};

/// How many batches of items one run removes at most, 25 items each: a matter of seconds.
const MOST_BATCHES: usize = 80;

/// How many tenants one sweep looks at.
const SWEPT: i32 = 25;

/// Why a change did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    /// A part that is needed fails. The change waits for the next one.
    #[error(transparent)]
    Gateway(#[from] GatewayFault),
    /// The table fails.
    #[error(transparent)]
    Table(#[from] Fault),
    /// Somebody else goes on with it.
    #[error("somebody else goes on with the change")]
    Overtaken,
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
}

impl Saga {
    /// Does the change that is on the row, under a lease that the caller has. Says whether it is done, rather than left
    /// to somebody else or to later; the row in `managed` is as it is then.
    pub(crate) async fn go_on(&self, operator: &Operator, managed: &mut Managed) -> bool {
        match self.step_through(operator, managed).await {
            Ok(done) => done,
            Err(interrupted) => {
                warn!(tenant = managed.id().as_str(), %interrupted, "a change is left to the next");
                if !matches!(interrupted, Interrupted::Overtaken) {
                    managed.give_back(Timestamp::now());
                    if let Err(error) = self.store.save_tenant(operator, managed).await {
                        warn!(tenant = managed.id().as_str(), %error, "the lease has to run out");
                    }
                }
                false
            }
        }
    }

    async fn step_through(&self, operator: &Operator, managed: &mut Managed) -> Result<bool, Interrupted> {
        match managed.change.map(|change| change.kind) {
            None => return Ok(true),
            Some(ChangeKind::Offboard) => return self.offboard(operator, managed).await,
            Some(ChangeKind::Onboard | ChangeKind::Move | ChangeKind::Suspend | ChangeKind::Resume) => {}
        }
        match managed.key {
            // Others use it as well: a tenant is cut off by the authorizer alone.
            KeyKind::Pooled => self.gateway.pool_key(managed).await?,
            KeyKind::Own => self.arrange_own_key(operator, managed).await?,
        }
        managed.settle(Timestamp::now());
        self.store.save_tenant(operator, managed).await?;
        Ok(true)
    }

    async fn arrange_own_key(&self, operator: &Operator, managed: &mut Managed) -> Result<(), Interrupted> {
        let key = if let Some(key) = &managed.key_id {
            key.clone()
        } else {
            let key = self.gateway.own_key(managed).await?;
            managed.key_id = Some(key.clone());
            self.store.save_tenant(operator, managed).await?;
            key
        };
        self.gateway.set_enabled(&key, managed.wants_enabled_key()).await?;
        if managed.placed_in.as_ref() != Some(&managed.tenant.plan) {
            self.gateway.place(&key, &managed.tenant.plan).await?;
            managed.placed_in = Some(managed.tenant.plan.clone());
        }
        Ok(())
    }

    /// Removes the key, and then as many items as one run may.
    async fn offboard(&self, operator: &Operator, managed: &mut Managed) -> Result<bool, Interrupted> {
        if managed.key == KeyKind::Own {
            self.gateway.remove_own_key(managed).await?;
            (managed.key_id, managed.placed_in) = (None, None);
        }
        for batch in 0..MOST_BATCHES {
            let removed = self.store.purge(operator, managed.id()).await?;
            if removed == 0 {
                managed.settle(Timestamp::now());
                self.store.bury_tenant(operator, managed).await?;
                return Ok(true);
            }
            managed.purged += u64::try_from(removed).unwrap_or_default();
            if batch % 8 == 0 {
                self.store.save_tenant(operator, managed).await?;
            }
        }
        managed.give_back(Timestamp::now());
        self.store.save_tenant(operator, managed).await?;
        Ok(false)
    }

    /// Finishes what nobody works on.
    pub(crate) async fn sweep(&self, operator: &Operator) -> Result<(), Interrupted> {
        for id in self.store.changing_tenants(operator, SWEPT).await? {
            let Some(mut managed) = self.store.managed_tenant(operator, &id).await? else { continue };
            if !managed.take_over(Timestamp::now()) {
                continue;
            }
            match self.store.save_tenant(operator, &mut managed).await {
                Ok(()) => {
                    let done = self.go_on(operator, &mut managed).await;
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

//! The offboarding of a tenant, step by step. `service::domain::offboarding` explains the steps.

use service::domain::caller::Operator;
use service::domain::tenant::lifecycle::{KeyKind, ManagedTenant};
use service::domain::time::Timestamp;
use service::store::Purged;
use tokio::time::Instant;
use tracing::warn;

use super::{Interrupted, Saga};

/// The number of parts of a look after which its progress is written.
const PARTS: usize = 40;

impl Saga {
    /// Removes the API key, waits until the requests in progress have ended, and removes all items of the tenant, until another look
    /// finds nothing. Returns whether the offboarding is complete.
    pub(super) async fn offboard(
        &self,
        operator: &Operator,
        managed: &mut ManagedTenant,
        until: Instant,
    ) -> Result<bool, Interrupted> {
        if managed.key == KeyKind::Own {
            self.gateway.remove_own_key(managed).await?;
            (managed.key_id, managed.placed_in) = (None, None);
        }
        if managed.offboarding.is_none() {
            // A version of the service that did not close usage rows began this offboarding.
            managed.offboarding_from(Timestamp::now());
            self.store.tenant_close(operator, managed).await?;
        }
        loop {
            let now = Timestamp::now();
            let ready_at = managed.offboarding_from(now).ready_at(self.drain);
            if now < ready_at {
                return self.leave(operator, managed, ready_at).await;
            }
            if !self.look(operator, managed, until).await? {
                return self.leave(operator, managed, now).await;
            }
            if managed.offboarding_from(now).end_look(Timestamp::now()) {
                break;
            }
        }
        while let removed @ 1.. = self.store.tenant_purge_rows(operator, managed.id()).await? {
            count(managed, removed);
        }
        // `managed` changes only after the write: if a failure saved the row as offboarded, its name would stay taken for ever.
        let mut gone = managed.clone();
        gone.settle(Timestamp::now());
        self.store.tenant_bury(operator, &mut gone).await?;
        *managed = gone;
        Ok(true)
    }

    /// Continues a look until `until`. Returns whether the look has covered everything.
    async fn look(
        &self,
        operator: &Operator,
        managed: &mut ManagedTenant,
        until: Instant,
    ) -> Result<bool, Interrupted> {
        let mut parts = 0;
        while Instant::now() < until {
            let id = managed.id().clone();
            let look = &mut managed.offboarding_from(Timestamp::now()).look;
            match self.store.tenant_purge(operator, &id, look.after.as_deref()).await {
                // The table worked until now, so the next sweep continues in a minute. After a failure, it would wait longer each
                // time, and a table that is throttled now and then would delay the offboarding of a large tenant by days.
                Err(fault) if parts > 0 => {
                    warn!(tenant = id.as_str(), %fault, "a look was interrupted, and the next sweep continues it");
                    return Ok(false);
                }
                Err(fault) => return Err(fault.into()),
                Ok(Purged::Removed(removed)) => {
                    look.found = true;
                    count(managed, removed);
                }
                Ok(Purged::Emptied(place)) => look.after = Some(place),
                Ok(Purged::Nothing) => return Ok(true),
            }
            parts += 1;
            if parts % PARTS == 0 {
                self.store.tenant_save(operator, managed).await?;
            }
        }
        Ok(false)
    }

    /// Gives back the lease, so that any call can continue from `from` on.
    async fn leave(
        &self,
        operator: &Operator,
        managed: &mut ManagedTenant,
        from: Timestamp,
    ) -> Result<bool, Interrupted> {
        managed.give_back(from);
        self.store.tenant_save(operator, managed).await?;
        Ok(false)
    }
}

fn count(managed: &mut ManagedTenant, removed: usize) {
    managed.purged += u64::try_from(removed).unwrap_or_default();
}

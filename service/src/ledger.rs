//! The accounts of an execution environment: the units of tenants' quotas that it holds, and the usage that it has to
//! report.

mod closing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::domain::caller::{Caller, Payer};
use crate::domain::month::Month;
use crate::domain::quota::WhenUnavailable;
use crate::domain::quota::{Account, Environment, Loss, Sequence, Step, UnknownPlan, UsageUpdate};
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use crate::runtime::config::MeterConfig;
use crate::store::{Fault, Store};

/// The longest time that a request waits for a unit: two attempts of a write (`runtime::aws`). It is a part of the
/// request's time (`http::serve`), and leaves the rest to the handler.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most updates that a request makes to get a unit. Each outcome shows the row as it is, and each further lease is
/// smaller.
const ROUNDS: usize = 8;
/// The number of accounts above which accounts are settled before they are overdue, one for each account that is opened.
const ACCOUNTS: usize = 256;

type Key = (Payer, Month);
/// The lock is held during an update, so that an account makes one update at a time.
type Shared = Arc<tokio::sync::Mutex<Account>>;

/// The accounts of an execution environment, by tenant and month.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    config: MeterConfig,
    environment: Environment,
    sequence: Sequence,
    accounts: Mutex<HashMap<Key, Shared>>,
}

/// The proof that a request may be served. Its usage has to be [recorded](Ledger::record) when it has ended.
#[derive(Debug)]
pub struct Admission {
    account: Shared,
    /// The quota as the response shows it.
    pub window: Window,
}

/// A month's quota as a client sees it in the `RateLimit` fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The number of requests that the quota allows.
    pub limit: u64,
    /// The number of requests that remain, as far as this execution environment can see.
    pub remaining: u64,
    /// The length of the month.
    pub length: Duration,
    /// The time until the month ends.
    pub left: Duration,
}

/// The reason why a request may not be served.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The quota is used up.
    #[error("the quota is used up")]
    UsedUp(Window),
    /// The tenant is being offboarded.
    #[error("the tenant is being offboarded")]
    Closed,
    /// No unit is held, and the usage row could not be updated.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The tenant's plan has no quota, which is a defect of the deployment.
    #[error(transparent)]
    UnknownPlan(#[from] UnknownPlan),
}

impl Ledger {
    /// Creates the ledger of a new execution environment, which holds no units.
    #[must_use]
    pub fn new(store: Store, config: MeterConfig) -> Self {
        let (environment, sequence) = (Environment::generate(), Sequence::default());
        Self { store, config, environment, sequence, accounts: Mutex::default() }
    }

    /// Spends a unit of the caller's quota for a request. Most requests find a unit in memory. Others lease a block, and
    /// wait for it until `deadline`, or 3 seconds, whichever is sooner. `now` decides from which month the unit is taken.
    pub async fn spend(&self, caller: &Caller, now: Timestamp, deadline: Instant) -> Result<Admission, SpendError> {
        let until = deadline.min(Instant::now() + PATIENCE);
        let month = Month::of(now);
        let key = (caller.payer(), month);
        let shared = self.account(&key, now);
        let Ok(mut account) = timeout_at(until, shared.lock()).await else {
            return Err(Fault::Unavailable("another request is still waiting for a lease".to_owned()).into());
        };
        let mut is_first = true;
        for _ in 0..ROUNDS {
            let limit = self.config.quotas.limit(account.terms(), caller.plan(), caller.quota())?;
            let update = match account.spend(now, limit, &self.sequence) {
                Step::Granted => {
                    let window = window(&account, limit, month, now);
                    drop(account);
                    return Ok(Admission { account: shared, window });
                }
                Step::UsedUp => return Err(SpendError::UsedUp(window(&account, limit, month, now))),
                Step::Closed => return Err(SpendError::Closed),
                Step::Send(update) => update,
            };
            let sending = self.send(&key, &mut account, &update, now, until);
            // While this request waits for DynamoDB anyway, settle one other overdue account.
            let sent =
                if is_first { tokio::join!(sending, self.settle_another(&key, now, until)).0 } else { sending.await };
            is_first = false;
            match sent {
                Ok(()) => {}
                Err(Fault::Unavailable(_)) if self.config.when_unavailable == WhenUnavailable::Allow => {
                    account.owe();
                    let window = window(&account, limit, month, now);
                    drop(account);
                    return Ok(Admission { account: shared, window });
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Fault::Unavailable("too many concurrent updates of the quota".to_owned()).into())
    }

    /// Records the usage of a request, for the next report.
    pub async fn record(&self, admission: Admission, usage: Usage) {
        admission.account.lock().await.record(usage);
    }

    /// Returns the function's memory, in MB.
    #[must_use]
    pub fn memory_mb(&self) -> u64 {
        self.config.memory_mb
    }

    fn account(&self, key: &Key, now: Timestamp) -> Shared {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = accounts.get(key) {
            return Arc::clone(shared);
        }
        if accounts.len() >= ACCOUNTS {
            // An account with another reference to it is in use.
            accounts.retain(|_, one| Arc::strong_count(one) > 1 || !one.try_lock().is_ok_and(|one| one.is_idle()));
        }
        let shared = Shared::new(Account::open(self.environment.clone(), now).into());
        accounts.insert(key.clone(), Arc::clone(&shared));
        shared
    }

    fn all(&self) -> Vec<(Key, Shared)> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(key, shared)| (key.clone(), Arc::clone(shared))).collect()
    }

    /// Sends an update, and applies its outcome to the account.
    async fn send(
        &self,
        key: &Key,
        account: &mut Account,
        update: &UsageUpdate,
        now: Timestamp,
        until: Instant,
    ) -> Result<(), Fault> {
        let (payer, month) = key;
        let sending = self.store.usage_update(payer, *month, &self.environment, update);
        let response = timeout_at(until, sending).await;
        let outcome = response.unwrap_or_else(|_| Err(Fault::Unavailable("there was no response in time".to_owned())));
        let result = outcome.map(|outcome| account.apply_outcome(update, outcome, now));
        log_given_up(key, account);
        result
    }

    /// Settles one other account that is of another month or overdue, or any other where there are many accounts.
    async fn settle_another(&self, but: &Key, now: Timestamp, until: Instant) {
        let all = self.all();
        let many = all.len() > ACCOUNTS;
        let waiting = all.into_iter().filter(|(key, _)| key != but).find_map(|(key, shared)| {
            let account = Arc::clone(&shared).try_lock_owned().ok()?;
            let over = key.1 != but.1 && !account.is_settled();
            (over || account.is_overdue(now) || many && !account.is_settled()).then_some((key, account))
        });
        if let Some((key, mut account)) = waiting
            && let Err(fault) = self.settle(&key, &mut account, now, until).await
        {
            let Loss { units, owed, requests } = account.at_stake();
            let (tenant, month, cause) = (key.0.tenant().as_str(), key.1.to_string(), fault.to_string());
            warn!(tenant, month, units, owed, requests, cause, "a report got no response");
        }
    }

    /// Reports everything that an account has to report, and gives back its units.
    async fn settle(&self, key: &Key, account: &mut Account, now: Timestamp, until: Instant) -> Result<(), Fault> {
        // The first report may only reveal whether an earlier update was applied.
        for _ in 0..2 {
            if account.is_settled() {
                break;
            }
            let update = account.report(now, &self.sequence);
            self.send(key, account, &update, now, until).await?;
        }
        Ok(())
    }
}

/// Logs what an account has given up, if anything.
fn log_given_up((payer, month): &Key, account: &mut Account) {
    if let Some(Loss { units, owed, requests }) = account.take_given_up() {
        let (tenant, month) = (payer.tenant().as_str(), month.to_string());
        warn!(tenant, month, units, owed, requests, "an update without a known outcome was given up");
    }
}

fn window(account: &Account, limit: u64, month: Month, now: Timestamp) -> Window {
    let (length, left) = (month.end().since(month.start()), month.end().since(now));
    Window { limit, remaining: account.remaining(limit), length, left }
}

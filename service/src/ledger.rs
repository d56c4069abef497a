//! An environment's accounts: the units that it holds of tenants' quotas, and what it has to report.

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

/// How long a request waits for a unit at most: two tries (`aws`). It is a part of the request's time (`http::serve`), and
/// leaves the handler the rest.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a request asks at most. Each time it knows the row better, and takes less.
const ROUNDS: usize = 8;
/// Accounts above this are settled before they are overdue, one for each account that is opened.
const ACCOUNTS: usize = 256;

type Key = (Payer, Month);
/// Locked while the row is asked, so that an account makes one update at a time.
type Shared = Arc<tokio::sync::Mutex<Account>>;

/// The accounts.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    config: MeterConfig,
    environment: Environment,
    sequence: Sequence,
    accounts: Mutex<HashMap<Key, Shared>>,
}

/// A request that may be served. To be [recorded](Ledger::record).
#[derive(Debug)]
pub struct Admission {
    account: Shared,
    /// What the client is told of the quota.
    pub window: Window,
}

/// A month's quota as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The requests that it allows.
    pub limit: u64,
    /// Those that remain, as far as this environment sees.
    pub remaining: u64,
    /// How long the month is.
    pub length: Duration,
    /// How long until it ends.
    pub left: Duration,
}

/// Why a request may not be served.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The quota is used up.
    #[error("the quota is used up")]
    UsedUp(Window),
    /// The tenant is being offboarded.
    #[error("the tenant is being offboarded")]
    Closed,
    /// The row cannot be asked, and no unit is held.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Nobody knows the limit: a defect in the deployment.
    #[error(transparent)]
    UnknownPlan(#[from] UnknownPlan),
}

impl Ledger {
    /// The accounts of a new environment: none.
    #[must_use]
    pub fn new(store: Store, config: MeterConfig) -> Self {
        let (environment, sequence) = (Environment::generate(), Sequence::default());
        Self { store, config, environment, sequence, accounts: Mutex::default() }
    }

    /// Spends a unit for a request. Most of them find one here; others ask the row for a block, and wait for that until
    /// the request's deadline at most. `now` decides which month pays.
    pub async fn spend(&self, caller: &Caller, now: Timestamp, deadline: Instant) -> Result<Admission, SpendError> {
        let until = deadline.min(Instant::now() + PATIENCE);
        let month = Month::of(now);
        let key = (caller.payer(), month);
        let shared = self.account(&key, now);
        let Ok(mut account) = timeout_at(until, shared.lock()).await else {
            return Err(Fault::Unavailable("another request is still asking for a unit".to_owned()).into());
        };
        let mut asked = false;
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
            let asking = self.send(&key, &mut account, &update, now, until);
            // Who has to wait for the table takes the time to settle what lies about.
            let outcome =
                if asked { asking.await } else { tokio::join!(asking, self.settle_another(&key, now, until)).0 };
            asked = true;
            match outcome {
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
        Err(Fault::Unavailable("the quota is changed by too many at once".to_owned()).into())
    }

    /// Notes what a request took, for the next report.
    pub async fn record(&self, admission: Admission, usage: Usage) {
        admission.account.lock().await.record(usage);
    }

    /// The memory of a function's environment, in MB.
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
            // Those that are held by somebody else as well are in use.
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

    /// Sends an update, and has the account hear of it.
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
        let outcome = timeout_at(until, sending).await;
        let heard =
            match outcome.unwrap_or_else(|_| Err(Fault::Unavailable("there was no response in time".to_owned()))) {
                Ok(outcome) => {
                    account.apply_outcome(update, outcome, now);
                    Ok(())
                }
                Err(fault) => Err(fault),
            };
        log_given_up(key, account);
        heard
    }

    /// Settles one account that waits for it: of a month that is over, or overdue; or, where there are many, any.
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

    /// Has the row know everything that an account has to say.
    async fn settle(&self, key: &Key, account: &mut Account, now: Timestamp, until: Instant) -> Result<(), Fault> {
        // The first update may only find out what became of the one before it.
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

/// Writes to the log what an account has given up, if it has.
fn log_given_up((payer, month): &Key, account: &mut Account) {
    if let Some(Loss { units, owed, requests }) = account.take_given_up() {
        let (tenant, month) = (payer.tenant().as_str(), month.to_string());
        warn!(tenant, month, units, owed, requests, "what is not known to be reported is given up");
    }
}

fn window(account: &Account, limit: u64, month: Month, now: Timestamp) -> Window {
    let (length, left) = (month.end().since(month.start()), month.end().since(now));
    Window { limit, remaining: account.remaining(limit), length, left }
}

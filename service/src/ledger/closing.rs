//! The shutdown of an execution environment: its accounts give back the units that they hold, and report the rest.
//!
//! Lambda leaves half a second for it, and a function with 256 MB has a seventh of a processor. With a request for each
//! account at once, each on a connection that has to be opened first, none of many would end in time. So a few requests are
//! in progress at a time, and the accounts with most at stake come first. The largest get an update each, which depends on
//! no other row. The others share transactions, which take two write capacity units for each row instead of one, but one
//! round trip for many rows. A transaction is cancelled for all its rows if another request writes one of them at the same
//! moment, so accounts that a transaction does not settle get an update of their own afterwards.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::{Key, Ledger, Shared, log_given_up};
use crate::domain::quota::{Account, Loss, UsageUpdate};
use crate::domain::time::Timestamp;
use crate::store::Fault;

/// The time that the shutdown may take: less than the 500 ms after which Lambda kills the execution environment.
const PATIENCE: Duration = Duration::from_millis(400);
/// The most requests in progress at a time.
const LANES: usize = 4;
/// The number of accounts that get an update each. With one transaction beside them, all lanes are in use.
const ALONE: usize = LANES - 1;
/// The most rows of a transaction. `DynamoDB` accepts 100, but with each row it becomes more likely that another request is
/// writing one of them.
const TOGETHER: usize = 25;
/// The most transactions for an account. The first report may only reveal whether an earlier update was applied.
const ROUNDS: usize = 2;
/// The most unsettled accounts that get a log line each.
const NAMED: usize = 5;

impl Ledger {
    /// Gives back all units and reports all usage, as far as Lambda leaves time for it, and logs what was left.
    pub async fn close(self: Arc<Self>) {
        let until = Instant::now() + PATIENCE;
        let closing = Closing {
            ledger: &self,
            now: Timestamp::now(),
            until,
            lanes: Semaphore::new(LANES),
            fault: OnceLock::new(),
        };
        let _late = timeout_at(until, closing.settle_all()).await;
        closing.log_unsettled();
    }
}

struct Closing<'a> {
    ledger: &'a Ledger,
    now: Timestamp,
    until: Instant,
    /// A permit for each request in progress. Permits are granted in the order in which they are requested.
    lanes: Semaphore,
    /// The first fault, if there was one.
    fault: OnceLock<Fault>,
}

/// An account that no request uses at the moment.
struct Held {
    key: Key,
    account: OwnedMutexGuard<Account>,
}

impl Closing<'_> {
    async fn settle_all(&self) {
        let (free, in_use) = self.accounts();
        let (alone, together) = shares(free);
        // The futures are polled in this order, so the lanes are granted in this order.
        tokio::join!(
            join_all(alone.into_iter().map(|held| self.settle(held))),
            join_all(together.into_iter().map(|batch| self.settle_together(batch))),
            join_all(in_use.into_iter().map(|(key, shared)| self.settle_later(key, shared))),
        );
    }

    /// Returns the accounts with something to report, those with most at stake first, and the accounts that a request uses.
    fn accounts(&self) -> (Vec<Held>, Vec<(Key, Shared)>) {
        let (mut free, mut in_use) = (Vec::new(), Vec::new());
        for (key, shared) in self.ledger.all() {
            match Arc::clone(&shared).try_lock_owned() {
                Ok(account) if account.is_settled() => {}
                Ok(account) => free.push(Held { key, account }),
                Err(_) => in_use.push((key, shared)),
            }
        }
        free.sort_by_key(|held| Reverse(held.account.at_stake().total()));
        (free, in_use)
    }

    /// Settles an account by updates of its own.
    async fn settle(&self, mut held: Held) {
        let _lane = self.lanes.acquire().await;
        if let Err(fault) = self.ledger.settle(&held.key, &mut held.account, self.now, self.until).await {
            self.note(fault);
        }
    }

    /// Settles an account as soon as the request that uses it releases it.
    async fn settle_later(&self, key: Key, shared: Shared) {
        self.settle(Held { key, account: shared.lock_owned().await }).await;
    }

    /// Settles several accounts by transactions, and those that remain by an update each.
    async fn settle_together(&self, mut batch: Vec<Held>) {
        for _ in 0..ROUNDS {
            if batch.len() < 2 {
                break;
            }
            let lane = self.lanes.acquire().await;
            if let Err(fault) = self.report(&mut batch).await {
                self.note(fault);
                break;
            }
            drop(lane);
            batch.retain(|held| !held.account.is_settled());
        }
        join_all(batch.into_iter().map(|held| self.settle(held))).await;
    }

    /// Sends the reports of several accounts in one transaction, and applies the outcomes to the accounts.
    async fn report(&self, batch: &mut [Held]) -> Result<(), Fault> {
        let Ledger { store, environment, sequence, .. } = self.ledger;
        let update = |Held { key, account }: &mut Held| {
            let update = account.report(self.now, sequence);
            log_given_up(key, account);
            update
        };
        let updates: Vec<UsageUpdate> = batch.iter_mut().map(update).collect();
        let addressed =
            batch.iter().zip(&updates).map(|(Held { key: (payer, month), .. }, update)| (payer, *month, update));
        let outcomes = store.usage_update_all(environment, addressed).await?;
        for ((Held { key, account }, update), outcome) in batch.iter_mut().zip(&updates).zip(outcomes) {
            if let Some(outcome) = outcome {
                account.apply_outcome(update, outcome, self.now);
                log_given_up(key, account);
            }
        }
        Ok(())
    }

    fn note(&self, fault: Fault) {
        // The first fault is enough, because the others mostly have the same cause.
        let _another = self.fault.set(fault);
    }

    /// Logs what was not given back or not reported, which cannot be found out afterwards.
    fn log_unsettled(&self) {
        let (mut left, mut in_use) = (Vec::new(), 0_u64);
        for (key, shared) in self.ledger.all() {
            match shared.try_lock() {
                Ok(account) if account.is_idle() => {}
                Ok(account) => left.push((key, account.at_stake())),
                Err(_) => in_use += 1,
            }
        }
        if left.is_empty() && in_use == 0 {
            return;
        }
        left.sort_by_key(|(_, loss)| Reverse(loss.total()));
        for ((payer, month), Loss { units, owed, requests }) in left.iter().take(NAMED) {
            let (tenant, month) = (payer.tenant().as_str(), month.to_string());
            warn!(tenant, month, units, owed, requests, "not all was given back and reported");
        }
        let cause = self.fault.get().map_or_else(|| "there was no time".to_owned(), ToString::to_string);
        let Loss { units, owed, requests } = left.iter().map(|(_, loss)| *loss).sum();
        let accounts = left.len();
        warn!(
            accounts,
            units,
            owed,
            requests,
            in_use,
            cause,
            "the execution environment ends before all was given back and reported"
        );
    }
}

/// Divides accounts, largest first, into those that get an update each, and batches that share a transaction.
fn shares<T>(mut sorted: Vec<T>) -> (Vec<T>, Vec<Vec<T>>) {
    let mut rest = sorted.split_off(ALONE.min(sorted.len()));
    let mut together = Vec::new();
    while !rest.is_empty() {
        let after = rest.split_off(TOGETHER.min(rest.len()));
        together.push(std::mem::replace(&mut rest, after));
    }
    (sorted, together)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_get_an_update_each_and_the_others_share_transactions() {
        let sizes = |accounts: usize| {
            let (alone, together) = shares((0..accounts).collect());
            let all: Vec<usize> = alone.iter().chain(together.iter().flatten()).copied().collect();
            assert_eq!(all, (0..accounts).collect::<Vec<_>>(), "each once, and in their order");
            (alone.len(), together.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(sizes(0), (0, vec![]));
        assert_eq!(sizes(2), (2, vec![]));
        assert_eq!(sizes(4), (3, vec![1]));
        assert_eq!(sizes(28), (3, vec![25]));
        assert_eq!(sizes(40), (3, vec![25, 12]));
    }
}

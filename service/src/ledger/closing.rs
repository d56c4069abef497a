//! The end of an environment: its accounts give back what they hold, and report what they have not.
//!
//! Lambda leaves half a second for it, and an environment of 256 MB has a seventh of a processor. With a request for each
//! account at once, each on a connection that has to be opened first, none of many would be done in time. So a few requests
//! are under way at a time, and the accounts with most at stake come first. The largest have an update each, which depends
//! on no other row. The others share transactions, which take two write units for each row instead of one, but one round
//! trip for many rows. A transaction is cancelled for all its rows if one of them is written by somebody else at the same
//! moment, so whatever a transaction does not settle has an update of its own afterwards.
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

/// How long the last words of an environment may take: less than the 500 ms after which Lambda kills it.
const LAST_WORDS: Duration = Duration::from_millis(400);
/// How many requests are under way at a time.
const LANES: usize = 4;
/// How many accounts have an update each: with one transaction beside them, all lanes are in use.
const ALONE: usize = LANES - 1;
/// How many rows a transaction has at most. `DynamoDB` takes 100, but the more there are, the likelier it is that one of
/// them is just being written.
const TOGETHER: usize = 25;
/// How often an account is asked about with others. The first update may only find out what became of the one before it.
const ROUNDS: usize = 2;
/// How many of the accounts that have something left are named in the log.
const NAMED: usize = 5;

impl Ledger {
    /// Gives back and reports everything, as far as Lambda leaves time for it, and says what was left.
    pub async fn close(self: Arc<Self>) {
        let until = Instant::now() + LAST_WORDS;
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
    /// A permit for each request under way. They are given in the order of asking.
    lanes: Semaphore,
    /// Why something was left, if it was not for the time alone.
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
        // Polled in this order, so the lanes are given in this order.
        tokio::join!(
            join_all(alone.into_iter().map(|held| self.settle(held))),
            join_all(together.into_iter().map(|batch| self.settle_together(batch))),
            join_all(in_use.into_iter().map(|(key, shared)| self.settle_later(key, shared))),
        );
    }

    /// The accounts with something to say, those with most at stake first; and those that a request uses.
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

    /// Settles an account as soon as the request that uses it leaves it alone.
    async fn settle_later(&self, key: Key, shared: Shared) {
        self.settle(Held { key, account: shared.lock_owned().await }).await;
    }

    /// Settles several accounts by transactions, and whatever is left of them by updates.
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

    /// Sends the reports of several accounts in one transaction, and has the accounts hear of it.
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
        // The first is enough: the others mostly say the same.
        let _another = self.fault.set(fault);
    }

    /// Writes to the log what was not given back or not reported. Nobody can tell it afterwards.
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
            units, owed, requests, in_use, cause, "the environment ends before all was given back and reported"
        );
    }
}

/// Which accounts have an update each, and which share a transaction. They come with the largest first.
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
    fn the_largest_have_an_update_each_and_the_others_share_transactions() {
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

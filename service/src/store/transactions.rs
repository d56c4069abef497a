//! A tenant's transactions: operations on its records. One request to the table, and one before it where an operation
//! needs to know what is there.
//!
//! What was read is held to when it is written, by conditions of our own. When they fail, somebody else was faster, and
//! the transaction starts again; when a condition fails that the tenant gave, the transaction fails.
//!
//! An attempt whose response was lost is sent again as it is, with its token, until it is known what became of it: a plan
//! is given up for another one only when it certainly was not, and will not be, carried out. A plan's mark stays with all
//! that it writes, so that it is recognized even without the token.

mod plan;

use std::collections::HashMap;

use self::plan::Plan;
use super::idempotency::{Keeping, answered};
use super::item::Item;
use super::keys::Key;
use super::table::{Attempt, Attempts, Backoff, Consistency, Token, Verdict};
use super::{Fault, Store, TransactError};
use crate::domain::caller::{Access, RecordsWrite};
use crate::domain::idempotency::{Keep, Written};
use crate::domain::record::Version;
use crate::domain::transaction::Transaction;

/// What was read, by its key. What was not there is absent.
type Found = HashMap<Key, Item>;

/// The versions of the records that a transaction wrote, by the operations' places.
type Versions = Vec<Option<Version>>;

impl Store {
    /// Makes all operations happen, or none.
    pub async fn transaction_commit(
        &self,
        access: &Access<RecordsWrite>,
        transaction: &Transaction<'_>,
        keep: Option<&Keep<'_, Versions>>,
    ) -> Result<Written<Versions>, TransactError> {
        let mut attempts = Attempts::repeatable(Backoff::patient());
        let found = self.read(access, transaction).await?;
        let mut plan = Plan::new(access, transaction, found)?;
        self.collection_ensure_all(access, plan::new_collections(transaction), plan.now()).await?;
        let mut token = Token::generate();
        loop {
            let mut items = plan.changes();
            if let Some(keep) = keep {
                let kept = (keep.answer)(&plan.versions());
                let kept = kept.ok_or_else(|| Fault::unbuilt("the answer cannot be written"))?;
                let (tenant, mark, now) = (access.tenant(), plan.mark(), plan.now());
                items.push(Keeping { tenant, once: keep.once, kept, mark, now }.change());
            }
            match self.table.attempt(&mut attempts, &token, items).await? {
                Attempt::Written => return Ok(Written::Now(plan.versions())),
                Attempt::Conflict => return Err(TransactError::Conflict),
                Attempt::Again => {}
                Attempt::Rejected(mut verdicts) => {
                    let key = if keep.is_some() { verdicts.pop() } else { None };
                    // The key decides, whatever became of the rest: what it was used for may be why the rest is refused.
                    if let (Some(keep), Some(Verdict::Failed(Some(item)))) = (keep, key) {
                        return Ok(Written::Before(answered(keep.once, plan.mark(), item)?));
                    }
                    if plan.made_one_of(&verdicts) {
                        return Ok(Written::Now(plan.versions()));
                    }
                    // An earlier attempt may still arrive, and find that the conditions hold.
                    if let Some(fault) = attempts.doubt() {
                        return Err(fault.into());
                    }
                    plan.check(&verdicts)?;
                    if !attempts.pause().await {
                        return Err(TransactError::Conflict);
                    }
                }
            }
            token = token.after(&attempts);
            // A plan that rests on nothing read, or that may still be carried out, is sent again as it is.
            if plan::reads(transaction) && !attempts.in_doubt() {
                let found = self.read(access, transaction).await?;
                plan = Plan::new(access, transaction, found)?;
            }
        }
    }

    /// Reads what the plan for a transaction depends on, strongly consistent.
    async fn read(&self, access: &Access<RecordsWrite>, transaction: &Transaction<'_>) -> Result<Found, TransactError> {
        let operations = transaction.operations().iter().filter(|operation| plan::needs_to_know(operation));
        let keys = operations.map(|operation| plan::key(access, operation)).collect();
        let items = self.table.get_many(keys, Consistency::Strong, &[]).await?;
        items.into_iter().map(|item| Ok((Key::of(&item)?, item))).collect()
    }
}

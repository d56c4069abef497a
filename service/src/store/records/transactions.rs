//! A tenant's transactions: several operations on records that are applied together or not at all. A transaction is one
//! request to the table, preceded by a read if an operation depends on the current state.
//!
//! Every item that was read is protected by a condition of our own when it is written. When such a condition fails, another
//! request changed the item in between, and the transaction starts again. When a condition of the tenant fails, the
//! transaction fails.
//!
//! An attempt whose response was lost is retried unchanged, with its client request token, until its result is known: a plan
//! is replaced by another one only when it certainly was not applied and will not be. The mark of a plan is stored in every
//! item that the plan writes, so that the plan is recognized even without the token.

mod plan;

use std::collections::HashMap;

use self::plan::Plan;
use crate::domain::caller::{Access, RecordsWrite};
use crate::domain::idempotency::{Applied, ReplyTo};
use crate::domain::record::Version;
use crate::domain::transaction::Transaction;
use crate::store::item::Item;
use crate::store::keys::Key;
use crate::store::stored_replies::{PendingReply, replay};
use crate::store::table::{Attempt, Attempts, Backoff, Consistency, Token, Verdict};
use crate::store::{Store, TransactError};

/// The items that were read, by their primary keys. An item that does not exist has no entry.
type Found = HashMap<Key, Item>;

/// The versions of the records that a transaction wrote, in the order of its operations.
type Versions = Vec<Option<Version>>;

impl Store {
    /// Applies all operations, or none.
    pub async fn transaction_commit(
        &self,
        access: &Access<RecordsWrite>,
        transaction: &Transaction<'_>,
        reply: &dyn ReplyTo<Versions>,
    ) -> Result<Applied<Versions>, TransactError> {
        let mut attempts = Attempts::repeatable(Backoff::patient());
        let found = self.read(access, transaction).await?;
        let mut plan = Plan::new(access, transaction, found)?;
        self.collection_ensure_all(access, plan::new_collections(transaction), plan.now()).await?;
        let mut token = Token::generate();
        loop {
            let mut items = plan.changes();
            let pending = PendingReply::to(&plan.versions(), reply, access.tenant(), plan.mark(), plan.now())?;
            items.extend(pending.map(PendingReply::write));
            match self.table.attempt(&mut attempts, &token, items).await? {
                Attempt::Written => return Ok(Applied::Now(plan.versions())),
                Attempt::Conflict => return Err(TransactError::Conflict),
                Attempt::Again => {}
                Attempt::Rejected(mut verdicts) => {
                    if let Some(request) = reply.request()
                        // The stored reply decides, whatever the other verdicts are: its own transaction may be why they fail.
                        && let Some(Verdict::Failed(Some(item))) = verdicts.pop()
                    {
                        return Ok(Applied::Before(replay(request, plan.mark(), item)?));
                    }
                    if plan.wrote_one_of(&verdicts) {
                        return Ok(Applied::Now(plan.versions()));
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
            // A plan that read nothing, or that may still be applied, is retried unchanged.
            if plan::reads(transaction) && !attempts.in_doubt() {
                let found = self.read(access, transaction).await?;
                plan = Plan::new(access, transaction, found)?;
            }
        }
    }

    /// Reads the items that the plan for a transaction depends on, strongly consistent.
    async fn read(&self, access: &Access<RecordsWrite>, transaction: &Transaction<'_>) -> Result<Found, TransactError> {
        let operations = transaction.operations().iter().filter(|operation| plan::needs_item(operation));
        let keys = operations.map(|operation| plan::key(access, operation)).collect();
        let items = self.table.get_many(keys, Consistency::Strong, &[]).await?;
        items.into_iter().map(|item| Ok((Key::of(&item)?, item))).collect()
    }
}

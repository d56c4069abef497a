//! A tenant's transactions: operations on its records. One request to the table, and one before it where an operation
//! needs to know what is there.
//!
//! What was read is held to when it is written, by conditions of our own. When they fail, somebody else was faster, and
//! the transaction starts again; when a condition fails that the tenant gave, the transaction fails.
//!
//! A plan's mark stays with all that it writes, so that a try which arrives after it was given up is found. Deletes and
//! checks leave nothing to find. A transaction of them alone has one plan only, and a try of it is known by its token.

mod backoff;
mod plan;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use self::backoff::Backoff;
use self::plan::Plan;
use super::collections::KnownCollections;
use super::idempotency::{Keeping, answered};
use super::item::Item;
use super::keys::Key;
use super::transaction::{Token, Try, Verdict};
use super::{Fault, Store, TransactError};
use crate::caller::{Access, RecordsWrite};
use crate::idempotency::{Keep, Written};
use crate::record::Version;
use crate::transaction::Transaction;

/// What was read, by its key. What was not there is absent.
type Found = HashMap<Key, Item>;

/// The versions of the records that a transaction wrote, by the operations' places.
type Versions = Vec<Option<Version>>;

impl Store {
    /// Makes all operations happen, or none.
    pub async fn commit_transaction(
        &self,
        access: &Access<RecordsWrite>,
        known: &KnownCollections,
        transaction: &Transaction<'_>,
        keep: Option<&Keep<'_, Versions>>,
    ) -> Result<Written<Versions>, TransactError> {
        let mut backoff = Backoff::start();
        let found = self.read(access, transaction).await?;
        let mut plan = Plan::new(self, access, transaction, found)?;
        self.ensure_collections(known, access, plan::new_collections(transaction), plan.now()).await?;
        let mut past = Vec::new();
        let mut token = Token::generate();
        loop {
            let mut items = plan.items();
            if let Some(keep) = keep {
                let kept = (keep.answer)(&plan.versions());
                let kept = kept.ok_or_else(|| Fault::unbuilt("the answer cannot be written"))?;
                let (tenant, mark, now) = (access.tenant(), plan.mark(), plan.now());
                items.push(Keeping { tenant, once: keep.once, kept, mark, now }.change().in_transaction(self)?);
            }
            let lost = match self.try_transact(&token, items).await? {
                Try::Written => return Ok(Written::Now(plan.versions())),
                Try::Refused(mut verdicts) => {
                    let key = if keep.is_some() { verdicts.pop() } else { None };
                    let plans = past.iter().chain([&plan]);
                    // The key decides, whatever became of the rest: what it was used for may be why the rest is refused.
                    if let (Some(keep), Some(Verdict::Failed(Some(item)))) = (keep, key) {
                        let mark = plan::made_one_of([&item], plans).map_or("", Plan::mark);
                        return Ok(Written::Before(answered(keep.once, mark, item)?));
                    }
                    if let Some(happened) = plan::made_one_of(plan::failed(&verdicts), plans) {
                        return Ok(Written::Now(happened.versions()));
                    }
                    plan.check(&verdicts)?;
                    false
                }
                Try::Passing { lost, .. } => lost,
            };
            if !backoff.pause().await {
                return Err(TransactError::Conflict);
            }
            token.after(lost);
            // A plan that rests on nothing read is sent again as it is.
            if plan::reads(transaction) {
                let found = self.read(access, transaction).await?;
                if let Some(happened) = plan::made_one_of(found.values(), past.iter().chain([&plan])) {
                    return Ok(Written::Now(happened.versions()));
                }
                let next = Plan::new(self, access, transaction, found)?;
                past.push(std::mem::replace(&mut plan, next));
                token = Token::generate();
            }
        }
    }

    /// Reads what the plan for a transaction depends on, strongly consistent.
    async fn read(&self, access: &Access<RecordsWrite>, transaction: &Transaction<'_>) -> Result<Found, TransactError> {
        let operations = transaction.operations().iter().filter(|operation| plan::needs_to_know(operation));
        let mut keys: Vec<_> = operations.map(|operation| plan::key(access, operation).into_map()).collect();
        let mut found = Found::new();
        let mut backoff = Backoff::start();
        while !keys.is_empty() {
            let asked = keys.len();
            let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let request = request.build().map_err(Fault::unbuilt)?;
            let answer = self.client.batch_get_item().request_items(&self.table, request).send().await;
            let answer = answer.map_err(Fault::from)?;
            for item in answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default() {
                found.insert(Key::of(&item)?, item);
            }
            // An answer has 16 MB at most, and less where the table is throttled: then it can be without any.
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
            keys = left.map(|left| left.keys).unwrap_or_default();
            if keys.len() == asked && !backoff.pause().await {
                return Err(Fault::Unavailable("keys were left out of a batch".to_owned()).into());
            }
        }
        Ok(found)
    }
}

//! The writes of a transaction, and the interpretation of their failed conditions.

use std::collections::HashSet;

use ulid::Ulid;

use super::{Found, Versions};
use crate::domain::caller::{Access, RecordsWrite};
use crate::domain::data::DataError;
use crate::domain::record::{CollectionName, Draft, Version};
use crate::domain::time::Timestamp;
use crate::domain::transaction::{Action, FailedOperation, MAX_BYTES, Operation, OperationError, Transaction};
use crate::store::document::is_expired;
use crate::store::expression::{Condition, EXISTS};
use crate::store::item::Item;
use crate::store::keys::{self, Key};
use crate::store::marks::wrote_one_of;
use crate::store::records::{Before, Write, in_version, live_from_item};
use crate::store::table::{ItemWrite, Verdict};
use crate::store::{Fault, TransactError};

/// An upper bound of the bytes of an item without its primary key and its data: the names of its attributes, four numbers and a mark.
const BESIDE_DATA: usize = 150;

/// A set of writes that applies a transaction to the items that were read before.
pub(super) struct Plan {
    /// A value that is unique to the plan, and that every item contains which the plan writes.
    mark: String,
    now: Timestamp,
    steps: Vec<Step>,
}

/// The part of a plan that applies one operation.
struct Step {
    change: ItemWrite,
    guards: Guards,
    /// The version of the record afterwards, if the operation writes it.
    version: Option<Version>,
    /// The number of bytes that are written.
    bytes: usize,
}

/// What the condition of a step ensures.
#[derive(Clone, Copy)]
enum Guards {
    /// The item is unchanged since it was read. This condition is our own.
    Read,
    /// The record is absent. This condition is the tenant's.
    Absence,
    /// The record exists, possibly in a certain version. This condition is the tenant's.
    Presence,
}

/// Why no plan can apply an operation.
enum Impossible {
    Rejected(OperationError),
    Data(DataError),
    Fault(Fault),
}

impl From<Fault> for Impossible {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Returns the primary key of the record that an operation concerns.
pub(super) fn key(access: &Access<RecordsWrite>, operation: &Operation<'_>) -> Key {
    Key { pk: keys::records(access.tenant(), &operation.collection), sk: operation.id.as_str().to_owned() }
}

/// Returns whether the step of an operation depends on the current item. A put over a version that the tenant names does not: its next
/// version is known, and the update leaves the other attributes as they are.
pub(super) fn needs_item(operation: &Operation<'_>) -> bool {
    matches!(operation.action, Action::Put(_, None) | Action::Patch(..))
}

/// Returns whether the step of any operation depends on the current item.
pub(super) fn reads(transaction: &Transaction<'_>) -> bool {
    transaction.operations().iter().any(needs_item)
}

/// Returns the collections of the records that a transaction may create.
pub(super) fn new_collections<'a>(transaction: &'a Transaction<'_>) -> HashSet<&'a CollectionName> {
    let may_be_new = |operation: &&Operation<'_>| matches!(operation.action, Action::Create(_) | Action::Put(_, None));
    transaction.operations().iter().filter(may_be_new).map(|operation| &operation.collection).collect()
}

impl Plan {
    /// Plans a transaction. Fails if the items that were read already show that a condition does not hold.
    pub(super) fn new(
        access: &Access<RecordsWrite>,
        transaction: &Transaction<'_>,
        mut found: Found,
    ) -> Result<Self, TransactError> {
        let mut plan = Self { mark: Ulid::generate().to_string(), now: Timestamp::now(), steps: Vec::new() };
        let mut failures = Vec::new();
        for (place, operation) in transaction.operations().iter().enumerate() {
            match plan.step(access, operation, found.remove(&key(access, operation))) {
                Ok(step) => plan.steps.push(step),
                Err(Impossible::Rejected(error)) => failures.push(FailedOperation { operation: place, error }),
                Err(Impossible::Data(error)) => return Err(TransactError::Data { operation: place, error }),
                Err(Impossible::Fault(fault)) => return Err(fault.into()),
            }
        }
        if !failures.is_empty() {
            return Err(TransactError::Failed(failures));
        }
        let bytes = plan.steps.iter().map(|step| step.bytes).sum();
        if bytes > MAX_BYTES { Err(TransactError::TooLarge(bytes)) } else { Ok(plan) }
    }

    /// Returns whether this plan was applied: one of the items on which a condition failed has the mark of the plan.
    pub(super) fn wrote_one_of(&self, verdicts: &[Verdict]) -> bool {
        wrote_one_of(verdicts, &self.mark)
    }

    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn changes(&self) -> Vec<ItemWrite> {
        self.steps.iter().map(|step| step.change.clone()).collect()
    }

    pub(super) fn versions(&self) -> Versions {
        self.steps.iter().map(|step| step.version).collect()
    }

    /// Fails if a condition of the tenant does not hold. If only our own conditions fail, another plan may succeed.
    pub(super) fn check(&self, verdicts: &[Verdict]) -> Result<(), TransactError> {
        let mut failures = Vec::new();
        for (operation, (step, verdict)) in self.steps.iter().zip(verdicts).enumerate() {
            let Verdict::Failed(item) = verdict else { continue };
            let error = match (step.guards, item) {
                (Guards::Read, _) => continue,
                (Guards::Absence, _) => OperationError::Exists,
                (Guards::Presence, Some(item)) if !is_expired(item, self.now) => OperationError::OtherVersion,
                (Guards::Presence, _) => OperationError::NotFound,
            };
            failures.push(FailedOperation { operation, error });
        }
        if failures.is_empty() { Ok(()) } else { Err(TransactError::Failed(failures)) }
    }

    fn step(
        &self,
        access: &Access<RecordsWrite>,
        operation: &Operation<'_>,
        found: Option<Item>,
    ) -> Result<Step, Impossible> {
        let Operation { collection, id, action } = operation;
        let write = Write { tenant: access.tenant(), collection, id, now: self.now, mark: self.mark.clone() };
        let (change, version, guards, bytes) = match action {
            Action::Create(draft) => {
                let record = write.put_over(None, draft.clone()).record;
                let change = write.insert(&record, Condition::default().vacant(self.now));
                (change, Some(record.version), Guards::Absence, bytes(&write, draft))
            }
            Action::Put(draft, None) => {
                let before = found.as_ref().map(Before::of).transpose()?;
                let live = before.filter(|_| found.as_ref().is_some_and(|item| !is_expired(item, self.now)));
                let record = write.put_over(live, draft.clone()).record;
                let unchanged = match before {
                    Some(before) => in_version(before.version),
                    None => Condition::default().vacant(self.now),
                };
                let change = write.insert(&record, unchanged);
                (change, Some(record.version), Guards::Read, bytes(&write, draft))
            }
            Action::Put(draft, Some(version)) => {
                let change = write.update(draft, self.presence(Some(*version)));
                (change, Some(version.next()), Guards::Presence, bytes(&write, draft))
            }
            Action::Patch(patch, wanted) => {
                let old = found.map(|item| live_from_item(collection, item, self.now)).transpose()?.flatten();
                let old = old.ok_or(Impossible::Rejected(OperationError::NotFound))?;
                if wanted.is_some_and(|wanted| wanted != old.version) {
                    return Err(Impossible::Rejected(OperationError::OtherVersion));
                }
                let data = match patch.data {
                    Some(patch) => old.data.merge(patch).map_err(Impossible::Data)?,
                    None => old.data.clone(),
                };
                let draft = Draft { data, expires_at: patch.expiry.of(old.expires_at) };
                let bytes = bytes(&write, &draft);
                let record = write.put_over(Some(Before::from(&old)), draft).record;
                (write.insert(&record, in_version(old.version)), Some(record.version), Guards::Read, bytes)
            }
            Action::Delete(version) => {
                (ItemWrite::delete(write.key(), self.presence(*version)), None, Guards::Presence, 0)
            }
            Action::Check(version) => {
                (ItemWrite::check(write.key(), self.presence(*version)), None, Guards::Presence, 0)
            }
        };
        Ok(Step { change, guards, version, bytes })
    }

    /// Returns the condition that a record exists, in this version if there is one.
    fn presence(&self, version: Option<Version>) -> Condition {
        version.map_or_else(Condition::default, in_version).and(EXISTS).not_expired(self.now)
    }
}

fn bytes(write: &Write<'_>, draft: &Draft) -> usize {
    let Key { pk, sk } = write.key();
    pk.len() + sk.len() + draft.data.as_str().len() + BESIDE_DATA
}

//! Tenants' whole rows, as operators change them, with the items that change in the same transaction.

mod item;

use aws_sdk_dynamodb::types::AttributeValue;
use rand::seq::SliceRandom;

use item::{PENDING, from_item, id_of, to_item};

use super::{IN_INDEX, LISTED, issuers, tenant_keys};
use crate::domain::caller::Operator;
use crate::domain::issuer::Issuer;
use crate::domain::month::Month;
use crate::domain::offboarding;
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::lifecycle::ManagedTenant;
use crate::domain::tenant::{Status, TenantId};
use crate::domain::tenant_key::TenantKey;
use crate::domain::time::Timestamp;
use crate::store::expression::{ABSENT, Condition};
use crate::store::item::number;
use crate::store::keys::{self, Key};
use crate::store::query::{Partition, query};
use crate::store::quota::terms;
use crate::store::table::{Consistency, ItemWrite, Outcome, Query, Verdict, unexpected_rejection};
use crate::store::{Fault, ListError, Store};

/// The condition that the row was not written since it was read.
const SAME_REVISION: &str = "#revision = :revision";

/// The reason why a tenant's row was not written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another request wrote the row since it was read.
    #[error("the tenant was changed by another request")]
    Outdated,
    /// Another tenant has the name.
    #[error("another tenant has this name")]
    NameTaken,
    /// Another tenant has one of the issuers.
    #[error("another tenant has one of the issuers")]
    IssuerTaken,
    /// Another tenant has, or had, the id.
    #[error("the id was used before")]
    IdTaken,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The criteria of a list of tenants. All that are set have to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Only tenants on this plan.
    pub plan: Option<String>,
    /// Only tenants with this status.
    pub status: Option<Status>,
}

/// The changes of other items in the transaction that writes a tenant's row.
#[derive(Debug, Clone, Default)]
struct Related<'a> {
    reserve_name: Option<&'a str>,
    release_name: Option<&'a str>,
    take_issuers: Vec<&'a Issuer>,
    release_issuers: Vec<&'a Issuer>,
    put_keys: Vec<&'a TenantKey>,
    end_keys: Vec<&'a TenantKey>,
    /// The month from which on a new plan or quota applies.
    set_terms: Option<Month>,
    /// The months whose usage rows are closed.
    close: Vec<Month>,
}

impl Store {
    /// Writes the row of a new tenant, and reserves its id, its name and its own issuers.
    pub async fn tenant_create(&self, _: &Operator, managed: &mut ManagedTenant) -> Result<(), SaveError> {
        let next = managed.clone();
        let related = Related {
            reserve_name: Some(&next.tenant.name),
            take_issuers: next.own_issuers.iter().collect(),
            ..Related::default()
        };
        self.write(managed, Condition::default().and(ABSENT), SaveError::IdTaken, related).await
    }

    /// Replaces the row that was read.
    pub async fn tenant_save(&self, _: &Operator, managed: &mut ManagedTenant) -> Result<(), SaveError> {
        self.overwrite(managed, Related::default()).await
    }

    /// Replaces the row `old`, whose name, plan, quota, own issuers or opaque keys may differ.
    pub async fn tenant_update(
        &self,
        _: &Operator,
        managed: &mut ManagedTenant,
        old: &ManagedTenant,
    ) -> Result<(), SaveError> {
        let next = managed.clone();
        let named = |list: &[Issuer], one: &Issuer| list.iter().any(|issuer| issuer.issuer == one.issuer);
        let has = |list: &[TenantKey], one: &TenantKey| list.iter().any(|key| key.digest == one.digest);
        let mut related = Related {
            take_issuers: next.own_issuers.iter().filter(|one| !old.own_issuers.contains(one)).collect(),
            release_issuers: old.own_issuers.iter().filter(|one| !named(&next.own_issuers, one)).collect(),
            put_keys: next.tenant_keys.iter().filter(|one| !old.tenant_keys.contains(one)).collect(),
            end_keys: old.tenant_keys.iter().filter(|one| !has(&next.tenant_keys, one)).collect(),
            ..Related::default()
        };
        // Names that differ only in case share one reservation, which stays.
        if keys::tenant_name(&next.tenant.name) != keys::tenant_name(&old.tenant.name) {
            related.reserve_name = Some(&next.tenant.name);
            related.release_name = Some(&old.tenant.name);
        }
        let terms = |managed: &ManagedTenant| (managed.tenant.plan.clone(), managed.tenant.quota);
        if terms(&next) != terms(old) {
            related.set_terms = Some(Month::of(Timestamp::now()));
        }
        self.overwrite(managed, related).await
    }

    /// Replaces the row of a tenant whose offboarding begins, and closes its usage rows.
    pub async fn tenant_close(&self, _: &Operator, managed: &mut ManagedTenant) -> Result<(), SaveError> {
        let close = managed.offboarding.iter().flat_map(|offboarding| offboarding::months(offboarding.closed_at));
        let close = close.collect();
        self.overwrite(managed, Related { close, ..Related::default() }).await
    }

    /// Replaces the row of a tenant by its tombstone. Its name and its issuers become free again, and its id does not.
    pub async fn tenant_bury(&self, _: &Operator, managed: &mut ManagedTenant) -> Result<(), SaveError> {
        let mut buried = managed.clone();
        buried.tenant.issuers.clear();
        buried.own_issuers.clear();
        buried.tenant_keys.clear();
        let related = Related {
            release_name: Some(&managed.tenant.name),
            release_issuers: managed.own_issuers.iter().collect(),
            end_keys: managed.tenant_keys.iter().collect(),
            ..Related::default()
        };
        self.overwrite(&mut buried, related).await?;
        *managed = buried;
        Ok(())
    }

    /// Reads a tenant's whole row, strongly consistent.
    pub async fn tenant_get_managed(&self, _: &Operator, id: &TenantId) -> Result<Option<ManagedTenant>, Fault> {
        self.table.get(keys::tenant(id), Consistency::Strong).await?.map(from_item).transpose()
    }

    /// Lists tenants by id, eventually consistent.
    pub async fn tenant_list(
        &self,
        _: &Operator,
        page: &PageRequest,
        filter: &TenantFilter,
    ) -> Result<Page<ManagedTenant>, ListError> {
        let mut condition = Condition::default();
        if let Some(plan) = &filter.plan {
            condition = condition.and("#plan = :plan").value(":plan", AttributeValue::S(plan.clone()));
        }
        if let Some(status) = filter.status {
            condition = condition.and("#status = :status").value(":status", AttributeValue::S(status.as_ref().into()));
        }
        let index = Partition::of_index("Tenants", (LISTED, IN_INDEX), keys::TENANT_SK);
        query(self, &index, page, Some(condition), |item| from_item(item).map(Some)).await
    }

    /// Lists all tenants with a change in progress, eventually consistent, in a random order. Many of the changes may have
    /// to wait, so a caller that has no time for all of them gets to each one eventually.
    pub async fn tenant_list_changing(&self, _: &Operator) -> Result<Vec<TenantId>, Fault> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let query = Query { index: Some("Changes"), start, ..Query::of(PENDING, IN_INDEX) };
            let page = self.table.query(query).await?;
            for item in page.items {
                found.push(id_of(&item)?);
            }
            start = page.last;
            if start.is_none() {
                break;
            }
        }
        found.shuffle(&mut rand::rng());
        Ok(found)
    }

    async fn overwrite(&self, managed: &mut ManagedTenant, related: Related<'_>) -> Result<(), SaveError> {
        let read = Condition::default().and(SAME_REVISION).value(":revision", number(managed.revision));
        self.write(managed, read, SaveError::Outdated, related).await
    }

    /// Writes a row and the related items in one transaction, and increments the revision.
    async fn write(
        &self,
        managed: &mut ManagedTenant,
        condition: Condition,
        rejected: SaveError,
        related: Related<'_>,
    ) -> Result<(), SaveError> {
        let next = ManagedTenant { revision: managed.revision + 1, ..managed.clone() };
        let mut items = vec![ItemWrite::put(to_item(&next)?, condition)];
        // The meaning of a failed condition, for each of the first items in their order. The others have no condition.
        let mut rejections = vec![rejected];
        if let Some(name) = related.reserve_name {
            let mut item = keys::tenant_name(name).into_map();
            item.insert("tenant".into(), AttributeValue::S(managed.id().to_string()));
            items.push(ItemWrite::put(item, Condition::default().and(ABSENT)));
            rejections.push(SaveError::NameTaken);
        }
        for issuer in related.take_issuers {
            items.push(issuers::claim(managed.id(), issuer)?);
            rejections.push(SaveError::IssuerTaken);
        }
        if let Some(name) = related.release_name {
            items.push(delete(keys::tenant_name(name)));
        }
        for issuer in related.release_issuers {
            items.push(delete(keys::issuer(&issuer.issuer)));
        }
        for key in related.put_keys {
            items.push(tenant_keys::put(managed.id(), key));
        }
        for key in related.end_keys {
            items.push(delete(keys::tenant_key(&key.digest)));
        }
        if let Some(month) = related.set_terms {
            items.extend(terms::set(&next.tenant, month));
        }
        for month in related.close {
            items.push(terms::close(managed.id(), month));
        }
        match self.table.transact(items).await? {
            Outcome::Written => {
                *managed = next;
                Ok(())
            }
            Outcome::Rejected { doubt: Some(fault), .. } => Err(fault.into()),
            Outcome::Rejected { verdicts, doubt: None } => {
                let failed =
                    rejections.into_iter().zip(verdicts).find(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
                Err(failed.map_or_else(|| unexpected_rejection().into(), |(rejection, _)| rejection))
            }
            // The conflict is with an update of a usage row, which is soon over, or with another change of the tenant's
            // row, which the next read will see.
            Outcome::Conflict => Err(SaveError::Outdated),
        }
    }
}

fn delete(key: Key) -> ItemWrite {
    ItemWrite::delete(key, Condition::default())
}

//! Tenants' whole rows, as operators change them, with the items that change in the same transaction.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rand::seq::SliceRandom;

use super::{IN_INDEX, LISTED, issuers, tenant_keys};
use crate::domain::caller::Operator;
use crate::domain::issuer::Issuer;
use crate::domain::month::Month;
use crate::domain::offboarding::{self, Look, Offboarding};
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::lifecycle::{Change, ChangeKind, Failure, FailureCode, KeyKind, ManagedTenant};
use crate::domain::tenant::{Status, TenantId};
use crate::domain::tenant_key::TenantKey;
use crate::domain::time::Timestamp;
use crate::store::expression::{ABSENT, Condition};
use crate::store::item::{Item, attribute, number, optional_number, read_number, take_string};
use crate::store::keys::{self, Key, PK};
use crate::store::query::{Partition, query};
use crate::store::quota::terms;
use crate::store::table::{Consistency, ItemWrite, Outcome, Query, Verdict, unexpected_rejection};
use crate::store::{Fault, ListError, Store};

const OWN_ISSUERS: &str = "ownIssuers";
const TENANT_KEYS: &str = "tenantKeys";
const PENDING: &str = "pending";
const LABELS: &str = "labels";
const KEY: &str = "key";
const KEY_ID: &str = "keyId";
const PLACED_IN: &str = "placedIn";
const REASON: &str = "reason";
const CLOSED_AT: &str = "closedAt";
const LOOKED_AT: &str = "lookedAt";
const LOOK_AFTER: &str = "lookAfter";
const LOOK_FOUND: &str = "lookFound";
const PURGED: &str = "purged";
const CHANGE: &str = "change";
const LEASED_UNTIL: &str = "leasedUntil";
const FAILURE: &str = "failure";
const FAILED_AT: &str = "failedAt";
const ATTEMPTS: &str = "attempts";
const REVISION: &str = "revision";

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
            condition = condition.and("#status = :status").value(":status", AttributeValue::S(status.as_str().into()));
        }
        let index = Partition::of_index("Tenants", (LISTED, IN_INDEX), keys::TENANT_SK);
        query(self, &index, page, Some(condition), |item| from_item(item).map(Some)).await
    }

    /// Lists all tenants with a change in progress, eventually consistent, in a random order. Many of the changes may have to
    /// wait, so a caller that has no time for all of them gets to each one eventually.
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
            items.push(deleting(keys::tenant_name(name)));
        }
        for issuer in related.release_issuers {
            items.push(deleting(keys::issuer(&issuer.issuer)));
        }
        for key in related.put_keys {
            items.push(tenant_keys::put(managed.id(), key));
        }
        for key in related.end_keys {
            items.push(deleting(keys::tenant_key(&key.digest)));
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
            // The conflict is with an update of a usage row, which is soon over, or with another change of the tenant's row,
            // which the next read will see.
            Outcome::Conflict => Err(SaveError::Outdated),
        }
    }
}

fn deleting(key: Key) -> ItemWrite {
    ItemWrite::delete(key, Condition::default())
}

fn id_of(item: &Item) -> Result<TenantId, Fault> {
    let pk = item.get(PK).and_then(|value| value.as_s().ok());
    pk.and_then(|pk| keys::tenant_of(pk)).ok_or_else(|| Fault::corrupt(PK))
}

fn to_item(managed: &ManagedTenant) -> Result<Item, Fault> {
    let ManagedTenant {
        tenant,
        own_issuers,
        tenant_keys,
        labels,
        key,
        key_id,
        placed_in,
        reason,
        created_at,
        updated_at,
        purged,
        offboarding,
        change,
        revision,
    } = managed;
    let string = |text: &str| AttributeValue::S(text.to_owned());
    let mut item = super::to_item(tenant);
    let own = own_issuers.iter().map(|issuer| issuers::to_text(issuer).map(AttributeValue::S));
    item.insert(OWN_ISSUERS.into(), AttributeValue::L(own.collect::<Result<_, _>>()?));
    item.insert(TENANT_KEYS.into(), AttributeValue::L(tenant_keys.iter().map(tenant_keys::to_value).collect()));
    let labels = labels.iter().map(|(name, value)| (name.clone(), string(value))).collect();
    item.insert(LABELS.into(), AttributeValue::M(labels));
    item.insert(KEY.into(), string(key.as_str()));
    for (name, value) in [(KEY_ID, key_id), (PLACED_IN, placed_in), (REASON, reason)] {
        if let Some(value) = value {
            item.insert(name.into(), string(value));
        }
    }
    item.insert(attribute::CREATED_AT.into(), number(created_at.as_millis()));
    item.insert(attribute::UPDATED_AT.into(), number(updated_at.as_millis()));
    item.insert(PURGED.into(), number(purged));
    if let Some(Offboarding { closed_at, looked_at, look: Look { after, found } }) = offboarding {
        item.insert(CLOSED_AT.into(), number(closed_at.as_millis()));
        item.extend(looked_at.map(|then| (LOOKED_AT.into(), number(then.as_millis()))));
        item.extend(after.as_deref().map(|after| (LOOK_AFTER.into(), string(after))));
        item.insert(LOOK_FOUND.into(), AttributeValue::Bool(*found));
    }
    item.insert(REVISION.into(), number(revision));
    if let Some(Change { kind, leased_until, failure }) = change {
        item.insert(CHANGE.into(), string(kind.as_str()));
        item.insert(LEASED_UNTIL.into(), number(leased_until.as_millis()));
        item.insert(PENDING.into(), string(IN_INDEX));
        if let Some(Failure { code, attempts, failed_at }) = failure {
            item.insert(FAILURE.into(), string(code.as_str()));
            item.insert(ATTEMPTS.into(), number(attempts));
            item.insert(FAILED_AT.into(), number(failed_at.as_millis()));
        }
    }
    Ok(item)
}

fn from_item(mut item: Item) -> Result<ManagedTenant, Fault> {
    let id = id_of(&item)?;
    let change = match optional_string(&mut item, CHANGE)? {
        None => None,
        Some(kind) => Some(Change {
            kind: ChangeKind::parse(&kind).ok_or_else(|| Fault::corrupt(CHANGE))?,
            leased_until: Timestamp::from_millis(read_number(&item, LEASED_UNTIL)?),
            failure: failure(&mut item)?,
        }),
    };
    // A row that was not written by the saga, such as one of a seed, lacks the attributes that only operators see.
    let millis = |name: &str| Ok::<_, Fault>(Timestamp::from_millis(optional_number(&item, name)?.unwrap_or_default()));
    let (created_at, updated_at) = (millis(attribute::CREATED_AT)?, millis(attribute::UPDATED_AT)?);
    let key = match optional_string(&mut item, KEY)? {
        None => KeyKind::default(),
        Some(key) => KeyKind::parse(&key).ok_or_else(|| Fault::corrupt(KEY))?,
    };
    Ok(ManagedTenant {
        own_issuers: own_issuers(&mut item)?,
        tenant_keys: list(&mut item, TENANT_KEYS)?
            .into_iter()
            .map(tenant_keys::from_value)
            .collect::<Result<_, _>>()?,
        labels: labels(&mut item)?,
        key,
        key_id: optional_string(&mut item, KEY_ID)?,
        placed_in: optional_string(&mut item, PLACED_IN)?,
        reason: optional_string(&mut item, REASON)?,
        created_at,
        updated_at,
        purged: optional_number(&item, PURGED)?.unwrap_or_default(),
        offboarding: offboarding(&mut item)?,
        change,
        revision: optional_number(&item, REVISION)?.unwrap_or_default(),
        tenant: super::from_item(id, item)?,
    })
}

/// Reads the failure of the last attempt of a change, if it failed.
fn failure(item: &mut Item) -> Result<Option<Failure>, Fault> {
    let Some(code) = optional_string(item, FAILURE)? else { return Ok(None) };
    Ok(Some(Failure {
        code: FailureCode::parse(&code).ok_or_else(|| Fault::corrupt(FAILURE))?,
        attempts: read_number(item, ATTEMPTS)?,
        failed_at: Timestamp::from_millis(read_number(item, FAILED_AT)?),
    }))
}

fn offboarding(item: &mut Item) -> Result<Option<Offboarding>, Fault> {
    let Some(closed_at) = optional_number(item, CLOSED_AT)? else { return Ok(None) };
    Ok(Some(Offboarding {
        closed_at: Timestamp::from_millis(closed_at),
        looked_at: optional_number(item, LOOKED_AT)?.map(Timestamp::from_millis),
        look: Look {
            after: optional_string(item, LOOK_AFTER)?,
            found: item.get(LOOK_FOUND) == Some(&AttributeValue::Bool(true)),
        },
    }))
}

fn optional_string(item: &mut Item, name: &str) -> Result<Option<String>, Fault> {
    if item.contains_key(name) { take_string(item, name).map(Some) } else { Ok(None) }
}

/// Takes a list, which rows of earlier versions lack.
fn list(item: &mut Item, name: &str) -> Result<Vec<AttributeValue>, Fault> {
    match item.remove(name) {
        None => Ok(Vec::new()),
        Some(AttributeValue::L(list)) => Ok(list),
        Some(_) => Err(Fault::corrupt(name)),
    }
}

fn own_issuers(item: &mut Item) -> Result<Vec<Issuer>, Fault> {
    let texts = list(item, OWN_ISSUERS)?;
    texts.iter().map(|text| issuers::from_text(text.as_s().map_err(|_| Fault::corrupt(OWN_ISSUERS))?)).collect()
}

fn labels(item: &mut Item) -> Result<BTreeMap<String, String>, Fault> {
    let Some(labels) = item.remove(LABELS) else { return Ok(BTreeMap::new()) };
    let AttributeValue::M(labels) = labels else { return Err(Fault::corrupt(LABELS)) };
    labels
        .into_iter()
        .map(|(name, value)| match value {
            AttributeValue::S(value) => Ok((name, value)),
            _ => Err(Fault::corrupt(LABELS)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::Tenant;

    #[test]
    fn a_row_comes_back() {
        let id = TenantId::generate();
        let tenant = Tenant {
            api_key: id.to_string(),
            id,
            name: "Acme".into(),
            plan: "free".into(),
            status: Status::Onboarding,
            issuers: vec!["https://issuer.example".into()],
            quota: Some(7),
        };
        let labels = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        let mut managed = ManagedTenant::new(tenant, KeyKind::Pooled, labels, Timestamp::from_millis(1));
        assert_eq!(from_item(to_item(&managed).unwrap()).unwrap(), managed);
        assert!(to_item(&managed).unwrap().contains_key(PENDING));
        for code in FailureCode::ALL {
            managed.fail(code, Timestamp::from_millis(2));
            assert_eq!(from_item(to_item(&managed).unwrap()).unwrap(), managed);
        }
        let mut unknown = to_item(&managed).unwrap();
        unknown.insert(FAILURE.into(), AttributeValue::S("tired".into()));
        assert!(matches!(from_item(unknown), Err(Fault::Corrupt(_))));
        managed.settle(Timestamp::from_millis(2));
        (managed.key_id, managed.placed_in) = (Some("k".into()), Some("free".into()));
        let own = serde_json::json!({"issuer": "https://own.example", "audiences": ["api"]});
        managed.own_issuers = vec![Issuer::stored(own.as_object().unwrap().clone()).unwrap()];
        let digest = crate::domain::tenant_key::digest(&crate::domain::tenant_key::generate()).unwrap();
        managed.rotate_keys(digest, std::time::Duration::ZERO, Timestamp::from_millis(3)).unwrap();
        (managed.reason, managed.purged, managed.revision) = (Some("why".into()), 3, 4);
        assert_eq!(from_item(to_item(&managed).unwrap()).unwrap(), managed);
        managed.offboarding = Some(Offboarding::begin(Timestamp::from_millis(5)));
        assert_eq!(from_item(to_item(&managed).unwrap()).unwrap(), managed);
        let look = Look { after: Some("notes".into()), found: true };
        let looked_at = Some(Timestamp::from_millis(6));
        managed.offboarding = Some(Offboarding { closed_at: Timestamp::from_millis(5), looked_at, look });
        assert_eq!(from_item(to_item(&managed).unwrap()).unwrap(), managed);
        assert!(!to_item(&managed).unwrap().contains_key(PENDING), "it leaves the index");
    }
}

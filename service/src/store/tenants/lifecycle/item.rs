//! A tenant's whole row as an item. Those of its attributes that the authorizer reads are those of [`tenants`].

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::issuer::Issuer;
use crate::domain::offboarding::{Look, Offboarding};
use crate::domain::tenant::TenantId;
use crate::domain::tenant::lifecycle::{Change, Failure, KeyKind, ManagedTenant};
use crate::domain::time::Timestamp;
use crate::store::Fault;
use crate::store::item::{Item, attribute, number, optional_number, read_number, take_string};
use crate::store::keys::{self, PK};
use crate::store::tenants::{self, IN_INDEX, issuers, tenant_keys};

const OWN_ISSUERS: &str = "ownIssuers";
const TENANT_KEYS: &str = "tenantKeys";
/// The attribute that puts a row into the index `Changes`.
pub(super) const PENDING: &str = "pending";
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

/// Reads the id in the primary key of a row.
pub(super) fn id_of(item: &Item) -> Result<TenantId, Fault> {
    let pk = item.get(PK).and_then(|value| value.as_s().ok());
    pk.and_then(|pk| keys::tenant_of(pk)).ok_or_else(|| Fault::corrupt(PK))
}

pub(super) fn to_item(managed: &ManagedTenant) -> Result<Item, Fault> {
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
    let mut item = tenants::to_item(tenant);
    let own = own_issuers.iter().map(|issuer| issuers::to_text(issuer).map(AttributeValue::S));
    item.insert(OWN_ISSUERS.into(), AttributeValue::L(own.collect::<Result<_, _>>()?));
    item.insert(TENANT_KEYS.into(), AttributeValue::L(tenant_keys.iter().map(tenant_keys::to_value).collect()));
    let labels = labels.iter().map(|(name, value)| (name.clone(), string(value))).collect();
    item.insert(LABELS.into(), AttributeValue::M(labels));
    item.insert(KEY.into(), string(key.as_ref()));
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
        item.insert(CHANGE.into(), string(kind.as_ref()));
        item.insert(LEASED_UNTIL.into(), number(leased_until.as_millis()));
        item.insert(PENDING.into(), string(IN_INDEX));
        if let Some(Failure { code, attempts, failed_at }) = failure {
            item.insert(FAILURE.into(), string(code.as_ref()));
            item.insert(ATTEMPTS.into(), number(attempts));
            item.insert(FAILED_AT.into(), number(failed_at.as_millis()));
        }
    }
    Ok(item)
}

pub(super) fn from_item(mut item: Item) -> Result<ManagedTenant, Fault> {
    let id = id_of(&item)?;
    let change = match optional_string(&mut item, CHANGE)? {
        None => None,
        Some(kind) => Some(Change {
            kind: kind.parse().map_err(|_| Fault::corrupt(CHANGE))?,
            leased_until: Timestamp::from_millis(read_number(&item, LEASED_UNTIL)?),
            failure: failure(&mut item)?,
        }),
    };
    // A row that was not written by the saga, such as one of a seed, lacks the attributes that only operators see.
    let millis = |name: &str| Ok::<_, Fault>(Timestamp::from_millis(optional_number(&item, name)?.unwrap_or_default()));
    let (created_at, updated_at) = (millis(attribute::CREATED_AT)?, millis(attribute::UPDATED_AT)?);
    let key = match optional_string(&mut item, KEY)? {
        None => KeyKind::default(),
        Some(key) => key.parse().map_err(|_| Fault::corrupt(KEY))?,
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
        tenant: tenants::from_item(id, item)?,
    })
}

/// Reads the failure of the last attempt of a change, if it failed.
fn failure(item: &mut Item) -> Result<Option<Failure>, Fault> {
    let Some(code) = optional_string(item, FAILURE)? else { return Ok(None) };
    Ok(Some(Failure {
        code: code.parse().map_err(|_| Fault::corrupt(FAILURE))?,
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
    use crate::domain::tenant::lifecycle::FailureCode;
    use crate::domain::tenant::{Status, Tenant};

    #[test]
    fn a_row_can_be_stored_and_read() {
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
            managed.fail(*code, Timestamp::from_millis(2));
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

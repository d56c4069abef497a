//! Primary keys: partition keys and sort keys.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Fault;
use super::item::Item;
use crate::domain::machine_token::Digest;
use crate::domain::month::Month;
use crate::domain::record::CollectionName;
use crate::domain::tenant::TenantId;

pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";

/// The maximum length of a sort key, in bytes. DynamoDB rejects a request with a longer one, or an empty one, as malformed.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub(super) const MAX_SORT_KEY_BYTES: usize = 1024;

const TENANT_PREFIX: &str = "TENANT#";
/// The end of the partition keys of usage rows.
const USAGE: &str = "#USAGE";
/// The sort key of tenants' rows.
pub(super) const TENANT_SK: &str = "TENANT";

/// An item's primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    /// Returns the primary key of an item.
    pub(super) fn of(item: &Item) -> Result<Self, Fault> {
        let part = |name: &str| {
            let part = item.get(name).and_then(|value| value.as_s().ok());
            part.cloned().ok_or_else(|| Fault::corrupt(name))
        };
        Ok(Self { pk: part(PK)?, sk: part(SK)? })
    }

    pub(super) fn into_map(self) -> HashMap<String, AttributeValue> {
        HashMap::from([(PK.into(), AttributeValue::S(self.pk)), (SK.into(), AttributeValue::S(self.sk))])
    }
}

/// Returns the partition key of a collection's records. The parts cannot contain a `#`, so no two partitions have the same.
pub(super) fn records(tenant: &TenantId, collection: &CollectionName) -> String {
    format!("T#{tenant}#R#{}", collection.as_str())
}

/// Returns the partition key of a tenant's collections.
pub(super) fn collections(tenant: &TenantId) -> String {
    format!("T#{tenant}#COLLECTIONS")
}

/// Returns the partition key of the rows of a tenant's kinds, by which the items of a kind are found without knowing it.
pub(super) fn kinds(tenant: &TenantId) -> String {
    format!("T#{tenant}#KINDS")
}

/// Returns the partition key of everything that belongs to a kind of a tenant: its items, their index entries, and the
/// counter of its numbers.
pub(super) fn kind(tenant: &TenantId, kind: &str) -> String {
    format!("T#{tenant}#I#{kind}")
}

/// The start of the sort keys of a kind's items. Their ids follow.
pub(super) const ITEM: &str = "I#";

/// The sort key of the counter of a kind's numbers.
pub(super) const COUNTER: &str = "N";

/// Returns the id of an item of a kind, as a client reads it, from the item's sort key.
pub(super) fn item_id(sk: &str) -> Option<String> {
    let id = sk.strip_prefix(ITEM)?;
    // A number has leading zeros in a sort key, so that numbers sort as numbers.
    Some(id.strip_prefix('#').map_or(id, |number| number.trim_start_matches('0')).to_owned())
}

/// Returns the start of the sort keys of an index of a kind, for one key of the index. The id of an item follows, which has
/// no `#` but the one at its start.
pub(super) fn index(name: &str, key: &str) -> String {
    // With these characters escaped, no two keys have the same prefix, and none is the start of another.
    let key = utf8_percent_encode(key, ESCAPED);
    format!("O#{name}#{key}#")
}

/// The characters that are escaped in the key of an index: the separator, the escape itself, and control characters.
const ESCAPED: &AsciiSet = &CONTROLS.remove(0x7f).add(b'#').add(b'%');

/// Returns the partition key of a tenant's machine tokens.
pub(super) fn tokens(tenant: &TenantId) -> String {
    format!("T#{tenant}#TOKENS")
}

/// Returns the primary key of a stored reply, by the hash of its route and its idempotency key. A tenant has 16 such
/// partitions, so that its writes are spread, and an offboarding can still find all of them.
pub(super) fn stored_reply(tenant: &TenantId, digest: &str) -> Key {
    let part = digest.get(..1).unwrap_or_default();
    Key { pk: format!("T#{tenant}#KEYS#{part}"), sk: digest.to_owned() }
}

/// Returns the partition keys of a tenant's stored replies.
pub(super) fn stored_reply_partitions(tenant: &TenantId) -> impl Iterator<Item = String> {
    (0..16).map(move |part| format!("T#{tenant}#KEYS#{part:x}"))
}

/// Returns the primary key of the usage row of a tenant's month.
pub(super) fn usage(tenant: &TenantId, month: Month) -> Key {
    Key { pk: format!("T#{tenant}{USAGE}"), sk: month.to_string() }
}

/// Returns the tenant whose usage rows have this partition key.
pub(super) fn user_of(pk: &str) -> Option<TenantId> {
    TenantId::parse(pk.strip_prefix("T#")?.strip_suffix(USAGE)?).ok()
}

/// Returns the primary key of a machine token's grant, by the digest of its secret.
pub(super) fn grant(digest: &Digest) -> Key {
    Key { pk: format!("TOKEN#{digest}"), sk: "TOKEN".into() }
}

/// Returns the primary key of a tenant's row.
pub(super) fn tenant(id: &TenantId) -> Key {
    Key { pk: format!("{TENANT_PREFIX}{id}"), sk: TENANT_SK.into() }
}

/// Returns the tenant whose row has this partition key.
pub(super) fn tenant_of(pk: &str) -> Option<TenantId> {
    TenantId::parse(pk.strip_prefix(TENANT_PREFIX)?).ok()
}

/// Returns the primary key of the item that reserves a tenant's name, whatever its case.
pub(super) fn tenant_name(name: &str) -> Key {
    Key { pk: format!("TENANTNAME#{}", name.to_lowercase()), sk: "TENANTNAME".into() }
}

/// Returns the primary key of the row of a machine client of the user pool.
pub(super) fn client(id: &str) -> Key {
    Key { pk: format!("CLIENT#{id}"), sk: "CLIENT".into() }
}

/// Returns the primary key of the row of a tenant's issuer, by its `iss`.
pub(super) fn issuer(iss: &str) -> Key {
    Key { pk: format!("ISSUER#{iss}"), sk: "ISSUER".into() }
}

/// Returns the primary key of the row of an opaque key, by its digest.
pub(super) fn tenant_key(digest: &Digest) -> Key {
    Key { pk: format!("TENANTKEY#{digest}"), sk: "TENANTKEY".into() }
}

/// Returns the primary key of an item that never exists, with which the health check reads the table.
pub(super) fn health() -> Key {
    Key { pk: "HEALTH".into(), sk: "HEALTH".into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_tenant() -> impl Strategy<Value = TenantId> {
        any::<u128>().prop_map(|n| TenantId::parse(&ulid::Ulid::from(n).to_string()).unwrap())
    }

    fn any_collection() -> impl Strategy<Value = CollectionName> {
        "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|name| CollectionName::parse(&name).unwrap())
    }

    /// Returns one of few owners, so that two of them often share a part.
    fn few_owners() -> impl Strategy<Value = (TenantId, CollectionName)> {
        let tenant = (0..2_u128).prop_map(|n| TenantId::parse(&ulid::Ulid::from(n).to_string()).unwrap());
        (tenant, "[ab]{1,2}".prop_map(|name| CollectionName::parse(&name).unwrap()))
    }

    #[test]
    fn every_stored_reply_is_in_one_of_the_partitions() {
        let tenant = TenantId::parse("01K0ACME000000000000000000").unwrap();
        let partitions: Vec<_> = stored_reply_partitions(&tenant).collect();
        let used: Vec<_> =
            "0123456789abcdef".chars().map(|digit| stored_reply(&tenant, &format!("{digit}7")).pk).collect();
        assert_eq!(partitions, used);
        assert_eq!(stored_reply(&tenant, "f7").pk, "T#01K0ACME000000000000000000#KEYS#f");
    }

    proptest! {
        #[test]
        fn partition_keys_of_a_tenants_items_start_with_the_tenant(tenant in any_tenant(), collection in any_collection()) {
            let prefix = format!("T#{tenant}#");
            prop_assert!(records(&tenant, &collection).starts_with(&prefix));
            prop_assert!(collections(&tenant).starts_with(&prefix));
            prop_assert!(tokens(&tenant).starts_with(&prefix));
            prop_assert!(stored_reply_partitions(&tenant).all(|partition| partition.starts_with(&prefix)));
            let usage = usage(&tenant, Month::parse("2026-11").unwrap()).pk;
            prop_assert!(usage.starts_with(&prefix));
            prop_assert_eq!(user_of(&usage), Some(tenant.clone()));
            prop_assert!(!super::tenant(&tenant).pk.starts_with("T#"));
        }

        #[test]
        fn different_owners_have_different_partitions(a in few_owners(), b in few_owners()) {
            prop_assert_eq!(a == b, records(&a.0, &a.1) == records(&b.0, &b.1));
            prop_assert_ne!(records(&a.0, &a.1), collections(&b.0));
            prop_assert_ne!(records(&a.0, &a.1), tokens(&b.0));
        }
    }
}

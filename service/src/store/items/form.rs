//! The stored form of an item, and of its entries in indexes.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ItemError, MAX_VALUE_BYTES};
use crate::domain::kind::{Id, Index, Item, Kind};
use crate::domain::record::Version;
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};
use crate::store::Fault;
use crate::store::document::{Document, is_expired};
use crate::store::expression::Condition;
use crate::store::item::{self, attribute, number, read_number, take_string};
use crate::store::keys::{self, Key, SK};
use crate::store::table::ItemWrite;

/// The version of the value's form, [`Kind::SCHEMA`].
const SCHEMA: &str = "schema";

/// Returns the primary key of an item.
pub(super) fn key<K: Kind>(tenant: &TenantId, id: &K::Id) -> Key {
    Key { pk: keys::kind(tenant, K::NAME), sk: format!("{}{}", keys::ITEM, id.sort_key()) }
}

/// Writes an item, with the mark of the write.
pub(super) fn put<K: Kind, E>(
    tenant: &TenantId,
    item: &Item<K>,
    mark: &str,
    condition: Condition,
) -> Result<ItemWrite, ItemError<E>> {
    let Item { id, version, created_at, updated_at, expires_at, value } = item;
    let data = encode(value)?;
    let (version, created_at, updated_at) = (*version, *created_at, *updated_at);
    let document = Document { version, created_at, updated_at, expires_at: *expires_at, data };
    let mut attributes = document.into_item(key::<K>(tenant, id), mark);
    attributes.insert(SCHEMA.into(), number(K::SCHEMA));
    Ok(ItemWrite::put(attributes, condition))
}

/// Returns a value as JSON, which is read once, so that everything that is stored can be read back.
fn encode<K: Kind, E>(value: &K) -> Result<String, ItemError<E>> {
    let data = serde_json::to_string(value).map_err(Fault::unbuilt)?;
    if data.len() > MAX_VALUE_BYTES {
        return Err(ItemError::TooLarge(data.len()));
    }
    let _readable: K = serde_json::from_str(&data).map_err(Fault::unbuilt)?;
    Ok(data)
}

/// Returns the item, unless it has expired.
pub(super) fn live<K: Kind>(item: item::Item, now: Timestamp) -> Result<Option<Item<K>>, Fault> {
    if is_expired(&item, now) { Ok(None) } else { read(item).map(Some) }
}

fn read<K: Kind>(mut item: item::Item) -> Result<Item<K>, Fault> {
    let Document { version, created_at, updated_at, expires_at, data } = Document::take(&mut item)?;
    let value = match read_number(&item, SCHEMA)? {
        schema if schema == K::SCHEMA => serde_json::from_str(&data),
        // A later version of the function wrote it, so this one cannot know what it would lose.
        later if later > K::READS => return Err(Fault::corrupt(SCHEMA)),
        other => serde_json::from_str(&data).and_then(|stored| K::upgrade(other, stored)),
    };
    let value = value.map_err(|_| Fault::corrupt(attribute::DATA))?;
    let sort_key = take_string(&mut item, SK)?;
    let id = sort_key.strip_prefix(keys::ITEM).and_then(K::Id::from_sort_key).ok_or_else(|| Fault::corrupt(SK))?;
    Ok(Item { id, version, created_at, updated_at, expires_at, value })
}

/// The maximum size of a key of an index, in bytes of its form in sort keys.
const MAX_INDEX_KEY_BYTES: usize = 512;

/// Fails if a key of an item in an index of its kind is too long for the sort key of an entry.
pub(super) fn check_keys<K: Kind, E>(value: &K) -> Result<(), ItemError<E>> {
    for index in K::INDEXES {
        let key = (index.key)(value).unwrap_or_default();
        if keys::index("", &key).len() - keys::index("", "").len() > MAX_INDEX_KEY_BYTES {
            return Err(ItemError::KeyTooLong(index.name));
        }
    }
    Ok(())
}

/// Returns the primary keys of an item's entries in the indexes of its kind.
pub(super) fn entries<K: Kind>(tenant: &TenantId, id: &K::Id, value: &K) -> Vec<Key> {
    let entry = |index: &Index<K>| {
        let key = (index.key)(value)?;
        let sk = format!("{}{}", keys::index(index.name, &key), id.sort_key());
        Some(Key { pk: keys::kind(tenant, K::NAME), sk })
    };
    K::INDEXES.iter().filter_map(entry).collect()
}

/// Returns the primary key of the item to which an entry of an index leads.
pub(super) fn item_of_entry(partition: &str, entry: &mut item::Item, prefix: &str) -> Result<Key, Fault> {
    let sort_key = take_string(entry, SK)?;
    let id = sort_key.strip_prefix(prefix).ok_or_else(|| Fault::corrupt(SK))?;
    Ok(Key { pk: partition.to_owned(), sk: format!("{}{id}", keys::ITEM) })
}

/// Writes an entry of an index. It expires with its item.
pub(super) fn put_entry(key: Key, expires_at: Option<Expiry>) -> ItemWrite {
    let mut item = key.into_map();
    item.extend(expires_at.map(|expiry| (attribute::EXPIRES_AT.to_owned(), number(expiry.as_secs()))));
    ItemWrite::put(item, Condition::default())
}

/// An item of a kind that this library does not know, as an export contains it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Raw {
    kind: String,
    id: String,
    version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Expiry>,
    schema: u32,
    data: Box<RawValue>,
}

/// Returns an item of this kind in its stored form, unless it has expired.
pub(in crate::store) fn raw(kind: &str, mut item: item::Item, now: Timestamp) -> Result<Option<Raw>, Fault> {
    if is_expired(&item, now) {
        return Ok(None);
    }
    let Document { version, created_at, updated_at, expires_at, data } = Document::take(&mut item)?;
    let sort_key = take_string(&mut item, SK)?;
    Ok(Some(Raw {
        kind: kind.to_owned(),
        id: keys::item_id(&sort_key).ok_or_else(|| Fault::corrupt(SK))?,
        version,
        created_at,
        updated_at,
        expires_at,
        schema: read_number(&item, SCHEMA)?,
        data: RawValue::from_string(data).map_err(|_| Fault::corrupt(attribute::DATA))?,
    }))
}

/// The name of the counter's attribute that holds the next number.
const NEXT: &str = "next";

/// Reads the counter of a kind's numbers: the next number.
pub(super) fn next_number(counter: Option<&item::Item>) -> Result<u64, Fault> {
    counter.map_or(Ok(1), |counter| read_number(counter, NEXT))
}

/// Moves the counter of a kind's numbers on, if it still is where it was read.
pub(super) fn count(key: Key, from: u64, to: u64, mark: &str) -> ItemWrite {
    let condition = match from {
        1 => Condition::default().and(crate::store::expression::ABSENT),
        _ => Condition::default().and("#next = :from").value(":from", number(from)),
    };
    let values = condition.value(":to", number(to)).value(":mark", AttributeValue::S(mark.to_owned()));
    ItemWrite::update(key, "SET #next = :to, #write = :mark".to_owned(), values)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::domain::kind::Chosen;

    crate::scopes! { Read = "notes:read", Write = "notes:write" }

    /// A kind that writes version 2, and can read version 3.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    impl Kind for Note {
        const NAME: &'static str = "notes";
        type Id = Chosen;
        type Read = Read;
        type Write = Write;
        const SCHEMA: u32 = 2;
        const READS: u32 = 3;

        fn upgrade(schema: u32, stored: serde_json::Value) -> serde_json::Result<Self> {
            let Self { text } = serde_json::from_value(stored)?;
            Ok(Self { text: format!("{text}, from version {schema}") })
        }
    }

    fn read_version(schema: u32) -> Result<String, Fault> {
        let tenant = TenantId::parse("01K0ACME000000000000000000").unwrap();
        let id = <Chosen as Id>::parse("a").unwrap();
        let now = Timestamp::now();
        let data = r#"{"text":"Hello"}"#.to_owned();
        let document =
            Document { version: Version::first(now), created_at: now, updated_at: now, expires_at: None, data };
        let mut item = document.into_item(key::<Note>(&tenant, &id), "mark");
        item.insert(SCHEMA.into(), number(schema));
        read::<Note>(item).map(|item| item.value.text)
    }

    #[test]
    fn other_versions_are_read_up_to_the_latest_that_the_kind_reads() {
        assert_eq!(read_version(1).unwrap(), "Hello, from version 1");
        assert_eq!(read_version(2).unwrap(), "Hello");
        assert_eq!(read_version(3).unwrap(), "Hello, from version 3");
        assert!(matches!(read_version(4), Err(Fault::Corrupt(_))));
    }
}

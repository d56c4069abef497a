//! The partition keys of tables and indexes, as the template declares them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::Table;

/// The tables by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables(BTreeMap<String, TableKeys>);

/// The names of the attributes that are partition keys.
#[derive(Debug, Clone)]
pub(super) struct TableKeys {
    pub(super) partition: String,
    /// By the names of the indexes.
    pub(super) indexes: BTreeMap<String, String>,
}

impl Tables {
    pub(crate) fn new(tables: &[Table]) -> Self {
        let read = |table: &Table| {
            let lists = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"].map(|name| &table.properties[name]);
            let indexes = lists.into_iter().filter_map(Value::as_array).flatten();
            let indexes =
                indexes.filter_map(|index| Some((index["IndexName"].as_str()?.to_owned(), partition(index)?)));
            let keys = TableKeys { partition: partition(&table.properties)?, indexes: indexes.collect() };
            Some((table.name.clone(), keys))
        };
        Self(tables.iter().filter_map(read).collect())
    }

    pub(super) fn get(&self, table: &str) -> Option<&TableKeys> {
        self.0.get(table)
    }
}

fn partition(properties: &Value) -> Option<String> {
    let schema = properties["KeySchema"].as_array()?;
    Some(schema.iter().find(|part| part["KeyType"] == "HASH")?["AttributeName"].as_str()?.to_owned())
}

//! The table. Only this module builds keys and expressions.
//!
//! | item         | `pk`                             | `sk`                                 |
//! |--------------|----------------------------------|--------------------------------------|
//! | record       | `T#<tenant>#R#<collection>`      | record id                            |
//! | collection   | `T#<tenant>#COLLECTIONS`         | collection name                      |
//! | stored reply | `T#<tenant>#KEYS#<one digit>`    | SHA-256 of route and idempotency key |
//! | usage        | `T#<tenant>#USAGE`               | month                                |
//! | token        | `T#<tenant>#TOKENS`              | token id                             |
//! | its grant    | `TOKEN#<SHA-256 of the secret>`  | `TOKEN`                              |
//! | tenant       | `TENANT#<tenant>`                | `TENANT`                             |
//! | its name     | `TENANTNAME#<name>`              | `TENANTNAME`                         |
//! | client       | `CLIENT#<client id>`             | `CLIENT`                             |
//! | issuer       | `ISSUER#<iss>`                   | `ISSUER`                             |
//! | tenant key   | `TENANTKEY#<SHA-256 of the key>` | `TENANTKEY`                          |
//! | (probe)      | `HEALTH`                         | `HEALTH`                             |
//!
//! Tenants' rows are listed by the index `Tenants`, and those with a change under way by the index `Changes`.
//!
//! Whatever a tenant owns starts with `T#<tenant>#`, so that IAM can enforce it (`dynamodb:LeadingKeys`). The tenant's own
//! row does not: it is the operator's, as are those that say for whom a machine client acts, and the issuers and opaque
//! keys of tenants. Nor does a machine token's grant, which says whose it is.
//!
//! A method of [`Store`] has the resource first and the verb last (`record_get`, `token_touch`, `tenant_list`), so that what
//! can be done with one kind of item stands together. Nothing but `table` calls DynamoDB.

mod collections;
mod cursor;
mod error;
mod expression;
mod health;
mod item;
mod keys;
mod query;
mod quota;
pub mod records;
mod stored_replies;
mod table;
mod tenants;
mod tokens;
mod transactions;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

pub use error::{CommitError, Fault, ListError, ReadError, RevokeError, TransactError, WriteError};
pub use tenants::{Export, Purged, SaveError, TenantFilter};

use collections::KnownCollections;
use table::Table;

/// The domain's items in the table.
#[derive(Debug, Clone)]
pub struct Store {
    table: Table,
    known_collections: Arc<KnownCollections>,
}

impl Store {
    /// A store in the table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { table: Table::new(client, table.into()), known_collections: Arc::default() }
    }
}

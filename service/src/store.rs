//! The DynamoDB table. Only this module builds primary keys and expressions.
//!
//! | item         | `pk`                             | `sk`                                 |
//! |--------------|----------------------------------|--------------------------------------|
//! | record       | `T#<tenant>#R#<collection>`      | record id                            |
//! | collection   | `T#<tenant>#COLLECTIONS`         | collection name                      |
//! | item         | `T#<tenant>#I#<kind>`            | `I#<id>`                             |
//! | index entry  | `T#<tenant>#I#<kind>`            | `O#<index>#<key>#<id>`               |
//! | counter      | `T#<tenant>#I#<kind>`            | `N`                                  |
//! | kind         | `T#<tenant>#KINDS`               | the kind's name                      |
//! | stored reply | `T#<tenant>#KEYS#<one digit>`    | SHA-256 of route and idempotency key |
//! | usage        | `T#<tenant>#USAGE`               | month                                |
//! | token        | `T#<tenant>#TOKENS`              | token id                             |
//! | its grant    | `TOKEN#<SHA-256 of the secret>`  | `TOKEN`                              |
//! | tenant       | `TENANT#<tenant>`                | `TENANT`                             |
//! | its name     | `TENANTNAME#<name>`              | `TENANTNAME`                         |
//! | client       | `CLIENT#<client id>`             | `CLIENT`                             |
//! | issuer       | `ISSUER#<iss>`                   | `ISSUER`                             |
//! | opaque key   | `TENANTKEY#<its SHA-256>`        | `TENANTKEY`                          |
//! | (probe)      | `HEALTH`                         | `HEALTH`                             |
//!
//! The index `Tenants` lists the tenants' rows, and the index `Changes` those with a change in progress.
//!
//! The partition keys of a tenant's items start with `T#<tenant>#`, so that IAM can enforce it (`dynamodb:LeadingKeys`).
//! The tenant's row does not belong to the tenant but to the operator, as do the rows of machine clients and of the issuers
//! and opaque keys of tenants. A machine token's grant is read before its tenant is known, so it has a partition of its
//! own.
//!
//! The name of a method of [`Store`] begins with the resource, and the verb follows (`record_get`, `token_touch`,
//! `tenant_list`), so that the methods of one kind of item stand together. Only `table` calls DynamoDB.

mod cursor;
mod document;
mod error;
mod expression;
mod health;
mod item;
pub mod items;
mod keys;
mod marks;
mod query;
mod quota;
mod records;
mod rows;
mod stored_replies;
mod table;
mod tenants;
mod tokens;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

pub use error::{CommitError, Fault, ListError, ReadError, RevokeError, TransactError, WriteError};
pub use records::Put;
pub use tenants::{Export, Group, Lost, Purged, SaveError, TenantFilter};

use rows::KnownRows;
use table::Table;

/// The domain's items in the table.
#[derive(Debug, Clone)]
pub struct Store {
    table: Table,
    known_rows: Arc<KnownRows>,
}

impl Store {
    /// Creates a store in the table with this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { table: Table::new(client, table.into()), known_rows: Arc::default() }
    }
}

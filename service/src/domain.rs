//! The rules of the service: access, records, transactions, quotas, and the lifecycle of a tenant.
//!
//! Nothing here depends on DynamoDB, HTTP or Lambda, which `service/tests/wings.rs` checks.

pub mod caller;
pub mod certificate;
pub mod data;
pub mod idempotency;
pub mod issuer;
pub mod kind;
pub mod limits;
pub mod machine_token;
pub mod month;
pub mod offboarding;
pub mod page;
pub mod precondition;
pub mod quota;
pub mod record;
pub mod tenant;
pub mod tenant_key;
pub mod time;
pub mod transaction;
pub mod units;
pub mod usage;

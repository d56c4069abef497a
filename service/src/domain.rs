//! The rules of the service: who may do what, what a record is, how quotas hold, how a tenant comes and goes.
//!
//! Nothing here knows DynamoDB, HTTP or Lambda. `service/tests/wings.rs` holds it to that.

pub mod caller;
pub mod certificate;
pub mod data;
pub mod idempotency;
pub mod issuer;
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

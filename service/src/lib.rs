//! What the functions share.
//!
//! `store` keeps the domain in `DynamoDB`, `ledger` holds an environment's units of quotas, `http` speaks to API Gateway,
//! `lifecycle` to Lambda, `log` writes the line of each event, `config` and `aws` read the environment once at start-up.
//! Every other module is of the domain, which knows neither AWS nor HTTP.

pub mod aws;
pub mod caller;
pub mod capacity;
pub mod certificate;
pub mod config;
pub mod data;
pub mod http;
pub mod idempotency;
pub mod issuer;
pub mod ledger;
pub mod lifecycle;
pub mod log;
pub mod machine;
pub mod managed;
pub mod month;
pub mod offboarding;
pub mod page;
pub mod precondition;
pub mod quota;
pub mod record;
pub mod store;
pub mod tenant;
pub mod tenant_key;
pub mod time;
pub mod transaction;
pub mod usage;

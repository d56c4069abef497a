//! The library that the functions share. It is divided into wings, each of which may import those above it in this table.
//!
//! | wing | what lives there |
//! |---|---|
//! | [`domain`] | the rules of the service, without AWS and without HTTP |
//! | [`runtime`] | what a function starts with: configuration, AWS clients, log, capacity counter |
//! | [`store`] | the domain in `DynamoDB` |
//! | [`ledger`] | the units of quota that an execution environment holds |
//! | [`http`] | requests from API Gateway, and responses to it |
//! | [`function`] | what business functions use of all of these |
//!
//! Only [`function`] and [`scopes!`] are meant for business functions, and `CHANGELOG.md` says what changes in them. The other
//! modules are public for the product's own functions, and change without notice.
//!
//! A test checks this order (`service/tests/wings.rs`).

pub mod domain;
pub mod function;
pub mod http;
pub mod ledger;
pub mod runtime;
pub mod store;

//! The rows of tenants' usage: what was handed out of a month's quota, what the tenant used, and the terms that an operator
//! set.

mod report;
mod rows;
pub(super) mod terms;

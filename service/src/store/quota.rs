//! Usage rows, one for each month of a tenant: the units of the quota that were handed out, the tenant's usage, and the
//! terms that an operator set.

mod report;
mod rows;
pub(super) mod terms;

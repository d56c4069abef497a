//! The caller of a request, from the authorizer's context, which is the only source of the tenant.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use service::domain::caller::{Access, Caller, MissingScope, RecordsRead, RecordsWrite};
//!
//! /// The argument is the check: only a caller with the scope `records:read` has an `Access<RecordsRead>`.
//! fn read(access: &Access<RecordsRead>) -> String {
//!     format!("records of {}", access.tenant())
//! }
//!
//! // The context, as API Gateway passes it in the event (`requestContext.authorizer`).
//! let context = HashMap::from([
//!     ("tenant".to_owned(), "01K0ACME000000000000000000".into()),
//!     ("scopes".to_owned(), "records:read usage:read".into()),
//! ]);
//! let caller = Caller::from_context(&context)?;
//! assert_eq!(read(&caller.access()?), "records of 01K0ACME000000000000000000");
//! assert_eq!(caller.access::<RecordsWrite>().unwrap_err(), MissingScope("records:write"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::marker::PhantomData;

use serde_json::Value;

use crate::domain::tenant::TenantId;

/// The names of the values in the authorizer's context. API Gateway passes every value as a string.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>
pub mod context {
    /// The tenant's id.
    pub const TENANT: &str = "tenant";
    /// The tenant's plan.
    pub const PLAN: &str = "plan";
    /// The tenant's own monthly quota in requests, if it has one. It takes precedence over the plan's.
    pub const QUOTA: &str = "quota";
    /// The token's `sub`.
    pub const SUBJECT: &str = "subject";
    /// Those of the token's scopes that are in the contract, separated by spaces.
    pub const SCOPES: &str = "scopes";
    /// The token's `iss`.
    pub const ISSUER: &str = "issuer";
    /// The thumbprint of the client certificate to which the token is bound, if it is bound to one. It is not secret.
    pub const CERTIFICATE: &str = "certificate";
    /// The code of the problem in the response to a request that the policy denies.
    pub const REASON: &str = "reason";
    /// The `WWW-Authenticate` of that response.
    pub const CHALLENGE: &str = "challenge";
}

/// A scope of the contract as a type, so that an access level is an argument and not a check.
pub trait Scope {
    /// The name of the scope in tokens.
    const NAME: &'static str;
}

/// The scope of onboarding, changing and offboarding tenants. Only an operator can have it.
pub const TENANTS_ADMIN: &str = "tenants:admin";

/// Declares scopes of the contract as types, each of which implements [`Scope`](crate::domain::caller::Scope).
///
/// ```
/// use service::domain::caller::{Access, Scope};
///
/// service::scopes! {
///     /// Reading invoices.
///     Read = "invoices:read",
///     Write = "invoices:write",
/// }
///
/// /// Only a caller with the scope `invoices:write` has the argument.
/// fn send(access: &Access<Write>) {}
///
/// assert_eq!(Read::NAME, "invoices:read");
/// ```
#[macro_export]
macro_rules! scopes {
    ($($(#[$meta:meta])* $name:ident = $scope:literal),+ $(,)?) => {
        $(
            #[doc = concat!("The scope `", $scope, "`.")]
            $(#[$meta])*
            #[derive(Debug)]
            #[allow(unreachable_pub, reason = "a module that is private may declare scopes as well")]
            pub enum $name {}

            impl $crate::domain::caller::Scope for $name {
                const NAME: &'static str = $scope;
            }
        )+
    };
}

scopes! {
    /// Reading records and collections.
    RecordsRead = "records:read",
    /// Writing and deleting records.
    RecordsWrite = "records:write",
    /// Creating, listing and revoking machine tokens.
    TokensManage = "tokens:manage",
    /// Reading the tenant's own usage.
    UsageRead = "usage:read",
}

/// The caller of a request that the authorizer accepted, who acts for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: TenantId,
    plan: String,
    quota: Option<u64>,
    scopes: String,
}

/// The request has no tenant, because it did not pass the authorizer or is an operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authorizer's context names no tenant")]
pub struct NoCaller;

/// The caller lacks a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scope {0} is needed")]
pub struct MissingScope(pub &'static str);

impl Caller {
    /// Reads the authorizer's context. Fails without a valid tenant id.
    pub fn from_context(fields: &HashMap<String, Value>) -> Result<Self, NoCaller> {
        let text = |name| fields.get(name).and_then(Value::as_str);
        let tenant = TenantId::parse(text(context::TENANT).ok_or(NoCaller)?).map_err(|_| NoCaller)?;
        Ok(Self {
            tenant,
            plan: text(context::PLAN).unwrap_or_default().to_owned(),
            quota: text(context::QUOTA).and_then(|quota| quota.parse().ok()),
            scopes: text(context::SCOPES).unwrap_or_default().to_owned(),
        })
    }

    /// Returns the tenant, for logs.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns the right to spend the tenant's quota.
    #[must_use]
    pub fn payer(&self) -> Payer {
        Payer(self.tenant.clone())
    }

    /// Returns the tenant's plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// Returns the tenant's own monthly quota in requests, if it has one in place of the plan's.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// Returns those scopes of the caller's token that are in the contract.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Returns the right to act under a scope. API Gateway has already checked it, by the authorizer's policy. With this
    /// second check, a route that requires the wrong scope, or none, does not compile or denies all requests.
    pub fn access<S: Scope>(&self) -> Result<Access<S>, MissingScope> {
        if self.scopes().any(|scope| scope == S::NAME) {
            Ok(Access { tenant: self.tenant.clone(), scope: PhantomData })
        } else {
            Err(MissingScope(S::NAME))
        }
    }
}

/// The right to spend a tenant's quota and to report its usage, whatever its scopes. Only a [`Caller`] gives it. It
/// outlives the request, because what is left of a lease is given back later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payer(TenantId);

impl Payer {
    /// Returns the tenant whose quota is spent.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0
    }
}

/// An operator that the authorizer accepted, who acts for no tenant. The store's operations on tenants require one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator(());

impl Operator {
    /// Reads the authorizer's context. A caller with a tenant is not an operator, whatever its scopes are.
    pub fn from_context(fields: &HashMap<String, Value>) -> Result<Self, MissingScope> {
        let scopes = fields.get(context::SCOPES).and_then(Value::as_str).unwrap_or_default();
        let admin = scopes.split(' ').any(|scope| scope == TENANTS_ADMIN);
        if admin && !fields.contains_key(context::TENANT) { Ok(Self(())) } else { Err(MissingScope(TENANTS_ADMIN)) }
    }

    /// Returns the stack itself, for work that a schedule starts without a caller.
    #[must_use]
    pub fn schedule() -> Self {
        Self(())
    }
}

/// The right to act for a tenant under the scope `S`. The store's operations on a tenant's items require one, and only a
/// [`Caller`] gives it.
#[derive(Debug)]
pub struct Access<S: Scope> {
    tenant: TenantId,
    scope: PhantomData<S>,
}

impl<S: Scope> Access<S> {
    /// Returns the tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(fields: &[(&str, Value)]) -> HashMap<String, Value> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn without_its_scope_there_is_no_access() {
        let fields = context(&[("tenant", "01K0ACME000000000000000000".into()), ("scopes", "records:read x".into())]);
        let caller = Caller::from_context(&fields).unwrap();
        assert_eq!(caller.access::<RecordsRead>().unwrap().tenant(), caller.tenant());
        assert_eq!(caller.access::<RecordsWrite>().unwrap_err(), MissingScope("records:write"));
    }

    #[test]
    fn a_quota_is_a_number_of_requests() {
        let quota = |value: Value| {
            let fields = [("tenant", "01K0ACME000000000000000000".into()), ("plan", "free".into()), ("quota", value)];
            let caller = Caller::from_context(&context(&fields)).unwrap();
            assert_eq!(caller.plan(), "free");
            caller.quota()
        };
        assert_eq!(quota("1000".into()), Some(1000));
        for none in [Value::Null, "".into(), "-1".into(), "many".into()] {
            assert_eq!(quota(none), None);
        }
    }

    #[test]
    fn a_scope_is_a_whole_word() {
        let fields = context(&[("tenant", "01K0ACME000000000000000000".into()), ("scopes", "records:reads".into())]);
        assert!(Caller::from_context(&fields).unwrap().access::<RecordsRead>().is_err());
    }

    #[test]
    fn an_operator_has_the_scope_and_no_tenant() {
        let admin = ("scopes", Value::from("tenants:admin"));
        assert!(Operator::from_context(&context(std::slice::from_ref(&admin))).is_ok());
        assert!(Operator::from_context(&context(&[("scopes", "tenants:administrate".into())])).is_err());
        assert!(Operator::from_context(&context(&[admin, ("tenant", "01K0ACME000000000000000000".into())])).is_err());
    }

    #[test]
    fn without_a_tenant_there_is_no_caller() {
        for fields in [
            context(&[]),
            context(&[("scopes", "records:read".into())]),
            context(&[("tenant", "".into())]),
            context(&[("tenant", "acme".into())]),
            context(&[("tenant", 7.into())]),
        ] {
            assert_eq!(Caller::from_context(&fields), Err(NoCaller));
        }
    }
}

//! Who calls, as the authorizer says: the only source of a tenant.

use std::collections::HashMap;
use std::marker::PhantomData;

use serde_json::Value;

use crate::domain::tenant::TenantId;

/// The names in the authorizer's context. API Gateway hands every value on as a string.
pub mod context {
    /// The tenant's id.
    pub const TENANT: &str = "tenant";
    /// The tenant's plan.
    pub const PLAN: &str = "plan";
    /// The tenant's own monthly quota in requests, if it has one: it stands before the plan's.
    pub const QUOTA: &str = "quota";
    /// The token's `sub`.
    pub const SUBJECT: &str = "subject";
    /// The token's scopes that the contract knows, separated by spaces.
    pub const SCOPES: &str = "scopes";
    /// The token's `iss`.
    pub const ISSUER: &str = "issuer";
    /// The thumbprint of the client certificate that the token is bound to, if it is bound to one. No secret.
    pub const CERTIFICATE: &str = "certificate";
    /// The code of the problem that a refusal under this policy is answered with.
    pub const REASON: &str = "reason";
    /// The `WWW-Authenticate` of that answer.
    pub const CHALLENGE: &str = "challenge";
}

/// A scope of the contract, as a type, so that an access level is an argument and not a check.
pub trait Scope {
    /// Its name in tokens.
    const NAME: &'static str;
}

/// The scope of running the lives of tenants. An operator's, never a tenant's.
const TENANTS_ADMIN: &str = "tenants:admin";

/// Reading records and collections.
#[derive(Debug)]
pub enum RecordsRead {}

/// Writing and deleting records.
#[derive(Debug)]
pub enum RecordsWrite {}

/// Making, listing and revoking machine tokens.
#[derive(Debug)]
pub enum TokensManage {}

/// Reading the tenant's own usage.
#[derive(Debug)]
pub enum UsageRead {}

impl Scope for RecordsRead {
    const NAME: &'static str = "records:read";
}

impl Scope for RecordsWrite {
    const NAME: &'static str = "records:write";
}

impl Scope for TokensManage {
    const NAME: &'static str = "tokens:manage";
}

impl Scope for UsageRead {
    const NAME: &'static str = "usage:read";
}

/// A caller whom the authorizer let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: TenantId,
    plan: String,
    quota: Option<u64>,
    scopes: String,
}

/// The request did not come through the authorizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authorizer's context names no tenant")]
pub struct NoCaller;

/// The caller lacks a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scope {0} is needed")]
pub struct MissingScope(pub &'static str);

impl Caller {
    /// Reads the authorizer's context.
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

    /// The tenant, for logs.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Who pays for what the caller does.
    #[must_use]
    pub fn payer(&self) -> Payer {
        Payer(self.tenant.clone())
    }

    /// The plan that the tenant is on.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// The tenant's own monthly quota in requests, where it is not the plan's.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// The scopes of the caller's token, of those that the contract knows.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.split(' ').filter(|scope| !scope.is_empty())
    }

    /// The right to act under a scope. The gateway has checked it already, by the authorizer's policy; this makes a
    /// route that asks for the wrong scope, or for none, fail to compile or to answer.
    pub fn access<S: Scope>(&self) -> Result<Access<S>, MissingScope> {
        if self.scopes().any(|scope| scope == S::NAME) {
            Ok(Access { tenant: self.tenant.clone(), scope: PhantomData })
        } else {
            Err(MissingScope(S::NAME))
        }
    }
}

/// The right to spend a tenant's quota and to report what it used, whatever its scopes. Only a [`Caller`] gives it, and it
/// outlasts the request: what is left of a lease goes back later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payer(TenantId);

impl Payer {
    /// The tenant who pays.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0
    }
}

/// An operator whom the authorizer let in: somebody who acts for no tenant. The store's administration asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator(());

impl Operator {
    /// Reads the authorizer's context. A caller with a tenant is no operator, whatever its scopes are.
    pub fn from_context(fields: &HashMap<String, Value>) -> Result<Self, MissingScope> {
        let scopes = fields.get(context::SCOPES).and_then(Value::as_str).unwrap_or_default();
        let admin = scopes.split(' ').any(|scope| scope == TENANTS_ADMIN);
        if admin && !fields.contains_key(context::TENANT) { Ok(Self(())) } else { Err(MissingScope(TENANTS_ADMIN)) }
    }

    /// The stack itself, for work that a schedule starts and no caller asked for.
    #[must_use]
    pub fn schedule() -> Self {
        Self(())
    }
}

/// The right to act for a tenant under the scope `S`. The store asks for one, and only a [`Caller`] gives it.
#[derive(Debug)]
pub struct Access<S: Scope> {
    tenant: TenantId,
    scope: PhantomData<S>,
}

impl<S: Scope> Access<S> {
    /// The tenant to act for.
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
    fn a_scope_that_the_authorizer_did_not_grant_gives_no_access() {
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

//! The claims of a verified token.

use serde_json::{Map, Value};
use service::domain::certificate::Thumbprint;
use service::domain::issuer::Issuer;
use service::domain::tenant::TenantId;
use service::domain::tenant_key;

use super::{Party, Rejection};
use crate::contract;

pub(super) type Claims = Map<String, Value>;

pub(super) fn text(claims: &Claims, name: &str) -> Result<String, Rejection> {
    match claims.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Rejection::BadClaim(name.to_owned())),
    }
}

/// The party that the claims name, or to which the issuer belongs.
pub(super) fn party(issuer: &Issuer, owner: Option<&TenantId>, claims: &Claims) -> Result<Party, Rejection> {
    match (&issuer.tenant_claim, owner) {
        (None, owner) => Ok(Party::Tenant(owner.cloned())),
        (Some(claim), None) if !claims.contains_key(claim) && is_operators(issuer, claims) => Ok(Party::Operator),
        (Some(claim), _) => {
            let text = text(claims, claim)?;
            Ok(match (issuer.tenant_keys, tenant_key::digest(&text)) {
                (false, _) => Party::Tenant(TenantId::parse(&text).ok()),
                (true, Some(digest)) => Party::TenantKey(digest),
                (true, None) => Party::Tenant(None),
            })
        }
    }
}

fn is_operators(issuer: &Issuer, claims: &Claims) -> bool {
    client(claims).is_some_and(|client| issuer.operator_clients.iter().any(|one| one == client))
}

/// The client certificate to which the token is bound (RFC 8705, section 3.1). A token with any other binding (RFC 7800,
/// section 3.1) is rejected: it cannot be checked, and must not be accepted as a plain bearer token.
pub(super) fn binding(claims: &Claims) -> Result<Option<Thumbprint>, Rejection> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
    let thumbprint = thumbprint.and_then(|text| Thumbprint::parse(text).ok());
    thumbprint.map(Some).ok_or(Rejection::UnknownBinding)
}

/// Checks that the token is for this API: by its audience (RFC 9068, section 4), or, for tokens without one such as
/// Cognito's access tokens, by a client that is used for this API only.
pub(super) fn check_audience(issuer: &Issuer, claims: &Claims) -> Result<(), Rejection> {
    let listed = |list: &[String], value: &Value| value.as_str().is_some_and(|text| list.iter().any(|one| one == text));
    match claims.get("aud") {
        Some(Value::Array(audiences)) if audiences.iter().any(|aud| listed(&issuer.audiences, aud)) => {}
        Some(aud) if listed(&issuer.audiences, aud) => {}
        Some(_) => return Err(Rejection::OtherAudience),
        None if issuer.client_ids.is_empty() => return Err(Rejection::OtherAudience),
        None => {}
    }
    let allowed = |client: &str| issuer.client_ids.iter().any(|one| one == client);
    if issuer.client_ids.is_empty() || client(claims).is_some_and(allowed) {
        Ok(())
    } else {
        Err(Rejection::OtherClient)
    }
}

/// The client to which the token was issued. Some issuers use the claim `azp` for it.
fn client(claims: &Claims) -> Option<&str> {
    claims.get("client_id").or_else(|| claims.get("azp"))?.as_str()
}

/// The scopes from the scope claim and from roles, as far as the contract has them for operators, or else for tenants.
pub(super) fn scopes(issuer: &Issuer, claims: &Claims, operator: bool) -> Vec<String> {
    let direct = words(claims.get(&issuer.scope_claim));
    let direct = direct.into_iter().filter_map(|scope| scope.strip_prefix(&issuer.scope_prefix));
    let roles = words(issuer.role_claim.as_deref().and_then(|name| pointed(claims, name)));
    let by_role = roles.into_iter().filter_map(|role| issuer.role_scopes.get(role)).flatten().map(String::as_str);
    let mut scopes: Vec<String> =
        direct.chain(by_role).filter(|scope| contract::is_known(scope, operator)).map(ToOwned::to_owned).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// Finds a claim by its name, or by a JSON Pointer (RFC 6901).
fn pointed<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    // `Value::pointer` decodes the other segments in the same way.
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// The words of a space-separated string, or the strings of an array.
fn words(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

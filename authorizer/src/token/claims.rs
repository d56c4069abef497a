//! What the claims of a verified token say.

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

/// Whom the claims name, or whom the issuer is there for.
pub(super) fn party(issuer: &Issuer, owner: Option<&TenantId>, claims: &Claims) -> Result<Party, Rejection> {
    match (&issuer.tenant_claim, owner) {
        (None, owner) => Ok(Party::Tenant(owner.cloned())),
        (Some(claim), None) if !claims.contains_key(claim) && is_operators(issuer, claims) => Ok(Party::Operator),
        (Some(claim), _) => {
            let text = text(claims, claim)?;
            Ok(match (issuer.tenant_keys, tenant_key::digest(&text)) {
                (false, _) => Party::Tenant(TenantId::parse(&text).ok()),
                (true, Some(digest)) => Party::Key(digest),
                (true, None) => Party::Tenant(None),
            })
        }
    }
}

fn is_operators(issuer: &Issuer, claims: &Claims) -> bool {
    client(claims).is_some_and(|client| issuer.operator_clients.iter().any(|one| one == client))
}

/// What the token is bound to (RFC 7800, section 3.1). A client certificate (RFC 8705, section 3.1) is all that can be
/// checked: a token that is bound to anything else, or to more, must not pass as one that whoever holds it may use.
pub(super) fn binding(claims: &Claims) -> Result<Option<Thumbprint>, Rejection> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
    let thumbprint = thumbprint.and_then(|text| Thumbprint::parse(text).ok());
    thumbprint.map(Some).ok_or(Rejection::UnknownBinding)
}

/// A token has to be for this API: by its audience (RFC 9068, section 4), or, where it has none, as access tokens of
/// Cognito, by a client that is only used for this API.
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

/// The client that the token was issued to. `azp` is what some issuers call it.
fn client(claims: &Claims) -> Option<&str> {
    claims.get("client_id").or_else(|| claims.get("azp"))?.as_str()
}

/// The scopes that the contract knows for operators or for tenants, from the scope claim and from roles.
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

/// A claim by its name, or by a JSON Pointer (RFC 6901).
fn pointed<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    // As `Value::pointer` does it for the segments that follow.
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// The words of a string with spaces, or the strings of an array.
fn words(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

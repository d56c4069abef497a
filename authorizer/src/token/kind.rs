//! The check that a token is an access token, and not of another kind that the same issuer signs with the same keys
//! (RFC 8725, sections 2.8 and 3.11).

use serde_json::Value;
use service::domain::issuer::Issuer;

use super::Rejection;
use super::claims::Claims;

/// The types that are accepted by default, as is a missing type: the general ones of RFC 7519, section 5.1, and RFC
/// 7515, section 4.1.9, and the one of RFC 9068, section 2.1.
const USUAL: [&str; 3] = ["JWT", "JOSE", ACCESS_TOKEN];
const ACCESS_TOKEN: &str = "at+jwt";

/// Claims that only ID tokens have (OpenID Connect Core, sections 2 and 3.3.2.11, and FAPI 1.0, part 2, section 5.1.1).
const OF_ID_TOKENS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Checks the header's `typ`. Tokens of other kinds have types such as `logout+jwt` or `dpop+jwt`.
pub(super) fn check_type(issuer: &Issuer, typ: Option<&str>) -> Result<(), Rejection> {
    let is_one = |typ, allowed: &str| is_type(typ, short(allowed));
    let is_allowed = match typ {
        Some(typ) if issuer.token_types.is_empty() => USUAL.iter().any(|usual| is_one(typ, usual)),
        Some(typ) => issuer.token_types.iter().any(|allowed| is_one(typ, allowed)),
        None => issuer.token_types.is_empty(),
    };
    if is_allowed { Ok(()) } else { Err(Rejection::OtherType) }
}

/// Checks the claims by which issuers distinguish their kinds of tokens.
pub(super) fn check_claims(issuer: &Issuer, typ: Option<&str>, claims: &Claims) -> Result<(), Rejection> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // Each token of Cognito has this claim.
    let cognito = claims.get("token_use");
    // Each token of Keycloak has this claim. In other issuers' tokens, a claim of this name may have any meaning.
    let keycloak = text("typ");
    let is_id_token = cognito.is_some_and(|used| used == "id") || keycloak == Some("ID");
    let is_other = cognito.is_some_and(|used| used != "access" && used != "id")
        || matches!(keycloak, Some("Refresh" | "Offline" | "Logout"))
        // The token is a security event (RFC 8417, section 2.2), such as the logout of a user.
        || claims.get("events").is_some_and(Value::is_object);
    let is_access_token = cognito.is_some_and(|used| used == "access")
        || matches!(keycloak, Some("Bearer" | "DPoP"))
        || typ.is_some_and(|typ| is_type(typ, ACCESS_TOKEN));
    // Some issuers put such claims into access tokens as well, but mark these as access tokens.
    let looks_like_id_token = !is_access_token && OF_ID_TOKENS.iter().any(|name| claims.contains_key(*name));
    if is_other || (!issuer.accept_id_tokens && (is_id_token || looks_like_id_token)) {
        return Err(Rejection::NotAccessToken);
    }
    Ok(())
}

/// Compares media types, ignoring case.
fn is_type(typ: &str, short_type: &str) -> bool {
    short(typ).eq_ignore_ascii_case(short_type)
}

/// Removes `application/`, which is optional if no other slash follows (RFC 7515, section 4.1.9).
fn short(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

//! Access tokens: JWTs (RFC 7519) as RFC 8725 and RFC 9068 want them checked.

mod claims;
mod kind;
mod signature;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use service::domain::certificate::Thumbprint;
use service::domain::issuer::Algorithm;
use service::domain::machine_token::Digest;
use service::domain::tenant::TenantId;
use tracing::warn;

use crate::issuers::TenantIssuers;
use crate::json::{NoObject, object};
use crate::keys::{Keys, NoKey};
use claims::text;

/// The longest token, in bytes. API Gateway takes 10,240 bytes of headers in all.
const MAX_BYTES: usize = 8 * 1024;

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) issuer: String,
    /// The tenant whose alone the issuer is, if it is not one of the stack's.
    pub(crate) owner: Option<TenantId>,
    /// Whether the issuer, which is one of the stack's, speaks for tenants that list no issuers.
    pub(crate) by_default: bool,
    pub(crate) party: Party,
    /// `sub`, or the client's id where a token has none.
    pub(crate) subject: String,
    /// The scopes that the contract knows, each once, sorted.
    pub(crate) scopes: Vec<String>,
    /// Of a machine token, what it is known by. It has no issuer that its tenant would have to be bound to.
    pub(crate) machine: Option<Digest>,
    /// The client certificate without which it is not valid. Functions check it: it is not known here.
    pub(crate) certificate: Option<Thumbprint>,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Party {
    /// A tenant; `None` where the claim is no tenant's id.
    Tenant(Option<TenantId>),
    /// The tenant that has the opaque key of this digest.
    Key(Digest),
    /// The operator of the stack.
    Operator,
}

/// Why a token is not valid. The texts are for the log: a caller is told only that it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the Authorization header has no Bearer token")]
    NoBearer,
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the token is not a JWT")]
    NoJwt,
    #[error("the token's header or claims have a duplicate member")]
    DuplicateMember,
    #[error("the token's typ is not that of an access token")]
    OtherType,
    #[error("the algorithm is not allowed")]
    AlgorithmNotAllowed,
    #[error("the token has critical header parameters")]
    Critical,
    #[error("the token has no kid")]
    NoKeyId,
    #[error("the issuer is unknown")]
    UnknownIssuer,
    #[error("issuers cannot be looked up")]
    IssuersUnavailable,
    #[error("the issuer has no signing key with that kid")]
    UnknownKey,
    #[error("the signing key is for another algorithm")]
    OtherAlgorithm,
    #[error("the issuer's JWKS cannot be fetched")]
    KeysUnavailable,
    #[error("the signature is invalid")]
    BadSignature,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the claim {0} is missing or of the wrong type")]
    BadClaim(String),
    #[error("the token is for another audience")]
    OtherAudience,
    #[error("the client is not allowed")]
    OtherClient,
    #[error("the token is bound to something that cannot be verified")]
    UnknownBinding,
    #[error("the token is not an access token")]
    NoAccessToken,
    #[error("the token does not have the form of a machine token")]
    NoMachineToken,
    #[error("the checksum of the machine token is wrong")]
    BadChecksum,
    #[error("the machine token does not exist")]
    UnknownToken,
    #[error("machine tokens cannot be looked up")]
    TokensUnavailable,
}

/// The header parameters that are looked at (RFC 7515, section 4.1). Keys that a token brings along or points to (`jwk`,
/// `jku`, `x5c`, `x5u`) are not: they would be the attacker's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

/// Checks a JWT.
pub(crate) async fn verify(token: &str, keys: &Keys, tenants: &TenantIssuers) -> Result<Verified, Rejection> {
    if token.len() > MAX_BYTES {
        return Err(Rejection::TooLong);
    }
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Rejection::NoJwt);
    };
    let header = json(header)?;
    let is_critical = header.contains_key("crit");
    let header: Header = serde_json::from_value(Value::Object(header)).map_err(|_| Rejection::NoJwt)?;
    let algorithm = Algorithm::of_name(&header.alg).ok_or(Rejection::AlgorithmNotAllowed)?;
    if is_critical {
        return Err(Rejection::Critical);
    }
    let kid = header.kid.ok_or(Rejection::NoKeyId)?;
    // Not verified yet: until it is, the claims only say whose keys to verify them with.
    let claims = json(payload)?;
    let iss = text(&claims, "iss")?;
    let found;
    let (issuer, owner) = if let Some(issuer) = keys.issuer(&iss) {
        (issuer, None)
    } else {
        found = tenants.get(&iss).await.map_err(|fault| {
            warn!(%fault, "the issuer cannot be read");
            Rejection::IssuersUnavailable
        })?;
        let found = found.as_deref().ok_or(Rejection::UnknownIssuer)?;
        (&found.issuer, Some(&found.tenant))
    };
    kind::check_type(issuer, header.typ.as_deref())?;
    if !issuer.algorithms.is_empty() && !issuer.algorithms.contains(&algorithm) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let key = keys.key(issuer, &kid).await.map_err(|none| match none {
        NoKey::Unknown => Rejection::UnknownKey,
        NoKey::Unavailable => Rejection::KeysUnavailable,
    })?;
    if !key.is_for(algorithm, issuer) {
        return Err(Rejection::OtherAlgorithm);
    }
    signature::verify(token, &key, algorithm, &iss)?;

    claims::check_audience(issuer, &claims)?;
    kind::check_claims(issuer, header.typ.as_deref(), &claims)?;
    let certificate = claims::binding(&claims)?;
    let subject = text(&claims, "sub").or_else(|_| text(&claims, "client_id"))?;
    let party = claims::party(issuer, owner, &claims)?;
    let scopes = claims::scopes(issuer, &claims, party == Party::Operator);
    let (owner, by_default) = (owner.cloned(), issuer.default_for_tenants);
    Ok(Verified { issuer: iss, owner, by_default, party, subject, scopes, machine: None, certificate })
}

/// The token of a `Bearer` header (RFC 6750, section 2.1); the scheme's case does not matter, nor how many spaces follow
/// it (RFC 9110, section 11.4).
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// The object of a segment, in which no member may be named twice.
fn json(segment: &str) -> Result<Map<String, Value>, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Rejection::NoJwt)?;
    object(&bytes).map_err(|none| match none {
        NoObject::NotJson => Rejection::NoJwt,
        NoObject::Duplicate => Rejection::DuplicateMember,
    })
}

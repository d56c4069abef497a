//! The verification of access tokens: JWTs (RFC 7519), checked as RFC 8725 and RFC 9068 require.

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
use crate::json::{ObjectError, object};
use crate::keys::{KeyError, Keys};
use claims::text;

/// The length limit of a token, in bytes. API Gateway accepts 10,240 bytes of headers in total.
const MAX_BYTES: usize = 8 * 1024;

/// The contents of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) issuer: String,
    /// The tenant to which the issuer belongs, unless the issuer is the stack's.
    pub(crate) owner: Option<TenantId>,
    /// Whether the issuer is accepted for tenants that list no issuers. Only an issuer of the stack can be.
    pub(crate) by_default: bool,
    pub(crate) party: Party,
    /// The token's `sub`, or its `client_id` if it has no `sub`.
    pub(crate) subject: String,
    /// The scopes that are in the contract, sorted and without duplicates.
    pub(crate) scopes: Vec<String>,
    /// The digest of a machine token. A machine token has no issuer that its tenant has to list.
    pub(crate) machine_token: Option<Digest>,
    /// The client certificate to which the token is bound. Functions check it, because the authorizer does not get it.
    pub(crate) certificate: Option<Thumbprint>,
}

/// The party for which a token acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Party {
    /// A tenant, or `None` if the claim is not a valid tenant id.
    Tenant(Option<TenantId>),
    /// The tenant with the opaque key of this digest.
    TenantKey(Digest),
    /// The operator of the stack.
    Operator,
}

/// The reason why a token is invalid. The texts are for the log: the response contains no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the Authorization header has no Bearer token")]
    MissingBearer,
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the token is not a JWT")]
    NotJwt,
    #[error("the token's header or claims have a duplicate member")]
    DuplicateMember,
    #[error("the token's typ is not that of an access token")]
    OtherType,
    #[error("the algorithm is not allowed")]
    AlgorithmNotAllowed,
    #[error("the token has critical header parameters")]
    Critical,
    #[error("the token has no kid")]
    MissingKeyId,
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
    NotAccessToken,
    #[error("the token does not have the form of a machine token")]
    NotMachineToken,
    #[error("the checksum of the machine token is wrong")]
    BadChecksum,
    #[error("the machine token does not exist")]
    UnknownToken,
    #[error("machine tokens cannot be looked up")]
    TokensUnavailable,
}

/// The header parameters that are used (RFC 7515, section 4.1). Keys that a token contains or refers to (`jwk`, `jku`,
/// `x5c`, `x5u`) are ignored, because they could be an attacker's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

/// Verifies a JWT.
pub(crate) async fn verify(token: &str, keys: &Keys, tenants: &TenantIssuers) -> Result<Verified, Rejection> {
    if token.len() > MAX_BYTES {
        return Err(Rejection::TooLong);
    }
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Rejection::NotJwt);
    };
    let header = json(header)?;
    let is_critical = header.contains_key("crit");
    let header: Header = serde_json::from_value(Value::Object(header)).map_err(|_| Rejection::NotJwt)?;
    let algorithm = Algorithm::of_name(&header.alg).ok_or(Rejection::AlgorithmNotAllowed)?;
    if is_critical {
        return Err(Rejection::Critical);
    }
    let kid = header.kid.ok_or(Rejection::MissingKeyId)?;
    // The claims are not verified yet. Until then, they only select the issuer whose JWKS verifies them.
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
    let key = keys.key(issuer, &kid).await.map_err(|error| match error {
        KeyError::Unknown => Rejection::UnknownKey,
        KeyError::Unavailable => Rejection::KeysUnavailable,
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
    Ok(Verified { issuer: iss, owner, by_default, party, subject, scopes, machine_token: None, certificate })
}

/// Returns the token of a `Bearer` header (RFC 6750, section 2.1). The scheme may be in any case, and be followed by
/// any number of spaces (RFC 9110, section 11.4).
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// Parses the JSON object of a segment, which must not have duplicate members.
fn json(segment: &str) -> Result<Map<String, Value>, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Rejection::NotJwt)?;
    object(&bytes).map_err(|error| match error {
        ObjectError::NotJson => Rejection::NotJwt,
        ObjectError::Duplicate => Rejection::DuplicateMember,
    })
}

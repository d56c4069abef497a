//! Access tokens: JWTs (RFC 7519) as RFC 8725 and RFC 9068 want them checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use service::certificate::Thumbprint;
use service::issuer::Issuer;
use service::machine::Digest;
use service::tenant::TenantId;
use service::tenant_key;
use tracing::warn;

use crate::contract;
use crate::issuers::TenantIssuers;
use crate::keys::{Keys, NoKey};

/// The longest token, in bytes. API Gateway takes 10,240 bytes of headers in all.
const MAX_BYTES: usize = 8 * 1024;

/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;

type Claims = Map<String, Value>;

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) issuer: String,
    /// The tenant whose alone the issuer is, if it is not one of the stack's.
    pub(crate) owner: Option<TenantId>,
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
    #[error("there is no Bearer token")]
    NoBearer,
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the token is no JWT")]
    NoJwt,
    #[error("the algorithm is not allowed")]
    AlgorithmNotAllowed,
    #[error("the token has critical header parameters")]
    Critical,
    #[error("the token names no key")]
    NoKeyId,
    #[error("the issuer is not known")]
    UnknownIssuer,
    #[error("issuers cannot be looked up")]
    IssuersUnavailable,
    #[error("the issuer has no such key")]
    UnknownKey,
    #[error("the key is for another algorithm")]
    OtherAlgorithm,
    #[error("the issuer's keys cannot be fetched")]
    KeysUnavailable,
    #[error("the signature is not the key's")]
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
    #[error("the token is bound to something that cannot be checked")]
    UnknownBinding,
    #[error("the token is no access token")]
    NoAccessToken,
    #[error("the token is not of the shape of a machine token")]
    NoMachineToken,
    #[error("the machine token is mistyped")]
    BadChecksum,
    #[error("there is no such machine token")]
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
    crit: Option<Value>,
}

/// Checks the value of an `Authorization` header.
pub(crate) async fn verify(authorization: &str, keys: &Keys, tenants: &TenantIssuers) -> Result<Verified, Rejection> {
    let token = bearer(authorization).ok_or(Rejection::NoBearer)?;
    if token.len() > MAX_BYTES {
        return Err(Rejection::TooLong);
    }
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Rejection::NoJwt);
    };
    let Header { alg, kid, crit } = json(header)?;
    let algorithm = match alg.as_str() {
        "RS256" => Algorithm::RS256,
        "ES256" => Algorithm::ES256,
        "EdDSA" => Algorithm::EdDSA,
        _ => return Err(Rejection::AlgorithmNotAllowed),
    };
    if crit.is_some() {
        return Err(Rejection::Critical);
    }
    let kid = kid.ok_or(Rejection::NoKeyId)?;
    // Not verified yet: it only says whose keys to verify with.
    let iss = text(&json::<Claims>(payload)?, "iss")?;
    let found;
    let (issuer, owner) = if let Some(issuer) = keys.issuer(&iss) {
        (issuer, None)
    } else {
        found = tenants.get(&iss).await.map_err(|fault| {
            warn!(%fault, "issuer not read");
            Rejection::IssuersUnavailable
        })?;
        let found = found.as_deref().ok_or(Rejection::UnknownIssuer)?;
        (&found.issuer, Some(&found.tenant))
    };
    let key = keys.key(issuer, &kid).await.map_err(|none| match none {
        NoKey::Unknown => Rejection::UnknownKey,
        NoKey::Unavailable => Rejection::KeysUnavailable,
    })?;
    if key.algorithm != algorithm {
        return Err(Rejection::OtherAlgorithm);
    }

    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[&iss]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    // Checked below: where there is no `aud`, the client has to be one of ours.
    validation.validate_aud = false;
    let claims = decode::<Claims>(token, &key.decoding, &validation).map_err(|error| rejection(error.kind()))?.claims;

    check_audience(issuer, &claims)?;
    let certificate = binding(&claims)?;
    let subject = text(&claims, "sub").or_else(|_| text(&claims, "client_id"))?;
    let party = party(issuer, owner, &claims)?;
    let scopes = scopes(issuer, &claims, party == Party::Operator);
    Ok(Verified { issuer: iss, owner: owner.cloned(), party, subject, scopes, machine: None, certificate })
}

/// Whom the claims name, or whom the issuer is there for.
fn party(issuer: &Issuer, owner: Option<&TenantId>, claims: &Claims) -> Result<Party, Rejection> {
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

/// The token of a `Bearer` header (RFC 6750, section 2.1); the scheme's case does not matter.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::NoJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| Rejection::NoJwt)
}

fn text(claims: &Claims, name: &str) -> Result<String, Rejection> {
    match claims.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Rejection::BadClaim(name.to_owned())),
    }
}

fn rejection(kind: &ErrorKind) -> Rejection {
    match kind {
        ErrorKind::InvalidSignature => Rejection::BadSignature,
        ErrorKind::ExpiredSignature => Rejection::Expired,
        ErrorKind::ImmatureSignature => Rejection::NotYetValid,
        ErrorKind::InvalidIssuer => Rejection::UnknownIssuer,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
            Rejection::BadClaim(name.clone())
        }
        ErrorKind::InvalidAlgorithm => Rejection::OtherAlgorithm,
        _ => Rejection::NoJwt,
    }
}

/// What the token is bound to (RFC 7800, section 3.1). A client certificate (RFC 8705, section 3.1) is all that can be
/// checked: a token that is bound to anything else, or to more, must not pass as one that whoever holds it may use.
fn binding(claims: &Claims) -> Result<Option<Thumbprint>, Rejection> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
    let thumbprint = thumbprint.and_then(|text| Thumbprint::parse(text).ok());
    thumbprint.map(Some).ok_or(Rejection::UnknownBinding)
}

/// A token has to be for this API: by its audience (RFC 9068, section 4), or, where it has none, as access tokens of
/// Cognito, by a client that is only used for this API.
fn check_audience(issuer: &Issuer, claims: &Claims) -> Result<(), Rejection> {
    // Cognito tells its access tokens from its ID tokens by this.
    if claims.get("token_use").is_some_and(|used| used != "access") {
        return Err(Rejection::NoAccessToken);
    }
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
fn scopes(issuer: &Issuer, claims: &Claims, operator: bool) -> Vec<String> {
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
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = claims.get(first)?;
    if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
}

/// The words of a string with spaces, or the strings of an array.
fn words(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

//! An OpenID Connect provider for development. It signs a token for everybody, so it must not be reachable from outside this
//! machine.
//!
//! Discovery follows OpenID Connect Discovery 1.0, and the token endpoint follows RFC 6749 with the client credentials grant
//! (section 4.4). The tokens are JWT access tokens (RFC 9068):
//!
//! | client | scopes | claim `tenant` |
//! |---|---|---|
//! | a demo tenant's name, or a tenant id | the contract's for tenants, and `openid` | the tenant's id |
//! | `operator` | the contract's for operators and for tenants, and `openid` | none |

mod key;
mod routes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Scopes;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;
use serde_json::json;
use service::domain::certificate::Thumbprint;
use time::OffsetDateTime;
use ulid::Ulid;

use self::key::SigningKey;
use crate::seed::OPERATOR;

/// The `aud` of every token.
pub(crate) const AUDIENCE: &str = "tenantry";
/// The scope of OpenID Connect, which every client may request. It allows nothing in the API.
const OPENID: &str = "openid";

const DEFAULT_EXPIRY_SECONDS: i64 = 3600;

/// The reason why the issuer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The signing key cannot be read or stored.
    #[error("the issuer's signing key in {} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The stored signing key is not valid.
    #[error(
        "the issuer's signing key in {} cannot be used: {source}; remove the file to get a new one, which makes \
         existing tokens invalid",
        path.display()
    )]
    Stored {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<IssuerError>,
    },
    /// The signing key cannot be created.
    #[error("the signing key is not valid: {0}")]
    Key(String),
}

/// The reason why the token endpoint rejects a request (RFC 6749, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A parameter is missing, malformed or repeated.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client is neither a demo tenant, nor the operator, nor a tenant id.
    #[error("there is no such client: use {0}, or the id of a tenant")]
    UnknownClient(String),
    /// The credentials are malformed, or are those of another client.
    #[error("the credentials are malformed, or name a client other than client_id")]
    InvalidClient,
    /// The grant type is not `client_credentials`.
    #[error("the only supported grant type is client_credentials")]
    UnsupportedGrantType,
    /// The list of scopes does not follow RFC 6749, section 3.3.
    #[error("the scope must be words separated by single spaces")]
    MalformedScope,
    /// The scope does not exist, or this client cannot request it.
    #[error("there is no scope `{scope}` for this client: it can request {known}")]
    UnknownScope {
        /// The scope.
        scope: String,
        /// The scopes that the client can request, separated by spaces.
        known: String,
    },
    /// The token cannot be signed.
    #[error("the token could not be signed")]
    ServerError,
}

/// An access token: RFC 6749, section 5.1.
#[derive(Debug, Clone, Serialize)]
pub struct Token {
    /// The JWT.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// The time until the token expires, in seconds. It is not positive for an expired token.
    pub expires_in: i64,
    /// The scopes, separated by spaces.
    pub scope: String,
}

/// The issuer. Clones share its signing key.
#[derive(Debug, Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    url: String,
    key: SigningKey,
    /// The names of tenants, each with the tenant's id.
    tenants: Vec<(String, String)>,
    scopes: Scopes,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// The confirmation claim of a token that is bound to a certificate (RFC 8705, section 3.1).
#[derive(Serialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Returns the identifier of the issuer that is served at this URL.
#[must_use]
pub fn url(base_url: &str) -> String {
    format!("{}/_local", base_url.trim_end_matches('/'))
}

/// Returns the URL of an issuer's JWKS.
#[must_use]
pub fn jwks_url(issuer: &str) -> String {
    format!("{issuer}/jwks.json")
}

impl Issuer {
    /// Opens the issuer with the signing key in the folder `data`, which it creates if there is none, or without a folder with
    /// a new one that is not stored.
    ///
    /// `base_url` is the URL at which [`Issuer::router`] is served (`http://127.0.0.1:3000`), `tenants` are names of tenants
    /// with their ids, and `scopes` are those that clients can request.
    pub fn open(
        data: Option<&Path>,
        base_url: &str,
        tenants: &[(&str, &str)],
        scopes: &Scopes,
    ) -> Result<Self, IssuerError> {
        let key = data.map_or_else(SigningKey::generate, SigningKey::open)?;
        let url = url(base_url);
        let tenants = tenants.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
        Ok(Self { inner: Arc::new(Inner { url, key, tenants, scopes: scopes.clone() }) })
    }

    /// Returns the issuer's identifier, which is the `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Returns the URL of the issuer's JWKS.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        jwks_url(&self.inner.url)
    }

    /// Returns the routes `GET /_local/.well-known/openid-configuration`, `GET /_local/jwks.json` and
    /// `POST /_local/oauth2/token`.
    pub fn router(&self) -> axum::Router {
        routes::router(self.clone())
    }

    /// Issues a token for `client`: the name or the id of a tenant, or [`OPERATOR`], which has no tenant.
    ///
    /// A tenant can request any scope of the API except those of operators. A token that is requested without a scope has all
    /// scopes of its kind of client. `expires_in` is in seconds, and an hour by default. A token for a client with a `certificate` is bound to it (RFC 8705, section 3).
    pub fn token(
        &self,
        client: &str,
        scope: Option<&str>,
        expires_in: Option<i64>,
        certificate: Option<Thumbprint>,
    ) -> Result<Token, TokenError> {
        let Inner { url, key, scopes: Scopes { tenant: for_tenants, operator: for_operators }, .. } = &*self.inner;
        let tenant = self.tenant(client)?;
        let all = if tenant.is_some() { for_tenants } else { for_operators }.join(" ");
        let scope = scope.unwrap_or(&all);
        let scopes: Vec<&str> = scope.split(' ').collect();
        if !scopes.iter().all(|scope| is_scope_token(scope)) {
            return Err(TokenError::MalformedScope);
        }
        let own: &[&[String]] = if tenant.is_some() { &[for_tenants] } else { &[for_operators, for_tenants] };
        let own = own.concat();
        if let Some(scope) = scopes.iter().find(|scope| **scope != OPENID && !own.iter().any(|own| own == **scope)) {
            return Err(TokenError::UnknownScope { scope: (*scope).to_owned(), known: own.join(" ") });
        }
        let expires_in = expires_in.unwrap_or(DEFAULT_EXPIRY_SECONDS);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let exp = now.checked_add(expires_in).filter(|exp| *exp >= 0);
        let claims = Claims {
            iss: url,
            sub: client,
            aud: AUDIENCE,
            iat: now,
            nbf: now,
            exp: exp.ok_or(TokenError::InvalidRequest("expires_in is out of range"))?,
            jti: Ulid::generate().to_string(),
            client_id: client,
            scope,
            tenant,
            cnf: certificate.map(|thumbprint| Confirmation { thumbprint: thumbprint.to_string() }),
        };
        let header = json!({ "typ": "at+jwt", "alg": "RS256", "kid": key.id() }).to_string();
        let claims = serde_json::to_string(&claims).map_err(|_| TokenError::ServerError)?;
        let access_token = key.sign(&header, &claims).map_err(|_| TokenError::ServerError)?;
        Ok(Token { access_token, token_type: "Bearer", expires_in, scope: scope.to_owned() })
    }

    /// Returns the tenant id of a client, or none for the operator.
    fn tenant<'a>(&'a self, client: &'a str) -> Result<Option<&'a str>, TokenError> {
        if client == OPERATOR {
            return Ok(None);
        }
        if let Some((_, id)) = self.inner.tenants.iter().find(|(name, _)| name == client) {
            return Ok(Some(id));
        }
        // Only the canonical form is accepted, because a tenant id is compared as text everywhere else.
        let canonical = client.parse::<Ulid>().is_ok_and(|id| id.to_string() == client);
        if canonical {
            return Ok(Some(client));
        }
        let names = self.inner.tenants.iter().map(|(name, _)| name.as_str()).chain([OPERATOR]);
        Err(TokenError::UnknownClient(names.collect::<Vec<_>>().join(", ")))
    }

    fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.inner.key.public().clone()] }
    }
}

/// Returns whether a text is a `scope-token` of RFC 6749, section 3.3.
fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    const ACME: &str = "01JD0000000000000000000000";

    /// Returns the issuer of all tests. They share one, because it takes a while to generate a signing key.
    pub(super) fn issuer() -> Issuer {
        static ISSUER: OnceLock<Issuer> = OnceLock::new();
        let open = || {
            let list = |scopes: &str| scopes.split(' ').map(ToOwned::to_owned).collect();
            let scopes = Scopes { tenant: list("records:read records:write"), operator: list("tenants:admin") };
            Issuer::open(None, "http://127.0.0.1:1/", &[("acme", ACME)], &scopes).unwrap()
        };
        ISSUER.get_or_init(open).clone()
    }

    pub(super) fn claims(token: &str) -> Value {
        let keys = issuer().jwks();
        let header = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        let jwk = keys.find(&header.kid.unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&["http://127.0.0.1:1/_local"]);
        jsonwebtoken::decode(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims
    }

    #[test]
    fn a_tenants_token_names_the_tenant_and_has_its_scopes() {
        for client in ["acme", ACME] {
            let token = issuer().token(client, None, None, None).unwrap();
            let claims = claims(&token.access_token);
            assert_eq!(claims["tenant"], ACME);
            assert_eq!(claims["sub"], client);
            assert_eq!(claims["client_id"], client);
            assert_eq!(claims["scope"], "records:read records:write");
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
            assert_eq!((token.expires_in, token.scope.as_str()), (3600, "records:read records:write"));
        }
    }

    #[test]
    fn the_operator_has_no_tenant() {
        let claims = claims(&issuer().token(OPERATOR, None, None, None).unwrap().access_token);
        assert_eq!(claims.get("tenant"), None);
        assert_eq!(claims["scope"], "tenants:admin");
    }

    #[test]
    fn scopes_are_well_formed_and_the_operators_is_not_a_tenants() {
        let scope =
            |client: &str, scope: &str| issuer().token(client, Some(scope), None, None).map(|token| token.scope);
        assert_eq!(scope("acme", "records:read").unwrap(), "records:read");
        assert_eq!(scope("acme", "openid").unwrap(), "openid");
        assert_eq!(scope(OPERATOR, "tenants:admin records:read").unwrap(), "tenants:admin records:read");
        for bad in ["", " ", "a  b", " a", "a\\b", "a\"b", "é", "a\nb"] {
            assert_eq!(scope("acme", bad), Err(TokenError::MalformedScope), "{bad:?}");
        }
        for (client, bad) in [("acme", "tenants:admin"), ("acme", "records:rea"), (OPERATOR, "tenants")] {
            let error = scope(client, &format!("records:read {bad}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("there is no scope `{bad}` for this client: ")), "{error}");
            assert!(error.contains("records:read records:write"), "{error}");
        }
    }

    #[test]
    fn only_names_and_tenant_ids_are_clients() {
        for client in
            ["", "unknown", "01jd0000000000000000000000", "01JD000000000000000000000", "81JD0000000000000000000000"]
        {
            let error = issuer().token(client, None, None, None).unwrap_err();
            let message = "there is no such client: use acme, operator, or the id of a tenant";
            assert_eq!(error.to_string(), message, "{client}");
        }
    }

    #[test]
    fn an_expired_token_can_be_issued_but_none_that_expired_before_1970() {
        assert_eq!(issuer().token("acme", None, Some(-60), None).unwrap().expires_in, -60);
        for expires_in in [i64::MAX, i64::MIN] {
            assert!(matches!(issuer().token("acme", None, Some(expires_in), None), Err(TokenError::InvalidRequest(_))));
        }
    }
}

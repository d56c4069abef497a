//! The issuers whose tokens are accepted, as the variables `ISSUERS`, for those of the operator's choice, and
//! `USER_POOL_ISSUERS`, for the stack's own, list them (`docs/issuers.md`).

use std::collections::BTreeMap;

use serde::Deserialize;

/// An `OpenID` Connect issuer, and where its tokens say what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// Where its keys are; by default `<issuer>/.well-known/jwks.json`.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// The values of `aud` that mean this API.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The clients whose tokens are accepted. Without any, every client's are, if they have an audience.
    #[serde(default)]
    pub client_ids: Vec<String>,
    /// The clients whose tokens are operators', where they have no tenant claim.
    #[serde(default)]
    pub operator_clients: Vec<String>,
    /// The claim that holds the tenant's id.
    #[serde(default = "tenant_claim")]
    pub tenant_claim: String,
    /// The claim that holds the scopes: a string with spaces between them, or an array.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// What stands before each scope of ours (Cognito: the resource server's identifier and a slash).
    #[serde(default)]
    pub scope_prefix: String,
    /// The claim that holds roles or groups, as a name or as a JSON Pointer (`/realm_access/roles`).
    #[serde(default)]
    pub role_claim: Option<String>,
    /// The scopes that each role stands for.
    #[serde(default)]
    pub role_scopes: BTreeMap<String, Vec<String>>,
}

fn tenant_claim() -> String {
    "tenant".to_owned()
}

fn scope_claim() -> String {
    "scope".to_owned()
}

/// All issuers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuers(Vec<Issuer>);

/// A variable does not list issuers that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// It is no JSON array of issuers.
    #[error("the value is not a JSON array of issuers: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Two entries would compete for the same tokens.
    #[error("the issuer {0} is listed twice")]
    Twice(String),
    /// Its tokens for other APIs would be taken for ours.
    #[error("the issuer {0} has neither audiences nor clientIds")]
    NoAudience(String),
    /// Anybody on the way could replace its keys.
    #[error("the issuer {0} does not give its keys over HTTPS: {1}")]
    NotHttps(String, String),
}

impl Issuers {
    /// Reads a variable.
    pub fn parse(json: &str) -> Result<Self, IssuersError> {
        let issuers: Vec<Issuer> = serde_json::from_str(json)?;
        for (index, issuer) in issuers.iter().enumerate() {
            let name = || issuer.issuer.clone();
            if issuers[..index].iter().any(|other| other.issuer == issuer.issuer) {
                return Err(IssuersError::Twice(name()));
            }
            if issuer.audiences.is_empty() && issuer.client_ids.is_empty() {
                return Err(IssuersError::NoAudience(name()));
            }
            let uri = issuer.jwks_uri();
            if !uri.starts_with("https://") && !is_this_machine(&uri) {
                return Err(IssuersError::NotHttps(name(), uri));
            }
        }
        Ok(Self(issuers))
    }

    /// These and those of another variable.
    pub fn with(mut self, others: Self) -> Result<Self, IssuersError> {
        if let Some(twice) = others.0.iter().find(|one| self.0.iter().any(|own| own.issuer == one.issuer)) {
            return Err(IssuersError::Twice(twice.issuer.clone()));
        }
        self.0.extend(others.0);
        Ok(self)
    }

    pub(crate) fn into_vec(self) -> Vec<Issuer> {
        self.0
    }
}

impl Issuer {
    /// Where the issuer's keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        let default = || format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/'));
        self.jwks_uri.clone().unwrap_or_else(default)
    }
}

/// Plain HTTP is for development: to this machine, or to it from a container of `sam local`.
fn is_this_machine(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    // What stands before an `@` is a user's name: the host comes after it, and is on no list here.
    !authority.contains('@') && ["127.0.0.1", "localhost", "[::1]", "host.docker.internal"].contains(&host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issuer_has_defaults() {
        let issuers = Issuers::parse(r#"[{"issuer":"https://a.example/","audiences":["api"]}]"#).unwrap().into_vec();
        assert_eq!(issuers[0].jwks_uri(), "https://a.example/.well-known/jwks.json");
        assert_eq!((&issuers[0].tenant_claim[..], &issuers[0].scope_claim[..]), ("tenant", "scope"));
        assert_eq!(Issuers::parse("[]").unwrap().into_vec(), []);
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        for (json, error) in [
            ("", "not a JSON array"),
            ("{}", "not a JSON array"),
            (r#"[{"issuer":"https://a.example","audiences":["api"],"audience":"x"}]"#, "unknown field"),
            (r#"[{"issuer":"https://a.example"}]"#, "neither audiences nor clientIds"),
            (r#"[{"issuer":"http://a.example","audiences":["api"]}]"#, "not give its keys over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://localhost.evil/","audiences":["a"]}]"#, "over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://localhost:1@evil/","audiences":["a"]}]"#, "over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://127.0.0.1:80:x@e/","audiences":["a"]}]"#, "over HTTPS"),
            (
                r#"[{"issuer":"https://a","audiences":["a"]},{"issuer":"https://a","clientIds":["b"]}]"#,
                "https://a is listed twice",
            ),
        ] {
            let message = Issuers::parse(json).unwrap_err().to_string();
            assert!(message.contains(error), "{json}: {message}");
        }
    }

    #[test]
    fn an_issuer_is_in_one_of_two_variables() {
        let of = |names: &[&str]| {
            let list: Vec<_> = names.iter().map(|name| json!({"issuer": name, "audiences": ["api"]})).collect();
            Issuers::parse(&json!(list).to_string()).unwrap()
        };
        let both = of(&["https://a", "https://b"]);
        assert_eq!(of(&["https://a"]).with(of(&["https://b"])).unwrap(), both);
        assert_eq!(both.clone().with(of(&[])).unwrap(), both);
        let twice = both.with(of(&["https://c", "https://b"])).unwrap_err();
        assert_eq!(twice.to_string(), "the issuer https://b is listed twice");
    }

    #[test]
    fn keys_on_this_machine_may_come_over_http() {
        for uri in ["http://127.0.0.1:3000/_local/jwks.json", "http://localhost/k", "http://host.docker.internal:1/k"] {
            let json = format!(r#"[{{"issuer":"https://a.example","jwksUri":"{uri}","audiences":["api"]}}]"#);
            assert_eq!(Issuers::parse(&json).unwrap().into_vec()[0].jwks_uri(), uri);
        }
    }
}

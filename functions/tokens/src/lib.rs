//! `/tokens`: machine tokens, made, listed and revoked by their tenant.

mod draft;

use lambda_http::http::StatusCode;
use lambda_http::http::header::CACHE_CONTROL;
use serde::Serialize;
use service::caller::{Access, Caller, TokensManage};
use service::http::{Handler, Inbound, Problem, Query, Reply};
use service::machine::{MachineToken, Secret, TokenId};
use service::store::Store;
use service::time::Timestamp;

use draft::Draft;

/// The function's state.
#[derive(Debug)]
pub struct Tokens {
    store: Store,
}

/// A new token, with what is never told again.
#[derive(Serialize)]
struct Issued<'a> {
    #[serde(flatten)]
    token: &'a MachineToken,
    #[serde(rename = "token")]
    secret: &'a str,
}

impl Tokens {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Handler for Tokens {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        match request.route() {
            ("GET", "/tokens") => self.list(request, caller.access()?).await,
            ("POST", "/tokens") => self.create(request, &caller, caller.access()?).await,
            ("DELETE", "/tokens/{id}") => self.revoke(request, caller.access()?).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Tokens {
    async fn list(&self, request: &Inbound<'_>, access: Access<TokensManage>) -> Result<Reply, Problem> {
        let query = request.query(Query::PAGE)?;
        let found = self.store.tokens(&access, &query.page()?).await?;
        query.paged(request.path(), &found)
    }

    async fn create(
        &self,
        request: &Inbound<'_>,
        caller: &Caller,
        access: Access<TokensManage>,
    ) -> Result<Reply, Problem> {
        request.query(&[])?;
        let Draft { name, scopes, expires_at } = Draft::of(request, caller)?;
        let secret = Secret::generate();
        let token = MachineToken {
            id: TokenId::generate(),
            name,
            scopes,
            created_at: Timestamp::now(),
            expires_at,
            last_used_at: None,
        };
        let location = format!("{}/{}", request.path().trim_end_matches('/'), token.id.as_str());
        // Also with an error: the token may be there, with a secret that nobody has, and is to be revoked.
        self.store
            .create_token(&access, &token, &secret.digest())
            .await
            .map_err(|fault| Problem::from(fault).with_location(&location))?;
        let issued = Issued { token: &token, secret: secret.expose() };
        Ok(Reply::json(StatusCode::CREATED, &issued)?.location(&location).header(CACHE_CONTROL, "no-store"))
    }

    async fn revoke(&self, request: &Inbound<'_>, access: Access<TokensManage>) -> Result<Reply, Problem> {
        let id = TokenId::parse(request.path_parameter("id")?)?;
        request.query(&[])?;
        self.store.revoke_token(&access, &id).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

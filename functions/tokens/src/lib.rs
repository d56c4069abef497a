//! `/tokens`: machine tokens, which a tenant creates, lists and revokes.

mod draft;

use lambda_http::http::StatusCode;
use lambda_http::http::header::CACHE_CONTROL;
use serde::Serialize;
use service::domain::caller::{Access, Caller, TokensManage};
use service::domain::machine_token::{MachineToken, Secret, TokenId};
use service::domain::time::Timestamp;
use service::http::{Handler, IdempotentWrite, Inbound, Problem, Query, Reply};
use service::store::Store;

use draft::Draft;

/// The minimum length of an idempotency key here, in characters, because the reply is encrypted under it. A UUID has 36.
const SHORTEST_KEY: usize = 32;

/// The function's state.
#[derive(Debug)]
pub struct Tokens {
    store: Store,
}

/// A new machine token with its secret, which no later response contains.
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
        let caller = &request.caller()?;
        match request.route() {
            ("GET", "/tokens") => self.list(request, caller.access()?).await,
            ("POST", "/tokens") => {
                let write = IdempotentWrite::new(&self.store, request, caller.access()?)?;
                check_key(&write)?;
                write.run(|write| self.create(write, caller)).await
            }
            ("DELETE", "/tokens/{id}") => self.revoke(request, caller.access()?).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Tokens {
    async fn list(&self, request: &Inbound<'_>, access: Access<TokensManage>) -> Result<Reply, Problem> {
        let query = request.query(Query::PAGE)?;
        let found = self.store.token_list(&access, &query.page()?).await?;
        query.paged(&request.path(), &found)
    }

    async fn create(&self, write: &IdempotentWrite<'_, TokensManage>, creator: &Caller) -> Result<Reply, Problem> {
        let IdempotentWrite { request, access, .. } = write;
        request.query(&[])?;
        let Draft { name, scopes, expires_at } = Draft::of(request, creator)?;
        let secret = Secret::generate();
        let token = MachineToken {
            id: TokenId::generate(),
            name,
            scopes,
            created_at: Timestamp::now(),
            expires_at,
            last_used_at: None,
        };
        let location = request.child(token.id.as_str());
        let reply = write
            .reply(|token| {
                let issued = Issued { token, secret: secret.expose() };
                Ok(Reply::json(StatusCode::CREATED, &issued)?.header(CACHE_CONTROL, "no-store"))
            })
            .stored_encrypted()
            .created_at(location);
        reply.after(self.store.token_create(access, token, &secret.digest(), &reply)).await
    }

    async fn revoke(&self, request: &Inbound<'_>, access: Access<TokensManage>) -> Result<Reply, Problem> {
        let id = TokenId::parse(&request.path_parameter("id")?)?;
        request.query(&[])?;
        self.store.token_revoke(&access, &id).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// Rejects an idempotency key that could be guessed, because the secret is stored encrypted under it.
fn check_key(write: &IdempotentWrite<'_, TokensManage>) -> Result<(), Problem> {
    if write.keyed().is_some_and(|keyed| keyed.key().characters() < SHORTEST_KEY) {
        let detail =
            format!("Idempotency-Key must have at least {SHORTEST_KEY} characters here. Use a UUID, for example.");
        return Err(Problem::invalid_parameter(detail));
    }
    Ok(())
}

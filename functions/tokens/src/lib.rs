//! `/tokens`: machine tokens, made, listed and revoked by their tenant.

mod draft;

use lambda_http::http::StatusCode;
use lambda_http::http::header::CACHE_CONTROL;
use serde::Serialize;
use service::domain::caller::{Access, Caller, TokensManage};
use service::domain::idempotency::{Keep, Once};
use service::domain::machine_token::{MachineToken, Secret, TokenId};
use service::domain::time::Timestamp;
use service::http::{Code, Handler, Inbound, Problem, Query, Reply, answer, first_answer};
use service::store::Store;

use draft::Draft;

/// The fewest characters of an idempotency key here, where the answer is kept under it: a UUID has 36.
const SHORTEST_KEY: usize = 32;

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
            ("POST", "/tokens") => {
                let access = caller.access()?;
                let once = once(request)?;
                let work = self.create(request, &caller, &access, once.as_ref());
                first_answer(&self.store, &access, request, once.as_ref(), work).await
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

    async fn create(
        &self,
        request: &Inbound<'_>,
        caller: &Caller,
        access: &Access<TokensManage>,
        once: Option<&Once>,
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
        let location = format!("{}/{}", request.path(), token.id.as_str());
        let issued = |token: &MachineToken| {
            let issued = Issued { token, secret: secret.expose() };
            Ok(Reply::json(StatusCode::CREATED, &issued)?.location(&location).header(CACHE_CONTROL, "no-store"))
        };
        let kept = |token: &MachineToken| issued(token).ok()?.keep_sealed(once?);
        let keep = once.map(|once| Keep { once, answer: &kept });
        // Also with an error: the token may be there, with a secret that nobody has, and is to be revoked.
        let written = self
            .store
            .token_create(access, &token, &secret.digest(), keep.as_ref())
            .await
            .map_err(|error| Problem::from(error).with_location(&location))?;
        answer(request, once, written, |()| issued(&token))
    }

    async fn revoke(&self, request: &Inbound<'_>, access: Access<TokensManage>) -> Result<Reply, Problem> {
        let id = TokenId::parse(&request.path_parameter("id")?)?;
        request.query(&[])?;
        self.store.token_revoke(&access, &id).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

fn once(request: &Inbound<'_>) -> Result<Option<Once>, Problem> {
    let once = request.once()?;
    if once.as_ref().is_some_and(|once| once.key().characters() < SHORTEST_KEY) {
        let detail =
            format!("Idempotency-Key must have at least {SHORTEST_KEY} characters here. Use a UUID, for example.");
        return Err(Problem::new(Code::InvalidParameter, detail));
    }
    Ok(once)
}

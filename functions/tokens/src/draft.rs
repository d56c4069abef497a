//! A token as it is asked for: `{"name": "...", "scopes": ["..."], "expiresAt": ...}`.

use serde::de::DeserializeOwned;
use service::domain::caller::Caller;
use service::domain::machine_token::{Name, Scopes};
use service::domain::time::Expiry;
use service::http::{Body, Code, Inbound, Problem};

const MEMBERS: &[&str] = &["name", "scopes", "expiresAt"];

/// What the creator of a token chooses.
pub(crate) struct Draft {
    pub(crate) name: Name,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<Expiry>,
}

impl Draft {
    /// Reads the body of a create by that caller.
    pub(crate) fn of(request: &Inbound<'_>, creator: &Caller) -> Result<Self, Problem> {
        let body = request.body(&["application/json"], MEMBERS)?;
        let name: String = member(&body, "name", "a string")?;
        let scopes = member(&body, "scopes", "an array of strings")?;
        // First, because this refusal stands for a repeat of what was done before, too.
        let scopes = Scopes::given_by(creator, scopes)?;
        Ok(Self { name: Name::parse(&name)?, expires_at: body.expires_at()?.of(None), scopes })
    }
}

fn member<T: DeserializeOwned>(body: &Body<'_>, name: &str, form: &str) -> Result<T, Problem> {
    let invalid = |what: String| Problem::new(Code::InvalidBody, what);
    let raw = body.get(name).ok_or_else(|| invalid(format!("The member `{name}` is missing.")))?;
    serde_json::from_str(raw.get()).map_err(|_| invalid(format!("`{name}` must be {form}.")))
}

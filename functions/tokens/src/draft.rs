//! The body of a request for a machine token: `{"name": "...", "scopes": ["..."], "expiresAt": ...}`.

use service::domain::caller::Caller;
use service::domain::machine_token::{Name, Scopes};
use service::domain::time::Expiry;
use service::http::{Inbound, Problem};

const MEMBERS: &[&str] = &["name", "scopes", "expiresAt"];

/// The properties of a machine token that its creator chooses.
pub(crate) struct Draft {
    pub(crate) name: Name,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<Expiry>,
}

impl Draft {
    /// Reads the body of a create request by this caller.
    pub(crate) fn of(request: &Inbound<'_>, creator: &Caller) -> Result<Self, Problem> {
        let body = request.body(&["application/json"], MEMBERS)?;
        let name: String = body.required("name", "a string")?;
        let scopes = body.required("scopes", "an array of strings")?;
        // Checked first, because a caller who may not grant these scopes is denied a stored reply as well.
        let scopes = Scopes::given_by(creator, scopes)?;
        Ok(Self { name: Name::parse(&name)?, expires_at: body.expires_at()?.of(None), scopes })
    }
}

//! The user pool's pre-token-generation trigger: it puts the tenant and its scopes into each access token.
//!
//! A user's tenant is the attribute `custom:tenant`, which only an operator can set, and only once. A machine client's
//! is a row of the table. Neither is ever what a caller says. Of the API's scopes a token gets those that its user's
//! groups stand for, or those that its client was given, and no others: a scope that was asked for beyond them is taken
//! out. A token with a tenant never has the operator's scope, and one without a tenant has no other.

mod event;
pub mod scopes;

use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use service::store::Store;
use service::tenant::TenantId;
use tracing::{info, warn};

use event::{AccessToken, AddedClaims, Event, OverrideDetails, Request, Response};

/// Why there is no token. Cognito shows the text to the one who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The event is not of the form of version 2 or 3.
    #[error("Unexpected event")]
    Unexpected,
    /// The client's tenant cannot be read now.
    #[error("Unavailable")]
    Unavailable,
}

impl From<Refusal> for Diagnostic {
    fn from(refusal: Refusal) -> Self {
        Self { error_type: "Refusal".into(), error_message: refusal.to_string() }
    }
}

/// The function's state.
#[derive(Debug)]
pub struct Claims {
    store: Store,
}

impl Claims {
    /// A function that looks up machine clients in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Answers an event with itself, its `response` filled in.
    pub async fn answer(&self, mut event: Map<String, Value>) -> Result<Value, Refusal> {
        let unexpected = |error: serde_json::Error| {
            // Not the error's text, which may quote an attribute.
            warn!(line = error.line(), "the event is not of a form that is known");
            Refusal::Unexpected
        };
        let read = Event::deserialize(&Value::Object(event.clone())).map_err(unexpected)?;
        let (machine, request) = (read.is_machine(), &read.request);
        let (tenant, granted) = if machine {
            let tenant = self.store.client_tenant(&read.caller_context.client_id).await.map_err(|fault| {
                warn!(%fault, "the client's tenant is not read");
                Refusal::Unavailable
            })?;
            let granted = of_client(tenant.as_ref(), request);
            (tenant, granted)
        } else {
            of_user(request)
        };
        info!(machine, tenant = tenant.as_ref().map(TenantId::as_str), scopes = granted.join(" "), "token");
        let response = serde_json::to_value(response(tenant, &granted, request)).map_err(unexpected)?;
        event.insert("response".to_owned(), response);
        Ok(Value::Object(event))
    }
}

/// A user's tenant and scopes: both or neither. Without a tenant there is nothing for a group to stand for, and who is
/// in no group is not let into the tenant yet.
fn of_user(request: &Request) -> (Option<TenantId>, Vec<&str>) {
    let granted = scopes::of_groups(request.groups());
    match request.tenant().and_then(|text| TenantId::parse(text).ok()) {
        Some(tenant) if !granted.is_empty() => (Some(tenant), granted),
        _ => (None, Vec::new()),
    }
}

/// A client's scopes: those that it asked for, which Cognito has held to those that it may have.
fn of_client<'a>(tenant: Option<&TenantId>, request: &'a Request) -> Vec<&'a str> {
    let asked = request.scopes().iter().filter_map(|scope| scope.strip_prefix(scopes::PREFIX));
    asked.filter(|scope| tenant.is_some() != (*scope == scopes::OPERATOR)).collect()
}

/// The changes that leave a token with the granted scopes of ours, and with those of others as they are.
fn response(tenant: Option<TenantId>, granted: &[&str], request: &Request) -> Response {
    let present = request.scopes();
    let prefixed = granted.iter().map(|scope| format!("{}{scope}", scopes::PREFIX));
    let refused = |scope: &&String| scope.strip_prefix(scopes::PREFIX).is_some_and(|own| !granted.contains(&own));
    let access_token_generation = AccessToken {
        claims_to_add_or_override: AddedClaims { tenant: tenant.map(|id| id.to_string()) },
        scopes_to_add: prefixed.filter(|scope| !present.contains(scope)).collect(),
        scopes_to_suppress: present.iter().filter(refused).cloned().collect(),
    };
    Response { claims_and_scope_override_details: OverrideDetails { access_token_generation } }
}

#[cfg(test)]
mod tests;

//! The user pool's pre-token-generation trigger, which adds the tenant and its scopes to each access token.
//!
//! A user's tenant is the attribute `custom:tenant`, which only an operator can set, and only once. A machine client's
//! tenant is a row of the table. The caller can choose neither. A user's token gets the API's scopes of the user's
//! groups, and a machine client's token those that the client is allowed: any other scope of the API that was requested
//! is removed. A token with a tenant never has the operator's scope, and a token without a tenant has no other.

mod event;
pub mod scopes;
mod start;

use std::time::Instant;

use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use service::domain::tenant::TenantId;
use service::runtime::capacity::measured;
use service::runtime::log::{self, Entry, Measured};
use service::store::{Fault, Store};

pub use start::run;

use event::{AccessToken, AddedClaims, Event, OverrideDetails, Request, Response};

/// An error that prevents Cognito from issuing a token. Cognito shows its text to the client.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The event does not have the form of version 2 or 3.
    #[error("Unexpected event")]
    Unexpected,
    /// The client's tenant cannot be read right now.
    #[error("Unavailable")]
    Unavailable(#[from] Fault),
}

impl From<ClaimsError> for Diagnostic {
    fn from(error: ClaimsError) -> Self {
        // The type is part of the function's interface, and does not follow the name of the enum.
        Self { error_type: "Refusal".into(), error_message: error.to_string() }
    }
}

/// The function's state.
#[derive(Debug)]
pub struct Claims {
    store: Store,
}

impl Claims {
    /// Creates the function, which looks up machine clients in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the event with its `response`, and writes the event's log line.
    pub async fn respond(&self, mut event: Map<String, Value>) -> Result<Value, ClaimsError> {
        let started = Instant::now();
        let (result, units) = measured(self.grant(&event)).await;
        let measured = |status| Measured { status, units, elapsed: started.elapsed(), bytes_in: 0, bytes_out: 0 };
        match result {
            Ok(Granted { tenant, scopes, response }) => {
                let (tenant, scopes) = (tenant.as_ref().map(TenantId::as_str), Some(&*scopes));
                log::write(&Entry { route: ROUTE, tenant, scopes, ..Entry::default() }, &measured(200));
                event.insert("response".to_owned(), response);
                Ok(Value::Object(event))
            }
            Err(error) => {
                let (status, code, cause) = match &error {
                    // The text of the parse error is not logged, because it may quote an attribute.
                    ClaimsError::Unexpected => (500, "unexpected_event", None),
                    ClaimsError::Unavailable(fault) => (503, "unavailable", Some(fault.to_string())),
                };
                let entry = Entry { route: ROUTE, code: Some(code), cause: cause.as_deref(), ..Entry::default() };
                log::write(&entry, &measured(status));
                Err(error)
            }
        }
    }

    async fn grant(&self, event: &Map<String, Value>) -> Result<Granted, ClaimsError> {
        let unexpected = |_: serde_json::Error| ClaimsError::Unexpected;
        let read = Event::deserialize(event).map_err(unexpected)?;
        let request = &read.request;
        let (tenant, granted) = if read.is_machine_client() {
            let tenant = self.store.client_tenant_get(&read.caller_context.client_id).await?;
            let granted = of_client(tenant.as_ref(), request);
            (tenant, granted)
        } else {
            of_user(request)
        };
        let response = serde_json::to_value(response(tenant.clone(), &granted, request)).map_err(unexpected)?;
        Ok(Granted { tenant, scopes: granted.join(" "), response })
    }
}

/// The route in the log line of an event of the user pool.
const ROUTE: &str = "claims";

/// The tenant and the scopes of a token.
struct Granted {
    tenant: Option<TenantId>,
    scopes: String,
    response: Value,
}

/// A user's tenant and scopes, which are both present or both missing. Without a tenant a group has no meaning, and a
/// user without a group has no access to the tenant yet.
fn of_user(request: &Request) -> (Option<TenantId>, Vec<&str>) {
    let granted = scopes::of_groups(request.groups());
    match request.tenant().and_then(|text| TenantId::parse(text).ok()) {
        Some(tenant) if !granted.is_empty() => (Some(tenant), granted),
        _ => (None, Vec::new()),
    }
}

/// A machine client's scopes. Cognito has checked that the client may have those that it requested.
fn of_client<'a>(tenant: Option<&TenantId>, request: &'a Request) -> Vec<&'a str> {
    let requested = request.scopes().iter().filter_map(|scope| scope.strip_prefix(scopes::PREFIX));
    requested.filter(|scope| tenant.is_some() != scopes::OPERATOR.contains(scope)).collect()
}

/// The changes that give a token the granted scopes of this API. The scopes of other APIs are not changed.
fn response(tenant: Option<TenantId>, granted: &[&str], request: &Request) -> Response {
    let present = request.scopes();
    let prefixed = granted.iter().map(|scope| format!("{}{scope}", scopes::PREFIX));
    let not_granted = |scope: &&String| scope.strip_prefix(scopes::PREFIX).is_some_and(|own| !granted.contains(&own));
    let access_token_generation = AccessToken {
        claims_to_add_or_override: AddedClaims { tenant: tenant.map(|id| id.to_string()) },
        scopes_to_add: prefixed.filter(|scope| !present.contains(scope)).collect(),
        scopes_to_suppress: present.iter().filter(not_granted).cloned().collect(),
    };
    Response { claims_and_scope_override_details: OverrideDetails { access_token_generation } }
}

#[cfg(test)]
mod tests;

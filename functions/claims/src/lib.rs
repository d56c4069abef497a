//! The user pool's pre-token-generation trigger: it puts the tenant and its scopes into each access token.
//!
//! A user's tenant is the attribute `custom:tenant`, which only an operator can set, and only once. A machine client's
//! is a row of the table. Neither is ever what a caller says. Of the API's scopes a token gets those that its user's
//! groups stand for, or those that its client was given, and no others: a scope that was asked for beyond them is taken
//! out. A token with a tenant never has the operator's scope, and one without a tenant has no other.

mod event;
pub mod scopes;

use std::time::Instant;

use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use service::domain::tenant::TenantId;
use service::runtime::capacity::measured;
use service::runtime::log::{self, Entry, Measured};
use service::store::{Fault, Store};

use event::{AccessToken, AddedClaims, Event, OverrideDetails, Request, Response};

/// Why there is no token. Cognito shows the text to the one who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The event is not of the form of version 2 or 3.
    #[error("Unexpected event")]
    Unexpected,
    /// The client's tenant cannot be read now.
    #[error("Unavailable")]
    Unavailable(#[from] Fault),
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

    /// Answers an event with itself, its `response` filled in, and leaves its line.
    pub async fn answer(&self, mut event: Map<String, Value>) -> Result<Value, Refusal> {
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
            Err(refusal) => {
                let (status, code, cause) = match &refusal {
                    // Not the error's text, which may quote an attribute.
                    Refusal::Unexpected => (500, "unexpected_event", None),
                    Refusal::Unavailable(fault) => (503, "unavailable", Some(fault.to_string())),
                };
                let entry = Entry { route: ROUTE, code: Some(code), cause: cause.as_deref(), ..Entry::default() };
                log::write(&entry, &measured(status));
                Err(refusal)
            }
        }
    }

    async fn grant(&self, event: &Map<String, Value>) -> Result<Granted, Refusal> {
        let unexpected = |_: serde_json::Error| Refusal::Unexpected;
        let read = Event::deserialize(event).map_err(unexpected)?;
        let request = &read.request;
        let (tenant, granted) = if read.is_machine() {
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

/// What the line calls an event of the user pool.
const ROUTE: &str = "claims";

/// What a token gets.
struct Granted {
    tenant: Option<TenantId>,
    scopes: String,
    response: Value,
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

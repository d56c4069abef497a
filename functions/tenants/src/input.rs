//! What operators write.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use service::http::{Body, Code, Inbound, Problem};
use service::managed::KeyKind;
use service::tenant::TenantId;

use crate::plans::Plans;

const JSON: &[&str] = &["application/json"];
const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// The most characters of a name or a reason.
const MAX_TEXT: usize = 200;
/// The most labels, and the most characters of one's name and value.
const MAX_LABELS: usize = 50;
/// The most issuers.
const MAX_ISSUERS: usize = 20;

/// The body of a new tenant.
pub(crate) struct NewTenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) issuers: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) key: KeyKind,
}

/// The body of a change; what is `None` stays.
pub(crate) struct Patch {
    pub(crate) name: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) issuers: Option<Vec<String>>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl NewTenant {
    pub(crate) fn of(request: &Inbound<'_>, plans: &Plans) -> Result<Self, Problem> {
        let body = request.body(JSON, &["id", "name", "plan", "issuers", "labels", "key"])?;
        let missing = |name: &str| invalid(&format!("The member `{name}` is missing."));
        let id = match member::<String>(&body, "id", "a string")? {
            None => TenantId::generate(),
            Some(id) => TenantId::parse(&id).map_err(|_| invalid("`id` must be a ULID in upper case."))?,
        };
        let key = member::<String>(&body, "key", "a string")?
            .map_or(Some(KeyKind::default()), |key| KeyKind::parse(&key))
            .ok_or_else(|| invalid("`key` is `own` or `pooled`."))?;
        Ok(Self {
            id,
            name: name(&body)?.ok_or_else(|| missing("name"))?,
            plan: plan(&body, plans)?.ok_or_else(|| missing("plan"))?,
            issuers: issuers(&body)?.unwrap_or_default(),
            labels: labels(&body)?.unwrap_or_default(),
            key,
        })
    }
}

impl Patch {
    pub(crate) fn of(request: &Inbound<'_>, plans: &Plans) -> Result<Self, Problem> {
        let body = request.body(MERGE_PATCH, &["name", "plan", "issuers", "labels"])?;
        Ok(Self { name: name(&body)?, plan: plan(&body, plans)?, issuers: issuers(&body)?, labels: labels(&body)? })
    }
}

/// The body of a suspension or a resumption.
pub(crate) fn reason(request: &Inbound<'_>) -> Result<String, Problem> {
    let body = request.body(JSON, &["reason"])?;
    let reason = member::<String>(&body, "reason", "a string")?;
    let reason = reason.ok_or_else(|| invalid("The member `reason` is missing."))?;
    text("reason", reason)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}

fn member<T: DeserializeOwned>(body: &Body<'_>, name: &str, kind: &str) -> Result<Option<T>, Problem> {
    let value = body.get(name).map(|raw| serde_json::from_str(raw.get()));
    value.transpose().map_err(|_| invalid(&format!("`{name}` must be {kind}.")))
}

fn text(name: &str, text: String) -> Result<String, Problem> {
    let length = text.chars().count();
    if (1..=MAX_TEXT).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(invalid(&format!("`{name}` has 1 to {MAX_TEXT} characters, none of them a control character.")))
    }
}

fn name(body: &Body<'_>) -> Result<Option<String>, Problem> {
    member::<String>(body, "name", "a string")?.map(|name| text("name", name)).transpose()
}

fn plan(body: &Body<'_>, plans: &Plans) -> Result<Option<String>, Problem> {
    known_plan(member(body, "plan", "a string")?, plans)
}

/// The plan, if there is one of that name.
pub(crate) fn known_plan(plan: Option<String>, plans: &Plans) -> Result<Option<String>, Problem> {
    match plan {
        Some(plan) if plans.id(&plan).is_none() => {
            let names: Vec<&str> = plans.names().collect();
            Err(Problem::new(Code::UnknownPlan, format!("The plans are: {}.", names.join(", "))))
        }
        plan => Ok(plan),
    }
}

fn issuers(body: &Body<'_>) -> Result<Option<Vec<String>>, Problem> {
    let issuers: Option<Vec<String>> = member(body, "issuers", "an array of strings")?;
    if issuers.as_ref().is_some_and(|issuers| issuers.len() > MAX_ISSUERS) {
        return Err(invalid(&format!("There are at most {MAX_ISSUERS} issuers.")));
    }
    match issuers.iter().flatten().find(|issuer| !issuer.starts_with("https://") || issuer.len() > MAX_TEXT) {
        None => Ok(issuers),
        Some(_) => Err(Problem::new(Code::InvalidIssuer, "An issuer is an address that starts with https://.")),
    }
}

fn labels(body: &Body<'_>) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let labels: Option<BTreeMap<String, String>> = member(body, "labels", "an object of strings")?;
    if labels.as_ref().is_some_and(|labels| labels.len() > MAX_LABELS) {
        return Err(invalid(&format!("There are at most {MAX_LABELS} labels.")));
    }
    for (name, value) in labels.iter().flatten() {
        text("labels", name.clone())?;
        text("labels", value.clone())?;
    }
    Ok(labels)
}

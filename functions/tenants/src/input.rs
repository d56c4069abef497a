//! Request bodies of operators.

mod labels;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use service::domain::issuer::{Issuer, IssuersError, PlainHttp, is_plausible};
use service::domain::tenant::TenantId;
use service::domain::tenant::lifecycle::KeyKind;
use service::http::{Body, Code, Inbound, Problem, WholeNumber};
use service::runtime::config::IssuersConfig;

use crate::plans::Plans;

pub(crate) use labels::LabelsPatch;

const JSON: &[&str] = &["application/json"];
const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// The maximum length of a name or a reason, in characters.
const MAX_TEXT: usize = 200;
/// The default and the maximum time for which older tenant keys remain valid after a rotation, in seconds.
const OVERLAP: u64 = 24 * 3600;
const MAX_OVERLAP: u64 = 30 * 24 * 3600;
/// The maximum number of issuers of a tenant.
const MAX_ISSUERS: usize = 20;

/// The issuers of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// The `iss` of every issuer.
    pub(crate) names: Vec<String>,
    /// The issuers that belong to this tenant alone.
    pub(crate) own: Vec<Issuer>,
}

/// The body of a new tenant.
pub(crate) struct NewTenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) issuers: Bound,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) key: KeyKind,
    pub(crate) quota: Option<u64>,
}

/// A change of a tenant's own quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaChange {
    /// It stays as it is.
    Keep,
    /// It is removed, so that the quota of the plan applies.
    Drop,
    /// It becomes this many requests a month.
    Set(u64),
}

/// The body of a change. A member that is `None` stays as it is.
pub(crate) struct Patch {
    pub(crate) name: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) issuers: Option<Bound>,
    pub(crate) labels: LabelsPatch,
    pub(crate) quota: QuotaChange,
}

impl NewTenant {
    pub(crate) fn of(request: &Inbound<'_>, plans: &Plans, stack: &IssuersConfig) -> Result<Self, Problem> {
        let body = request.body(JSON, &["id", "name", "plan", "issuers", "labels", "key", "quota"])?;
        let id = match body.optional::<String>("id", "a string")? {
            None => TenantId::generate(),
            Some(id) => TenantId::parse(&id)
                .map_err(|_| Problem::invalid_body("`id` must be a ULID: 26 uppercase letters and digits."))?,
        };
        let key = body
            .optional::<String>("key", "a string")?
            .map_or(Ok(KeyKind::default()), |key| key.parse())
            .map_err(|_| Problem::invalid_body("`key` must be `own` or `pooled`."))?;
        let plan = known_plan(body.required("plan", "a string")?, plans)?;
        let quota = match quota(&body)? {
            QuotaChange::Keep | QuotaChange::Drop => None,
            QuotaChange::Set(requests) => Some(check_quota(requests, &plan, plans)?),
        };
        Ok(Self {
            id,
            name: text("name", body.required("name", "a string")?)?,
            plan,
            issuers: issuers(&body, stack)?.unwrap_or_default(),
            labels: labels::all(&body)?,
            key,
            quota,
        })
    }
}

impl Patch {
    pub(crate) fn of(request: &Inbound<'_>, plans: &Plans, stack: &IssuersConfig) -> Result<Self, Problem> {
        let body = request.body(MERGE_PATCH, &["name", "plan", "issuers", "labels", "quota"])?;
        Ok(Self {
            name: name(&body)?,
            plan: plan(&body, plans)?,
            // A merge patch removes a member by null, and a tenant without issuers is one with those of the stack.
            issuers: if is_null(&body, "issuers") { Some(Bound::default()) } else { issuers(&body, stack)? },
            labels: LabelsPatch::of(&body)?,
            quota: quota(&body)?,
        })
    }
}

/// The body of a suspension or a resumption.
pub(crate) fn reason(request: &Inbound<'_>) -> Result<String, Problem> {
    let body = request.body(JSON, &["reason"])?;
    text("reason", body.required("reason", "a string")?)
}

/// The body of a rotation of tenant keys: how long the older ones remain valid.
pub(crate) fn overlap(request: &Inbound<'_>) -> Result<Duration, Problem> {
    let body = request.body(JSON, &["overlap"])?;
    let seconds: Option<WholeNumber> = body.optional("overlap", "a number of seconds")?;
    let seconds = seconds.map_or(OVERLAP, |seconds| seconds.0);
    if seconds > MAX_OVERLAP {
        return Err(Problem::invalid_body(format!("`overlap` must be at most {MAX_OVERLAP} seconds.")));
    }
    Ok(Duration::from_secs(seconds))
}

fn is_null(body: &Body<'_>, name: &str) -> bool {
    body.get(name).is_some_and(|value| value.get() == "null")
}

fn text(name: &str, text: String) -> Result<String, Problem> {
    let length = text.chars().count();
    if (1..=MAX_TEXT).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(Problem::invalid_body(format!("`{name}` must have 1 to {MAX_TEXT} characters and no control characters.")))
    }
}

fn name(body: &Body<'_>) -> Result<Option<String>, Problem> {
    body.optional("name", "a string")?.map(|name| text("name", name)).transpose()
}

fn plan(body: &Body<'_>, plans: &Plans) -> Result<Option<String>, Problem> {
    body.optional("plan", "a string")?.map(|plan| known_plan(plan, plans)).transpose()
}

/// The plan, if there is one of that name.
pub(crate) fn known_plan(plan: String, plans: &Plans) -> Result<String, Problem> {
    if plans.contains(&plan) {
        return Ok(plan);
    }
    let names: Vec<&str> = plans.names().collect();
    Err(Problem::new(Code::UNKNOWN_PLAN, format!("There is no such plan. The plans are: {}.", names.join(", "))))
}

/// The quota: an object with a number of requests, or null.
fn quota(body: &Body<'_>) -> Result<QuotaChange, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Quota {
        requests: WholeNumber,
    }
    let Some(raw) = body.get("quota") else { return Ok(QuotaChange::Keep) };
    let wrong = || {
        Problem::invalid_body("`quota` must be null, or an object whose `requests` is a whole number of at least 0.")
    };
    // `serde` would read an array as well, member by member.
    if raw.get().starts_with('[') {
        return Err(wrong());
    }
    let quota: Option<Quota> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    Ok(quota.map_or(QuotaChange::Drop, |quota| QuotaChange::Set(quota.requests.0)))
}

/// Checks a tenant's own quota. Above the backstop of the plan it would have no effect, because API Gateway rejects requests
/// before.
pub(crate) fn check_quota(requests: u64, plan: &str, plans: &Plans) -> Result<u64, Problem> {
    let most = plans.backstop(plan);
    if requests > most {
        let detail =
            format!("`quota` can be at most {most} requests a month on the plan {plan}, which is the plan's backstop.");
        return Err(Problem::invalid_body(detail));
    }
    Ok(requests)
}

/// The issuers: a string names an issuer of the stack, an object describes one that belongs to this tenant alone.
fn issuers(body: &Body<'_>, stack: &IssuersConfig) -> Result<Option<Bound>, Problem> {
    let Some(members) = body.optional::<Vec<Value>>("issuers", "an array")? else { return Ok(None) };
    if members.len() > MAX_ISSUERS {
        return Err(Problem::invalid_body(format!("A tenant can have at most {MAX_ISSUERS} issuers.")));
    }
    let mut bound = Bound::default();
    for member in members {
        let name = match member {
            Value::String(name) if stack.issuers.has(&name) => name,
            // A later deployment may add it to the stack.
            Value::String(name) if is_plausible(&name, PlainHttp::Never) => name,
            Value::String(_) => {
                let detail = "A string in `issuers` must name an issuer of the stack, or be the address of another \
                              one: a valid URI that starts with https://.";
                return Err(invalid_issuer(detail));
            }
            Value::Object(members) => {
                let issuer = Issuer::of_tenant(members, stack.plain_http).map_err(|error| issuer_problem(&error))?;
                if stack.issuers.has(&issuer.issuer) {
                    let detail = "This issuer belongs to the stack. Give its address as a string, not an object.";
                    return Err(Problem::new(Code::ISSUER_TAKEN, detail));
                }
                let name = issuer.issuer.clone();
                bound.own.push(issuer);
                name
            }
            _ => return Err(Problem::invalid_body("Each element of `issuers` must be a string or an object.")),
        };
        if bound.names.contains(&name) {
            return Err(invalid_issuer("`issuers` lists an issuer twice."));
        }
        bound.names.push(name);
    }
    Ok(Some(bound))
}

fn invalid_issuer(detail: &str) -> Problem {
    Problem::new(Code::INVALID_ISSUER, detail)
}

fn issuer_problem(error: &IssuersError) -> Problem {
    match error {
        // The parser's own text speaks of Rust types.
        IssuersError::Malformed(_) => invalid_issuer(
            "An issuer has an unknown member, or one of the wrong type. The schema `TenantIssuer` of the contract \
                 lists them.",
        ),
        error => invalid_issuer(&format!("An issuer is invalid: {error}.")),
    }
}

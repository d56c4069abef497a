//! The body of a transaction: `{"operations": [{"op": "put", "collection": "notes", "id": "welcome", ...}]}`.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use service::domain::data::Data;
use service::domain::idempotency::Once;
use service::domain::record::{CollectionName, Draft, RecordId, Version};
use service::domain::transaction::{Action, Operation, Patch, Transaction};
use service::http::{Body, Code, Inbound, Problem, WholeNumber};

/// What an operation is called.
pub(crate) fn name(action: &Action<'_>) -> &'static str {
    match action {
        Action::Create(_) => "create",
        Action::Put(..) => "put",
        Action::Patch(..) => "patch",
        Action::Delete(_) => "delete",
        Action::Check(_) => "check",
    }
}

/// Reads the body of a request, with its idempotency key if it has one.
pub(crate) fn read<'a>(request: &Inbound<'a>, once: Option<&Once>) -> Result<Transaction<'a>, Problem> {
    let body = request.body(&["application/json"], &["operations"])?;
    let raws = body.get("operations").ok_or_else(|| missing("operations"))?;
    let raws: Vec<&RawValue> =
        serde_json::from_str(raws.get()).map_err(|_| invalid("`operations` must be an array."))?;
    // Before they are read: a body has room for very many that are short.
    Transaction::check_count(raws.len(), once.is_some())?;
    let operation = |(place, raw)| operation(raw).map_err(|problem| problem.within(&format!("operations[{place}]")));
    let operations = raws.into_iter().enumerate().map(operation).collect::<Result<_, _>>()?;
    Ok(Transaction::new(operations)?)
}

fn operation(raw: &RawValue) -> Result<Operation<'_>, Problem> {
    let body = Body::of_object(raw)?;
    let op: String = member(&body, "op", "a string")?;
    let action = match op.as_str() {
        "create" => {
            body.check_members(&["op", "collection", "id", "data", "expiresAt"])?;
            Action::Create(draft(&body)?)
        }
        "put" => {
            body.check_members(&["op", "collection", "id", "data", "expiresAt", "ifVersion"])?;
            Action::Put(draft(&body)?, if_version(&body)?)
        }
        "patch" => {
            body.check_members(&["op", "collection", "id", "data", "expiresAt", "ifVersion"])?;
            Action::Patch(patch(&body)?, if_version(&body)?)
        }
        "delete" => {
            body.check_members(&["op", "collection", "id", "ifVersion"])?;
            Action::Delete(if_version(&body)?)
        }
        "check" => {
            body.check_members(&["op", "collection", "id", "ifVersion"])?;
            Action::Check(if_version(&body)?)
        }
        _ => return Err(invalid("`op` must be `create`, `put`, `patch`, `delete` or `check`.")),
    };
    let collection: String = member(&body, "collection", "a string")?;
    let collection = CollectionName::parse(&collection).map_err(|error| invalid(error.to_string()))?;
    let id = match action {
        Action::Create(_) if body.get("id").is_none() => RecordId::generate(),
        _ => {
            let id: String = member(&body, "id", "a string")?;
            RecordId::parse(&id).map_err(|error| invalid(error.to_string()))?
        }
    };
    Ok(Operation { collection, id, action })
}

fn draft(body: &Body<'_>) -> Result<Draft, Problem> {
    let data = body.get("data").ok_or_else(|| missing("data"))?;
    Ok(Draft { data: Data::new(data)?, expires_at: body.expires_at()?.of(None) })
}

fn patch<'a>(body: &Body<'a>) -> Result<Patch<'a>, Problem> {
    let data = body.get("data");
    if let Some(data) = data {
        Data::check_patch(data)?;
    }
    Ok(Patch { data, expiry: body.expires_at()? })
}

fn if_version(body: &Body<'_>) -> Result<Option<Version>, Problem> {
    if body.get("ifVersion").is_none() {
        return Ok(None);
    }
    let WholeNumber(number) = member(body, "ifVersion", "a whole number, such as a record's `version`")?;
    Ok(Some(Version::from_number(number)))
}

fn member<T: DeserializeOwned>(body: &Body<'_>, name: &str, form: &str) -> Result<T, Problem> {
    let raw = body.get(name).ok_or_else(|| missing(name))?;
    serde_json::from_str(raw.get()).map_err(|_| invalid(format!("`{name}` must be {form}.")))
}

fn missing(name: &str) -> Problem {
    invalid(format!("The member `{name}` is missing."))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}

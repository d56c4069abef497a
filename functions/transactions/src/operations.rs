//! The body of a transaction: `{"operations": [{"op": "put", "collection": "notes", "id": "welcome", ...}]}`.

use serde_json::value::RawValue;
use service::domain::caller::RecordsWrite;
use service::domain::data::Data;
use service::domain::record::{CollectionName, Draft, RecordId, Version};
use service::domain::transaction::{Action, Operation, Patch, Transaction};
use service::http::{Body, IdempotentWrite, Problem, WholeNumber};

/// The name of an operation in requests and responses.
pub(crate) fn name(action: &Action<'_>) -> &'static str {
    match action {
        Action::Create(_) => "create",
        Action::Put(..) => "put",
        Action::Patch(..) => "patch",
        Action::Delete(_) => "delete",
        Action::Check(_) => "check",
    }
}

/// Reads the body of a request.
pub(crate) fn read<'a>(write: &IdempotentWrite<'a, RecordsWrite>) -> Result<Transaction<'a>, Problem> {
    let body = write.request.body(&["application/json"], &["operations"])?;
    let raws: Vec<&RawValue> = body.required("operations", "an array")?;
    // The count is checked before the operations are read: a body has room for very many short ones.
    Transaction::check_count(raws.len(), write.keyed().is_some())?;
    let operation = |(place, raw)| operation(raw).map_err(|problem| problem.within(&format!("operations[{place}]")));
    let operations = raws.into_iter().enumerate().map(operation).collect::<Result<_, _>>()?;
    Ok(Transaction::new(operations)?)
}

fn operation(raw: &RawValue) -> Result<Operation<'_>, Problem> {
    let body = Body::of_object(raw)?;
    let op: String = body.required("op", "a string")?;
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
        _ => return Err(Problem::invalid_body("`op` must be `create`, `put`, `patch`, `delete` or `check`.")),
    };
    let collection: String = body.required("collection", "a string")?;
    let collection = CollectionName::parse(&collection).map_err(|error| Problem::invalid_body(error.to_string()))?;
    let id = match action {
        Action::Create(_) if body.get("id").is_none() => RecordId::generate(),
        _ => {
            let id: String = body.required("id", "a string")?;
            RecordId::parse(&id).map_err(|error| Problem::invalid_body(error.to_string()))?
        }
    };
    Ok(Operation { collection, id, action })
}

fn draft(body: &Body<'_>) -> Result<Draft, Problem> {
    Ok(Draft { data: body.data()?, expires_at: body.expires_at()?.of(None) })
}

fn patch<'a>(body: &Body<'a>) -> Result<Patch<'a>, Problem> {
    let data = body.get("data");
    if let Some(data) = data {
        Data::check_patch(data)?;
    }
    Ok(Patch { data, expiry: body.expires_at()? })
}

fn if_version(body: &Body<'_>) -> Result<Option<Version>, Problem> {
    let number: Option<WholeNumber> = body.optional("ifVersion", "a whole number, such as a record's `version`")?;
    Ok(number.map(|WholeNumber(number)| Version::from_number(number)))
}

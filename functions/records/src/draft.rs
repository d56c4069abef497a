//! The writable part of a record, as requests carry it: `{"data": {...}, "expiresAt": ...}`.

use serde_json::value::RawValue;
use service::data::Data;
use service::http::{Body, Code, Inbound, Problem};
use service::record::{Draft, ExpiryChange};
use service::time::{Expiry, Timestamp};

const MEMBERS: &[&str] = &["data", "expiresAt"];

/// Reads the body of a create or a replace.
pub(crate) fn draft(request: &Inbound<'_>) -> Result<Draft, Problem> {
    let body = request.body(&["application/json"], MEMBERS)?;
    let data = body.get("data").ok_or_else(|| Problem::new(Code::InvalidBody, "The member `data` is missing."))?;
    Ok(Draft { data: Data::new(data)?, expires_at: expiry(&body)?.of(None) })
}

/// The body of a merge.
pub(crate) struct Change<'a> {
    /// The merge patch for the data.
    pub(crate) data: Option<&'a RawValue>,
    /// What becomes of the expiry.
    pub(crate) expiry: ExpiryChange,
}

impl<'a> Change<'a> {
    /// Reads the body of a merge. It is a merge patch of the writable part, so `"expiresAt": null` ends the expiry.
    pub(crate) fn of(request: &Inbound<'a>) -> Result<Self, Problem> {
        let body = request.body(&["application/merge-patch+json", "application/json"], MEMBERS)?;
        Ok(Self { data: body.get("data"), expiry: expiry(&body)? })
    }
}

/// `expiresAt`, where it is given.
fn expiry(body: &Body<'_>) -> Result<ExpiryChange, Problem> {
    let invalid = |detail: &str| Problem::new(Code::InvalidBody, detail);
    let Some(raw) = body.get("expiresAt") else { return Ok(ExpiryChange::Keep) };
    let text: Option<String> = serde_json::from_str(raw.get())
        .map_err(|_| invalid("`expiresAt` must be a string with an RFC 3339 date and time."))?;
    let Some(text) = text else { return Ok(ExpiryChange::End) };
    let expiry = Expiry::parse(&text).map_err(|_| invalid("`expiresAt` must be an RFC 3339 date and time."))?;
    if expiry.is_past(Timestamp::now()) {
        return Err(invalid("`expiresAt` must be in the future."));
    }
    Ok(ExpiryChange::Set(expiry))
}

//! The writable part of a record, as requests carry it: `{"data": {...}, "expiresAt": ...}`.

use serde_json::value::RawValue;
use service::domain::record::{Draft, ExpiryChange};
use service::http::{Inbound, Problem};

const MEMBERS: &[&str] = &["data", "expiresAt"];

/// Reads the body of a create or a put.
pub(crate) fn draft(request: &Inbound<'_>) -> Result<Draft, Problem> {
    let body = request.body(&["application/json"], MEMBERS)?;
    Ok(Draft { data: body.data()?, expires_at: body.expires_at()?.of(None) })
}

/// The body of a merge.
pub(crate) struct Change<'a> {
    /// The merge patch for the data.
    pub(crate) data: Option<&'a RawValue>,
    /// The change of the expiry.
    pub(crate) expiry: ExpiryChange,
}

impl<'a> Change<'a> {
    /// Reads the body of a merge. It is a merge patch of the writable part, so `"expiresAt": null` ends the expiry.
    pub(crate) fn of(request: &Inbound<'a>) -> Result<Self, Problem> {
        let body = request.body(&["application/merge-patch+json", "application/json"], MEMBERS)?;
        Ok(Self { data: body.get("data"), expiry: body.expires_at()? })
    }
}

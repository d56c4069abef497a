//! What the line of a judgement says beyond the answer, and the line.

use std::time::Duration;

use service::domain::caller::context;
use service::domain::units::Units;
use service::runtime::log::{self, Entry, Taken};

use crate::{Answer, Refusal};

/// Taken down on the way to an answer, which tells less.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Who made the token, once that is verified.
    pub(crate) issuer: Option<String>,
    /// Why there is no policy.
    pub(crate) cause: Option<String>,
}

impl Notes {
    pub(crate) fn write(&self, result: &Result<Answer, Refusal>, units: Units, elapsed: Duration) {
        let said = |name| result.as_ref().ok()?.context.get(name).map(String::as_str);
        let (status, code) = match result {
            // A denial tells nobody who it was for.
            Ok(answer) if answer.context.contains_key(context::SUBJECT) => (200, None),
            Ok(_) => (403, said(context::REASON)),
            Err(Refusal::Unauthorized) => (401, Some("unauthorized")),
            Err(Refusal::Unavailable) => (503, Some("unavailable")),
        };
        log::write(
            &Entry {
                route: "authorize",
                tenant: said(context::TENANT),
                plan: said(context::PLAN),
                issuer: self.issuer.as_deref(),
                code,
                cause: self.cause.as_deref(),
                ..Entry::default()
            },
            &Taken { status, units, elapsed, bytes_in: 0, bytes_out: 0 },
        );
    }
}

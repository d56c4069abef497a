//! Requests with an idempotency key: a repeat is answered as the first was.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Inbound, Problem, Reply};
use crate::domain::caller::{Access, Scope};
use crate::domain::data::Data;
use crate::domain::idempotency::{Answered, Kept, KeptBody, Once, Sealed, Written};
use crate::store::Store;

/// Says that an answer is the one to an earlier try.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Reply {
    /// All of it, to be kept.
    #[must_use]
    pub fn keep(self) -> Option<Kept> {
        let Self { status, headers, body } = self;
        kept(status, &headers, KeptBody::Whole(body))
    }

    /// The reply without the data that stands at its body's end, which a repeat brings along.
    #[must_use]
    pub fn keep_around(self, data: &Data) -> Option<Kept> {
        let Self { status, headers, body } = self;
        let head = body.strip_suffix('}').and_then(|body| body.strip_suffix(data.as_str()))?;
        kept(status, &headers, KeptBody::Around { head: head.to_owned(), tail: "}".to_owned() })
    }

    /// All of it, its body sealed: only a repeat of the request can read it.
    #[must_use]
    pub fn keep_sealed(self, once: &Once) -> Option<Kept> {
        let Self { status, headers, body } = self;
        kept(status, &headers, KeptBody::Sealed(Sealed::seal(once, &body)?))
    }
}

fn kept(status: StatusCode, headers: &HeaderMap, body: KeptBody) -> Option<Kept> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    Some(Kept { status: status.as_u16(), headers: headers.iter().map(text).collect::<Option<_>>()?, body })
}

/// The answer to a write: `now` where it happened now, else the first answer.
pub fn answer<T>(
    request: &Inbound<'_>,
    once: Option<&Once>,
    written: Written<T>,
    now: impl FnOnce(&T) -> Result<Reply, Problem>,
) -> Result<Reply, Problem> {
    match (written, once) {
        (Written::Now(written), _) => now(&written),
        (Written::Before(answered), Some(once)) => replay(request, once, answered),
        (Written::Before(_), None) => Err(Problem::internal("an answer was kept for a request without a key")),
    }
}

/// Does a request; when it is about to be refused, looks whether it was done before and gives the first answer then.
///
/// What a request that was done changed may be why its repeat is refused: the record is gone, an `If-Match` no longer
/// holds, an `expiresAt` is past. A caller who may not do it is refused all the same.
pub async fn first_answer<S: Scope>(
    store: &Store,
    access: &Access<S>,
    request: &Inbound<'_>,
    once: Option<&Once>,
    work: impl Future<Output = Result<Reply, Problem>>,
) -> Result<Reply, Problem> {
    let result = work.await;
    match (&result, once) {
        (Err(problem), Some(once)) if is_decided_by_state(problem) => match store.stored_reply_get(access, once).await?
        {
            Some(kept) => replay(request, once, Answered { kept, ours: false }),
            None => result,
        },
        _ => result,
    }
}

/// Whether a refusal may be another one, or none, at another time.
fn is_decided_by_state(problem: &Problem) -> bool {
    let status = problem.code().status();
    let decided = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY];
    status.is_client_error() && !decided.contains(&status)
}

fn replay(request: &Inbound<'_>, once: &Once, answered: Answered) -> Result<Reply, Problem> {
    let Answered { kept: Kept { status, headers, body }, ours } = answered;
    let unreadable = || Problem::internal("a kept answer cannot be read");
    let body = match body {
        KeptBody::Whole(body) => body,
        KeptBody::Around { head, tail } => {
            let data = request.data().ok_or_else(unreadable)?;
            [&head, data.as_str(), &tail].concat()
        }
        KeptBody::Sealed(sealed) => sealed.open(once).ok_or_else(unreadable)?,
    };
    let status = StatusCode::from_u16(status).map_err(|_| unreadable())?;
    let mut reply = Reply::text(status, body);
    for (name, value) in headers {
        reply = reply.header(HeaderName::try_from(name).map_err(|_| unreadable())?, &value);
    }
    Ok(if ours { reply } else { reply.header(REPLAYED, "true") })
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::http::Code;

    #[test]
    fn a_reply_is_kept_without_the_data_that_a_repeat_brings_along() {
        let data = Data::from_stored(r#"{"a":"{}"}"#.to_owned()).unwrap();
        let reply =
            |body: &str| Reply::text(StatusCode::CREATED, body.to_owned()).header(CONTENT_TYPE, "application/json");
        let kept = reply(r#"{"id":"x","data":{"a":"{}"}}"#).keep_around(&data).unwrap();
        let body = KeptBody::Around { head: r#"{"id":"x","data":"#.to_owned(), tail: "}".to_owned() };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        assert_eq!(kept, Kept { status: 201, headers, body });
        assert_eq!(reply(r#"{"data":{"a":"{}"},"id":"x"}"#).keep_around(&data), None);
    }

    #[test]
    fn a_refusal_that_stands_is_not_looked_up() {
        for (code, looked_up) in [
            (Code::RecordNotFound, true),
            (Code::PreconditionFailed, true),
            (Code::InvalidBody, true),
            (Code::Conflict, true),
            (Code::InsufficientScope, false),
            (Code::CertificateMismatch, false),
            (Code::IdempotencyKeyReused, false),
            (Code::Unavailable, false),
            (Code::InternalError, false),
        ] {
            assert_eq!(is_decided_by_state(&Problem::new(code, "")), looked_up, "{code:?}");
        }
    }
}

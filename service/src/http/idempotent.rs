//! Writes that a client may retry: a retry with the same `Idempotency-Key` gets the first response, and writes nothing.
//!
//! A handler does all of its work inside [`IdempotentWrite::run`], and gives the store the [`reply`](IdempotentWrite::reply)
//! to the write, so that both are committed in one transaction.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Inbound, Problem, Reply};
use crate::domain::caller::{Access, Scope};
use crate::domain::data::Data;
use crate::domain::idempotency::{Applied, KeyedRequest, Replay, ReplyTo, Sealed, StoredBody, StoredReply};
use crate::store::Store;

/// Marks a response as the one to an earlier attempt.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that writes, with its idempotency key if it has one.
#[derive(Debug)]
pub struct IdempotentWrite<'a, S: Scope> {
    /// The request.
    pub request: &'a Inbound<'a>,
    /// The access that the caller needs for the write.
    pub access: Access<S>,
    keyed: Option<KeyedRequest>,
    store: &'a Store,
}

/// How much of a reply is stored.
#[derive(Debug)]
enum Form<T> {
    /// All of it.
    Whole,
    /// All but the data at the end of its body, which a retry contains as well.
    WithoutData(fn(&T) -> &Data),
    /// All of it, with its body encrypted.
    Encrypted,
}

/// The reply to a write, made from the outcome of the write.
#[derive(Debug)]
pub struct WriteReply<'a, T, F> {
    request: &'a Inbound<'a>,
    keyed: Option<&'a KeyedRequest>,
    reply: F,
    form: Form<T>,
    location: Option<String>,
}

impl<'a, S: Scope> IdempotentWrite<'a, S> {
    /// Reads the idempotency key of a request.
    pub fn new(store: &'a Store, request: &'a Inbound<'a>, access: Access<S>) -> Result<Self, Problem> {
        Ok(Self { request, access, keyed: request.keyed()?, store })
    }

    /// The request's idempotency key and fingerprint, if it has an idempotency key.
    #[must_use]
    pub fn keyed(&self) -> Option<&KeyedRequest> {
        self.keyed.as_ref()
    }

    /// Does the work of the request. If the work is rejected, looks for the stored reply of an earlier attempt first.
    ///
    /// The earlier attempt itself may be the reason for the rejection: the record is gone, an `If-Match` no longer holds, an
    /// `expiresAt` has passed. A caller who is not allowed to do the work is denied all the same.
    pub async fn run<'w, Work>(&'w self, work: impl FnOnce(&'w Self) -> Work) -> Result<Reply, Problem>
    where
        Work: Future<Output = Result<Reply, Problem>>,
    {
        // On the heap: the calls of the SDK make a large future.
        let result = Box::pin(work(self)).await;
        if let (Err(problem), Some(keyed)) = (&result, &self.keyed)
            && depends_on_state(problem)
            && let Some(reply) = self.store.stored_reply_get(&self.access, keyed).await?
        {
            return replay(self.request, keyed, Replay { reply, ours: false });
        }
        result
    }

    /// The reply to the outcome of the write. All of it is stored.
    pub fn reply<T, F>(&self, reply: F) -> WriteReply<'_, T, F>
    where
        F: Fn(&T) -> Result<Reply, Problem> + Sync,
    {
        WriteReply { request: self.request, keyed: self.keyed(), reply, form: Form::Whole, location: None }
    }
}

impl<T, F> WriteReply<'_, T, F>
where
    F: Fn(&T) -> Result<Reply, Problem> + Sync,
{
    /// Stores the reply without the data at the end of its body, so that a large record is not stored twice.
    #[must_use]
    pub fn stored_without(self, data: fn(&T) -> &Data) -> Self {
        Self { form: Form::WithoutData(data), ..self }
    }

    /// Stores the reply encrypted, because it contains a secret: only a retry of the request can decrypt it.
    #[must_use]
    pub fn stored_encrypted(self) -> Self {
        Self { form: Form::Encrypted, ..self }
    }

    /// Adds the `Location` of what the request creates: to the reply, and to the problem of a fault, because the write may have
    /// been applied all the same.
    #[must_use]
    pub fn created_at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    /// Waits for the write, and makes the response: the reply to its outcome, or the stored reply of an earlier attempt.
    pub async fn after<E>(&self, write: impl Future<Output = Result<Applied<T>, E>>) -> Result<Reply, Problem>
    where
        Problem: From<E>,
    {
        match (write.await, self.keyed) {
            (Ok(Applied::Now(outcome)), _) => self.to(&outcome),
            (Ok(Applied::Before(earlier)), Some(keyed)) => replay(self.request, keyed, earlier),
            (Ok(Applied::Before(_)), None) => {
                Err(Problem::internal("a reply was stored for a request without an idempotency key"))
            }
            (Err(error), _) => match &self.location {
                Some(location) => Err(Problem::from(error).with_location(location)),
                None => Err(error.into()),
            },
        }
    }

    fn to(&self, outcome: &T) -> Result<Reply, Problem> {
        let reply = (self.reply)(outcome)?;
        Ok(match &self.location {
            Some(location) => reply.location(location),
            None => reply,
        })
    }
}

impl<T, F> ReplyTo<T> for WriteReply<'_, T, F>
where
    F: Fn(&T) -> Result<Reply, Problem> + Sync,
{
    fn request(&self) -> Option<&KeyedRequest> {
        self.keyed
    }

    fn stored(&self, outcome: &T) -> Option<StoredReply> {
        let Reply { status, headers, body } = self.to(outcome).ok()?;
        let body = match self.form {
            Form::Whole => StoredBody::Whole(body),
            Form::WithoutData(data) => without_data(&body, data(outcome))?,
            Form::Encrypted => StoredBody::Encrypted(Sealed::seal(self.keyed?, &body)?),
        };
        Some(StoredReply { status: status.as_u16(), headers: text_headers(&headers)?, body })
    }
}

/// A body without the data of a record, which is the last member of the JSON object.
fn without_data(body: &str, data: &Data) -> Option<StoredBody> {
    let head = body.strip_suffix('}').and_then(|body| body.strip_suffix(data.as_str()))?;
    Some(StoredBody::WithoutData { head: head.to_owned(), tail: "}".to_owned() })
}

fn text_headers(headers: &HeaderMap) -> Option<Vec<(String, String)>> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    headers.iter().map(text).collect()
}

/// Whether a request that ended in this problem could have ended differently at another time.
fn depends_on_state(problem: &Problem) -> bool {
    let status = problem.code().status();
    let final_statuses = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY];
    status.is_client_error() && !final_statuses.contains(&status)
}

fn replay(request: &Inbound<'_>, keyed: &KeyedRequest, earlier: Replay) -> Result<Reply, Problem> {
    let Replay { reply: StoredReply { status, headers, body }, ours } = earlier;
    let unreadable = || Problem::internal("a stored reply cannot be read");
    let body = match body {
        StoredBody::Whole(body) => body,
        StoredBody::WithoutData { head, tail } => {
            let data = request.data().ok_or_else(unreadable)?;
            [&head, data.as_str(), &tail].concat()
        }
        StoredBody::Encrypted(sealed) => sealed.open(keyed).ok_or_else(unreadable)?,
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
    use super::*;
    use crate::http::Code;

    #[test]
    fn a_reply_is_stored_without_the_data_that_a_retry_contains() {
        let data = Data::from_stored(r#"{"a":"{}"}"#.to_owned()).unwrap();
        let body = StoredBody::WithoutData { head: r#"{"id":"x","data":"#.to_owned(), tail: "}".to_owned() };
        assert_eq!(without_data(r#"{"id":"x","data":{"a":"{}"}}"#, &data), Some(body));
        assert_eq!(without_data(r#"{"data":{"a":"{}"},"id":"x"}"#, &data), None);
    }

    #[test]
    fn the_headers_of_a_reply_are_stored() {
        let reply = Reply::json(StatusCode::CREATED, &1).unwrap().location("/x");
        let mut headers = text_headers(&reply.headers).unwrap();
        headers.sort();
        let expected = [("content-type", "application/json"), ("location", "/x")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_stored_reply_is_looked_up_only_if_it_can_change_the_response() {
        for (code, looked_up) in [
            (Code::RECORD_NOT_FOUND, true),
            (Code::PRECONDITION_FAILED, true),
            (Code::INVALID_BODY, true),
            (Code::CONFLICT, true),
            (Code::INSUFFICIENT_SCOPE, false),
            (Code::CERTIFICATE_MISMATCH, false),
            (Code::IDEMPOTENCY_KEY_REUSED, false),
            (Code::UNAVAILABLE, false),
            (Code::INTERNAL_ERROR, false),
        ] {
            assert_eq!(depends_on_state(&Problem::new(code, "")), looked_up, "{code:?}");
        }
    }
}

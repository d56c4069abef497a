//! Stored replies, by tenant and by the hash of route and idempotency key.
//!
//! A reply is written in one transaction with the change that its request makes, so the reply exists if and only if the
//! change was made. No request is ever seen half applied, and a failed request leaves nothing behind that would hinder its
//! retry.
//!
//! A reply whose `expiresAt` has passed counts as absent, whether DynamoDB has removed it yet or not.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::CommitError;
use super::expression::Condition;
use super::item::{Item, attribute, number, read_number, take_string};
use super::keys;
use super::table::{Consistency, Doubt, Failure, ItemWrite, Outcome, Verdict};
use super::{Fault, Store};
use crate::domain::caller::{Access, Scope};
use crate::domain::idempotency::{KeyedRequest, LIFETIME_SECS, Replay, ReplyTo, Sealed, StoredBody, StoredReply};
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};

const FINGERPRINT: &str = "fingerprint";
const STATUS: &str = "status";
const HEADERS: &str = "headers";
const BODY: &str = "body";
const HEAD: &str = "head";
const TAIL: &str = "tail";
const SEALED: &str = "sealed";
const SALT: &str = "salt";

/// A reply that is to be stored together with a change.
pub(super) struct PendingReply<'a> {
    tenant: &'a TenantId,
    request: &'a KeyedRequest,
    reply: StoredReply,
    /// A value that is unique to this write. It shows that a stored reply stems from an earlier attempt of the same write.
    mark: &'a str,
    now: Timestamp,
}

/// The result of committing one change.
pub(super) enum Commit {
    /// The change was made.
    Made,
    /// The condition of the change does not hold on this item (`None`: the item is absent).
    ConditionFailed(Option<Item>),
    /// The change may have been made, or may still be made.
    InDoubt(Doubt),
    /// The request was applied before.
    Before(Replay),
}

/// The result of committing several changes.
pub(super) enum CommitAll {
    /// All changes were made.
    Made,
    /// Conditions do not hold.
    ConditionFailed {
        /// The verdicts tell, in the order of the changes, whether the condition of each change held.
        verdicts: Vec<Verdict>,
        /// The doubt, if an earlier attempt may still arrive, and find that all conditions hold. Without it, no change was
        /// made or will be.
        doubt: Option<Fault>,
    },
    /// The request was applied before.
    Before(Replay),
}

impl Store {
    /// Reads the reply that is stored for a request, strongly consistent.
    pub async fn stored_reply_get<S: Scope>(
        &self,
        access: &Access<S>,
        request: &KeyedRequest,
    ) -> Result<Option<StoredReply>, CommitError> {
        let key = keys::stored_reply(access.tenant(), request.digest());
        let Some(item) = self.table.get(key, Consistency::Strong).await? else { return Ok(None) };
        let expiry = Expiry::from_secs(read_number(&item, attribute::EXPIRES_AT)?);
        if expiry.is_reached(Timestamp::now()) {
            return Ok(None);
        }
        Ok(Some(replay(request, "", item)?.reply))
    }

    /// Makes a change: with one request of its own, or in one transaction with the reply to it.
    pub(super) async fn commit(
        &self,
        change: ItemWrite,
        reply: Option<PendingReply<'_>>,
    ) -> Result<Commit, CommitError> {
        if reply.is_none() {
            return match self.table.write(change).await {
                Ok(_) => Ok(Commit::Made),
                Err(Failure::Condition(item)) => Ok(Commit::ConditionFailed(item)),
                Err(Failure::Doubt(doubt)) => Ok(Commit::InDoubt(doubt)),
                Err(Failure::Conflict(_)) => Err(CommitError::Conflict),
                Err(Failure::Fault(fault)) => Err(fault.into()),
            };
        }
        Ok(match self.commit_all(vec![change], reply).await? {
            CommitAll::Made => Commit::Made,
            CommitAll::Before(earlier) => Commit::Before(earlier),
            CommitAll::ConditionFailed { doubt: Some(fault), .. } => return Err(fault.into()),
            CommitAll::ConditionFailed { verdicts, doubt: None } => {
                Commit::ConditionFailed(verdicts.into_iter().find_map(Verdict::into_item))
            }
        })
    }

    /// Makes changes in one transaction, with the reply to them if there is one. The reply counts as one more write.
    pub(super) async fn commit_all(
        &self,
        changes: Vec<ItemWrite>,
        reply: Option<PendingReply<'_>>,
    ) -> Result<CommitAll, CommitError> {
        let keyed = reply.as_ref().map(|reply| (reply.request, reply.mark.to_owned()));
        let writes = reply.map(PendingReply::write).into_iter().chain(changes).collect();
        let (mut verdicts, doubt) = match self.table.transact(writes).await? {
            Outcome::Written => return Ok(CommitAll::Made),
            Outcome::Conflict => return Err(CommitError::Conflict),
            Outcome::Rejected { verdicts, doubt } => (verdicts.into_iter(), doubt),
        };
        if let Some((request, mark)) = keyed
            // The stored reply decides, whatever the other verdicts are: its own change may be why another condition fails.
            && let Some(Verdict::Failed(item)) = verdicts.next()
        {
            let item = item.ok_or_else(|| Fault::corrupt(FINGERPRINT))?;
            return Ok(CommitAll::Before(replay(request, &mark, item)?));
        }
        Ok(CommitAll::ConditionFailed { verdicts: verdicts.collect(), doubt })
    }
}

impl<'a> PendingReply<'a> {
    /// The reply to a write with this outcome, or `None` if its request has no idempotency key.
    pub(super) fn to<T>(
        outcome: &T,
        reply: &'a dyn ReplyTo<T>,
        tenant: &'a TenantId,
        mark: &'a str,
        now: Timestamp,
    ) -> Result<Option<Self>, Fault> {
        let Some(request) = reply.request() else { return Ok(None) };
        let reply = reply.stored(outcome).ok_or_else(|| Fault::unbuilt("the reply cannot be stored"))?;
        Ok(Some(Self { tenant, request, reply, mark, now }))
    }

    /// Writes the reply, unless one is stored for the same route and idempotency key.
    pub(super) fn write(self) -> ItemWrite {
        let condition = Condition::default().vacant(self.now);
        ItemWrite::put(self.into_item(), condition)
    }

    fn into_item(self) -> Item {
        let Self { tenant, request, reply: StoredReply { status, headers, body }, mark, now } = self;
        let binary = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
        let mut item = keys::stored_reply(tenant, request.digest()).into_map();
        let headers: HashMap<_, _> =
            headers.into_iter().map(|(name, value)| (name, AttributeValue::S(value))).collect();
        let expires_at = now.as_millis().div_euclid(1000).saturating_add(LIFETIME_SECS);
        item.extend([
            (FINGERPRINT.to_owned(), binary(request.fingerprint().as_bytes())),
            (STATUS.to_owned(), number(status)),
            (HEADERS.to_owned(), AttributeValue::M(headers)),
            (attribute::WRITE.to_owned(), AttributeValue::S(mark.to_owned())),
            (attribute::EXPIRES_AT.to_owned(), number(expires_at)),
        ]);
        item.extend(match body {
            StoredBody::Whole(text) => vec![(BODY.to_owned(), AttributeValue::S(text))],
            StoredBody::WithoutData { head, tail } => {
                vec![(HEAD.to_owned(), AttributeValue::S(head)), (TAIL.to_owned(), AttributeValue::S(tail))]
            }
            StoredBody::Encrypted(Sealed { salt, text }) => {
                vec![(SEALED.to_owned(), binary(&text)), (SALT.to_owned(), binary(&salt))]
            }
        });
        item
    }
}

/// The stored reply in an item, if the item belongs to this request and not to another one with the same idempotency key.
pub(super) fn replay(request: &KeyedRequest, mark: &str, mut item: Item) -> Result<Replay, CommitError> {
    if take_bytes(&mut item, FINGERPRINT)? != request.fingerprint().as_bytes() {
        return Err(CommitError::KeyReused);
    }
    let ours = take_string(&mut item, attribute::WRITE)? == mark;
    Ok(Replay { reply: from_item(item)?, ours })
}

fn from_item(mut item: Item) -> Result<StoredReply, Fault> {
    let Some(AttributeValue::M(headers)) = item.remove(HEADERS) else { return Err(Fault::corrupt(HEADERS)) };
    let text = |value: AttributeValue| match value {
        AttributeValue::S(text) => Ok(text),
        _ => Err(Fault::corrupt(HEADERS)),
    };
    let body = if item.contains_key(SEALED) {
        StoredBody::Encrypted(Sealed { salt: take_bytes(&mut item, SALT)?, text: take_bytes(&mut item, SEALED)? })
    } else if item.contains_key(HEAD) {
        StoredBody::WithoutData { head: take_string(&mut item, HEAD)?, tail: take_string(&mut item, TAIL)? }
    } else {
        StoredBody::Whole(take_string(&mut item, BODY)?)
    };
    Ok(StoredReply {
        status: read_number(&item, STATUS)?,
        headers: headers.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect::<Result<_, Fault>>()?,
        body,
    })
}

fn take_bytes(item: &mut Item, name: &str) -> Result<Vec<u8>, Fault> {
    match item.remove(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.into_inner()),
        _ => Err(Fault::corrupt(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::idempotency::{Essence, Fingerprint, IdempotencyKey};

    fn keyed(body: &[u8]) -> KeyedRequest {
        let essence = Essence {
            method: "POST",
            path: "/v1/x",
            query: vec![],
            if_match: vec![],
            if_none_match: vec![],
            media_type: "",
            body,
        };
        KeyedRequest::new(IdempotencyKey::parse("a").unwrap(), ("POST", "/x"), Fingerprint::of(&essence))
    }

    fn item(request: &KeyedRequest, body: StoredBody) -> (Item, StoredReply) {
        let headers = vec![("etag".to_owned(), "\"1\"".to_owned())];
        let reply = StoredReply { status: 201, headers, body };
        let tenant = TenantId::parse("01K0ACME000000000000000000").unwrap();
        let now = Timestamp::from_millis(1_795_253_400_999);
        let pending = PendingReply { tenant: &tenant, request, reply: reply.clone(), mark: "mark", now };
        (pending.into_item(), reply)
    }

    #[test]
    fn a_stored_reply_is_read_as_written() {
        let request = keyed(b"{}");
        for body in [
            StoredBody::Whole(String::new()),
            StoredBody::WithoutData { head: "{".into(), tail: "}".into() },
            StoredBody::Encrypted(Sealed { salt: vec![1], text: vec![2, 3] }),
        ] {
            let (item, reply) = item(&request, body);
            assert_eq!(item[attribute::EXPIRES_AT], number(1_795_339_800));
            for (mark, ours) in [("mark", true), ("other", false)] {
                let Ok(earlier) = replay(&request, mark, item.clone()) else { panic!("a stored reply") };
                assert_eq!(earlier, Replay { reply: reply.clone(), ours });
            }
        }
    }

    #[test]
    fn another_request_with_the_same_key_does_not_get_it() {
        let (item, _) = item(&keyed(b"{}"), StoredBody::Whole(String::new()));
        assert!(matches!(replay(&keyed(b"{ }"), "mark", item), Err(CommitError::KeyReused)));
    }

    #[test]
    fn an_item_that_lacks_an_attribute_is_corrupt() {
        let request = keyed(b"{}");
        let sealed = StoredBody::Encrypted(Sealed { salt: vec![1], text: vec![2] });
        let without_data = StoredBody::WithoutData { head: "{".into(), tail: "}".into() };
        for (body, names) in [
            (StoredBody::Whole("{}".into()), &[FINGERPRINT, STATUS, HEADERS, BODY, attribute::WRITE][..]),
            (without_data, &[TAIL]),
            (sealed, &[SALT]),
        ] {
            for name in names {
                let (mut item, _) = item(&request, body.clone());
                item.remove(*name);
                assert!(matches!(replay(&request, "mark", item), Err(CommitError::Fault(Fault::Corrupt(_)))), "{name}");
            }
        }
    }
}

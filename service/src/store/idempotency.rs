//! Kept answers, by tenant and by the digest of route and idempotency key.
//!
//! An answer is written in one transaction with what its request changes. So there is one if and only if the change
//! happened: no request is ever seen half done, and none leaves anything behind that would be in the way of its repeat.
//!
//! An answer past its `expiresAt` is none, whether DynamoDB has removed it yet or not.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::OnceError;
use super::expression::Condition;
use super::item::{Item, attribute, number, read_number, take_string};
use super::keys;
use super::table::{Consistency, Doubt, Failure, ItemWrite, Outcome, Verdict};
use super::{Fault, Store};
use crate::domain::caller::{Access, Scope};
use crate::domain::idempotency::{Answered, Kept, KeptBody, LIFETIME_SECS, Once, Sealed};
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

/// An answer that is to be kept.
pub(super) struct Keeping<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) once: &'a Once,
    pub(super) kept: Kept,
    /// Unique to this write, so that what an earlier try of it left is known as its own.
    pub(super) mark: &'a str,
    pub(super) now: Timestamp,
}

/// What became of a change.
pub(super) enum Commit {
    /// It was made.
    Made,
    /// Its condition does not hold, on this item.
    Refused(Option<Item>),
    /// It may have been made, or may still.
    Doubt(Doubt),
    /// Its request was done before.
    Before(Answered),
}

/// What became of several writes.
pub(super) enum Ending {
    /// All were made.
    Written,
    /// None was made. Whether their conditions held, in their order.
    Refused(Vec<Verdict>),
    /// Their request was done before.
    Before(Answered),
}

impl Store {
    /// Reads what is kept for a request, strongly consistent.
    pub async fn stored_reply_get<S: Scope>(&self, access: &Access<S>, once: &Once) -> Result<Option<Kept>, OnceError> {
        let key = keys::answer(access.tenant(), once.digest());
        let Some(item) = self.table.get(key, Consistency::Strong).await? else { return Ok(None) };
        let expiry = Expiry::from_secs(read_number(&item, attribute::EXPIRES_AT)?);
        if expiry.is_past(Timestamp::now()) {
            return Ok(None);
        }
        Ok(Some(answered(once, "", item)?.kept))
    }

    /// Makes a change: by itself with one request, or in one transaction with the answer that is to be kept.
    pub(super) async fn commit(&self, change: ItemWrite, keeping: Option<Keeping<'_>>) -> Result<Commit, OnceError> {
        let Some(keeping) = keeping else {
            return match self.table.write(change).await {
                Ok(_) => Ok(Commit::Made),
                Err(Failure::Condition(item)) => Ok(Commit::Refused(item)),
                Err(Failure::Doubt(doubt)) => Ok(Commit::Doubt(doubt)),
                Err(Failure::Conflict(_)) => Err(OnceError::Conflict),
                Err(Failure::Fault(fault)) => Err(fault.into()),
            };
        };
        Ok(match self.write_once(vec![change], keeping).await? {
            Ending::Written => Commit::Made,
            Ending::Before(answered) => Commit::Before(answered),
            Ending::Refused(verdicts) => Commit::Refused(verdicts.into_iter().find_map(Verdict::into_item)),
        })
    }

    /// Makes writes in one transaction with the answer that is to be kept: one write less than a transaction may have.
    pub(super) async fn write_once(&self, writes: Vec<ItemWrite>, keeping: Keeping<'_>) -> Result<Ending, OnceError> {
        let (once, mark) = (keeping.once, keeping.mark.to_owned());
        let mut items = vec![keeping.change()];
        items.extend(writes);
        let (mut verdicts, doubt) = match self.table.transact(items).await? {
            Outcome::Written => return Ok(Ending::Written),
            Outcome::Conflict => return Err(OnceError::Conflict),
            Outcome::Rejected { verdicts, doubt } => (verdicts.into_iter(), doubt),
        };
        // The key decides, whatever became of the rest: the change that it is about may be why the rest is refused.
        if let Some(Verdict::Failed(item)) = verdicts.next() {
            let item = item.ok_or_else(|| Fault::corrupt(FINGERPRINT))?;
            return Ok(Ending::Before(answered(once, &mark, item)?));
        }
        // The key is free: an attempt that was lost has not arrived. But it may still, where it may find its condition true.
        doubt.map_or_else(|| Ok(Ending::Refused(verdicts.collect())), |fault| Err(fault.into()))
    }
}

impl Keeping<'_> {
    /// Writes the answer, unless there is one by this key.
    pub(super) fn change(self) -> ItemWrite {
        let condition = Condition::default().vacant(self.now);
        ItemWrite::put(self.into_item(), condition)
    }

    fn into_item(self) -> Item {
        let Self { tenant, once, kept: Kept { status, headers, body }, mark, now } = self;
        let binary = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
        let mut item = keys::answer(tenant, once.digest()).into_map();
        let headers: HashMap<_, _> =
            headers.into_iter().map(|(name, value)| (name, AttributeValue::S(value))).collect();
        let expires_at = now.as_millis().div_euclid(1000).saturating_add(LIFETIME_SECS);
        item.extend([
            (FINGERPRINT.to_owned(), binary(once.fingerprint().as_bytes())),
            (STATUS.to_owned(), number(status)),
            (HEADERS.to_owned(), AttributeValue::M(headers)),
            (attribute::WRITE.to_owned(), AttributeValue::S(mark.to_owned())),
            (attribute::EXPIRES_AT.to_owned(), number(expires_at)),
        ]);
        item.extend(match body {
            KeptBody::Whole(text) => vec![(BODY.to_owned(), AttributeValue::S(text))],
            KeptBody::Around { head, tail } => {
                vec![(HEAD.to_owned(), AttributeValue::S(head)), (TAIL.to_owned(), AttributeValue::S(tail))]
            }
            KeptBody::Sealed(Sealed { salt, text }) => {
                vec![(SEALED.to_owned(), binary(&text)), (SALT.to_owned(), binary(&salt))]
            }
        });
        item
    }
}

/// What an item by the request's key says to the request.
pub(super) fn answered(once: &Once, mark: &str, mut item: Item) -> Result<Answered, OnceError> {
    if take_bytes(&mut item, FINGERPRINT)? != once.fingerprint().as_bytes() {
        return Err(OnceError::KeyReused);
    }
    let ours = take_string(&mut item, attribute::WRITE)? == mark;
    Ok(Answered { kept: from_item(item)?, ours })
}

fn from_item(mut item: Item) -> Result<Kept, Fault> {
    let Some(AttributeValue::M(headers)) = item.remove(HEADERS) else { return Err(Fault::corrupt(HEADERS)) };
    let text = |value: AttributeValue| match value {
        AttributeValue::S(text) => Ok(text),
        _ => Err(Fault::corrupt(HEADERS)),
    };
    let body = if item.contains_key(SEALED) {
        KeptBody::Sealed(Sealed { salt: take_bytes(&mut item, SALT)?, text: take_bytes(&mut item, SEALED)? })
    } else if item.contains_key(HEAD) {
        KeptBody::Around { head: take_string(&mut item, HEAD)?, tail: take_string(&mut item, TAIL)? }
    } else {
        KeptBody::Whole(take_string(&mut item, BODY)?)
    };
    Ok(Kept {
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

    fn once(body: &[u8]) -> Once {
        let essence = Essence {
            method: "POST",
            path: "/v1/x",
            query: vec![],
            if_match: vec![],
            if_none_match: vec![],
            media_type: "",
            body,
        };
        Once::new(IdempotencyKey::parse("a").unwrap(), ("POST", "/x"), Fingerprint::of(&essence))
    }

    fn item(once: &Once, body: KeptBody) -> (Item, Kept) {
        let headers = vec![("etag".to_owned(), "\"1\"".to_owned())];
        let kept = Kept { status: 201, headers, body };
        let tenant = TenantId::parse("01K0ACME000000000000000000").unwrap();
        let now = Timestamp::from_millis(1_795_253_400_999);
        let keeping = Keeping { tenant: &tenant, once, kept: kept.clone(), mark: "mark", now };
        (keeping.into_item(), kept)
    }

    #[test]
    fn an_answer_comes_back() {
        let once = once(b"{}");
        for body in [
            KeptBody::Whole(String::new()),
            KeptBody::Around { head: "{".into(), tail: "}".into() },
            KeptBody::Sealed(Sealed { salt: vec![1], text: vec![2, 3] }),
        ] {
            let (item, kept) = item(&once, body);
            assert_eq!(item[attribute::EXPIRES_AT], number(1_795_339_800));
            for (mark, ours) in [("mark", true), ("other", false)] {
                let Ok(answered) = answered(&once, mark, item.clone()) else { panic!("an answer") };
                assert_eq!(answered, Answered { kept: kept.clone(), ours });
            }
        }
    }

    #[test]
    fn another_request_does_not_get_it() {
        let (item, _) = item(&once(b"{}"), KeptBody::Whole(String::new()));
        assert!(matches!(answered(&once(b"{ }"), "mark", item), Err(OnceError::KeyReused)));
    }

    #[test]
    fn an_item_with_a_hole_is_no_answer() {
        let once = once(b"{}");
        let sealed = KeptBody::Sealed(Sealed { salt: vec![1], text: vec![2] });
        let around = KeptBody::Around { head: "{".into(), tail: "}".into() };
        for (body, names) in [
            (KeptBody::Whole("{}".into()), &[FINGERPRINT, STATUS, HEADERS, BODY, attribute::WRITE][..]),
            (around, &[TAIL]),
            (sealed, &[SALT]),
        ] {
            for name in names {
                let (mut item, _) = item(&once, body.clone());
                item.remove(*name);
                assert!(matches!(answered(&once, "mark", item), Err(OnceError::Fault(Fault::Corrupt(_)))), "{name}");
            }
        }
    }
}

//! Machine tokens. Each has two items, which are written and deleted together: one for the tenant, who lists its machine tokens,
//! and a grant for the authorizer, which looks up the rights of a machine token by the hash of its secret.
//!
//! A machine token whose `expiresAt` has passed counts as absent, whether DynamoDB has removed it yet or not.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::document::is_expired;
use super::expression::{Condition, EXISTS};
use super::item::{Item, attribute, number, optional_number, read_expiry, read_number, take_string};
use super::keys::{self, Key, PK, SK};
use super::query::{Partition, query};
use super::stored_replies::{CommitAll, PendingReply};
use super::table::{Consistency, Doubt, Failure, ItemWrite, unexpected_rejection};
use super::{CommitError, Fault, ListError, RevokeError, Store};
use crate::domain::caller::{Access, TokensManage};
use crate::domain::idempotency::{Applied, ReplyTo};
use crate::domain::machine_token::{Digest, Grant, MachineToken, Name, Scopes, TokenId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};

const NAME: &str = "name";
const SCOPES: &str = "scopes";
/// In the tenant's item: the hash that finds the grant.
pub(super) const DIGEST: &str = "digest";
/// In the grant: the tenant that it belongs to.
const TENANT: &str = "tenant";
const TOKEN: &str = "token";
/// In the grant, because the authorizer may not write items of tenants.
const LAST_USED_AT: &str = "lastUsedAt";

impl Store {
    /// Makes a machine token valid. Its id and its secret have just been generated, so no other one has them.
    pub async fn token_create(
        &self,
        access: &Access<TokensManage>,
        token: MachineToken,
        digest: &Digest,
        reply: &dyn ReplyTo<MachineToken>,
    ) -> Result<Applied<MachineToken>, CommitError> {
        let tenant = access.tenant();
        let writes = [tenants_item(tenant, &token, digest), grant_item(tenant, &token, digest)];
        let writes = writes.map(|item| ItemWrite::put(item, Condition::default())).to_vec();
        let reply = PendingReply::to(&token, reply, tenant, token.id.as_str(), token.created_at)?;
        match self.commit_all(writes, reply).await? {
            CommitAll::Made => Ok(Applied::Now(token)),
            CommitAll::Before(earlier) => Ok(Applied::Before(earlier)),
            CommitAll::ConditionFailed { doubt, .. } => Err(doubt.unwrap_or_else(unexpected_rejection).into()),
        }
    }

    /// Lists the tenant's machine tokens in the order of their creation.
    pub async fn token_list(
        &self,
        access: &Access<TokensManage>,
        page: &PageRequest,
    ) -> Result<Page<MachineToken>, ListError> {
        let (partition, now) = (keys::tokens(access.tenant()), Timestamp::now());
        let live = |item: Item| if is_expired(&item, now) { Ok(None) } else { from_tenants_item(item).map(Some) };
        let found = query(self, &Partition::of_table(&partition), page, None, live).await?;
        let mut used = self.last_uses(found.items.iter().map(|(_, digest)| digest)).await?;
        let with_use = |(token, digest): (MachineToken, Digest)| MachineToken {
            last_used_at: used.remove(&keys::grant(&digest).pk),
            ..token
        };
        Ok(found.with_items(|items| items.into_iter().map(with_use).collect()))
    }

    /// Revokes a machine token.
    pub async fn token_revoke(&self, access: &Access<TokensManage>, id: &TokenId) -> Result<(), RevokeError> {
        let key = Key { pk: keys::tokens(access.tenant()), sk: id.as_str().to_owned() };
        let item = self.table.get(key.clone(), Consistency::Strong).await?;
        let item = item.filter(|item| !is_expired(item, Timestamp::now()));
        let digest = take_digest(&mut item.ok_or(RevokeError::NotFound)?)?;
        // There are no conditions: when two requests revoke it at once, both succeed.
        let ends = [key, keys::grant(&digest)].map(|key| ItemWrite::delete(key, Condition::default()));
        match self.table.write_all(ends.to_vec()).await {
            Ok(()) => Ok(()),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
            Err(CommitError::Conflict | CommitError::KeyReused) => Err(RevokeError::Conflict),
        }
    }

    /// Reads the grant of the machine token with this hash, expired or not. The read is strongly consistent, because a machine
    /// token works as soon as its creator has it.
    pub async fn token_grant_get(&self, digest: &Digest) -> Result<Option<Grant>, Fault> {
        self.table.get(keys::grant(digest), Consistency::Strong).await?.map(from_grant_item).transpose()
    }

    /// Records a use of a machine token, unless a use after `before` is recorded already. A revoked machine token stays revoked.
    pub async fn token_touch(&self, digest: &Digest, now: Timestamp, before: Timestamp) -> Result<(), Fault> {
        let condition = Condition::default()
            .and(EXISTS)
            .and("(attribute_not_exists(#lastUsedAt) OR #lastUsedAt <= :before)")
            .value(":now", number(now.as_millis()))
            .value(":before", number(before.as_millis()));
        let update = ItemWrite::update(keys::grant(digest), "SET #lastUsedAt = :now".to_owned(), condition);
        // Recording a use twice gives the same item.
        match self.table.write(update.repeatable()).await {
            Ok(_) | Err(Failure::Condition(_) | Failure::Doubt(Doubt { rejected: true, .. })) => Ok(()),
            Err(failure) => Err(failure.into_fault()),
        }
    }

    /// The last uses of the machine tokens on a page, by the partition keys of their grants. A page has no more machine tokens
    /// than one request may read.
    async fn last_uses(&self, digests: impl Iterator<Item = &Digest>) -> Result<HashMap<String, Timestamp>, Fault> {
        let keys = digests.map(keys::grant).collect();
        let mut uses = HashMap::new();
        for mut item in self.table.get_many(keys, Consistency::Eventual, &[PK, LAST_USED_AT]).await? {
            // A machine token whose last use cannot be read is listed without it.
            if let Ok(Some(used)) = optional_number(&item, LAST_USED_AT) {
                uses.insert(take_string(&mut item, PK)?, Timestamp::from_millis(used));
            }
        }
        Ok(uses)
    }
}

fn tenants_item(tenant: &TenantId, token: &MachineToken, digest: &Digest) -> Item {
    // Uses are recorded in the grant.
    let MachineToken { id, name, scopes, created_at, expires_at, last_used_at: _ } = token;
    let mut item = Key { pk: keys::tokens(tenant), sk: id.as_str().to_owned() }.into_map();
    item.insert(NAME.into(), AttributeValue::S(name.as_str().to_owned()));
    item.insert(DIGEST.into(), AttributeValue::S(digest.to_string()));
    item.insert(attribute::CREATED_AT.into(), number(created_at.as_millis()));
    insert_terms(&mut item, scopes, *expires_at);
    item
}

fn grant_item(tenant: &TenantId, token: &MachineToken, digest: &Digest) -> Item {
    let mut item = keys::grant(digest).into_map();
    item.insert(TENANT.into(), AttributeValue::S(tenant.as_str().to_owned()));
    item.insert(TOKEN.into(), AttributeValue::S(token.id.as_str().to_owned()));
    insert_terms(&mut item, &token.scopes, token.expires_at);
    item
}

/// Adds the attributes that both items have.
fn insert_terms(item: &mut Item, scopes: &Scopes, expires_at: Option<Expiry>) {
    item.insert(SCOPES.into(), AttributeValue::Ss(scopes.as_slice().to_vec()));
    if let Some(expiry) = expires_at {
        item.insert(attribute::EXPIRES_AT.into(), number(expiry.as_secs()));
    }
}

fn from_tenants_item(mut item: Item) -> Result<(MachineToken, Digest), Fault> {
    let token = MachineToken {
        id: token_id(&mut item, SK)?,
        name: Name::parse(&take_string(&mut item, NAME)?).map_err(|_| Fault::corrupt(NAME))?,
        scopes: take_scopes(&mut item)?,
        created_at: Timestamp::from_millis(read_number(&item, attribute::CREATED_AT)?),
        expires_at: read_expiry(&item)?,
        last_used_at: None,
    };
    let digest = take_digest(&mut item)?;
    Ok((token, digest))
}

/// The hash that finds the grant of a machine token, which is all that a revocation needs.
pub(super) fn take_digest(item: &mut Item) -> Result<Digest, Fault> {
    Digest::parse(&take_string(item, DIGEST)?).ok_or_else(|| Fault::corrupt(DIGEST))
}

fn from_grant_item(mut item: Item) -> Result<Grant, Fault> {
    Ok(Grant {
        tenant: TenantId::parse(&take_string(&mut item, TENANT)?).map_err(|_| Fault::corrupt(TENANT))?,
        token: token_id(&mut item, TOKEN)?,
        scopes: take_scopes(&mut item)?,
        expires_at: read_expiry(&item)?,
        last_used_at: optional_number(&item, LAST_USED_AT)?.map(Timestamp::from_millis),
    })
}

fn token_id(item: &mut Item, name: &str) -> Result<TokenId, Fault> {
    TokenId::parse(&take_string(item, name)?).map_err(|_| Fault::corrupt(name))
}

fn take_scopes(item: &mut Item) -> Result<Scopes, Fault> {
    let Some(AttributeValue::Ss(scopes)) = item.remove(SCOPES) else { return Err(Fault::corrupt(SCOPES)) };
    Scopes::stored(scopes).ok_or_else(|| Fault::corrupt(SCOPES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::machine_token::Secret;

    fn token() -> MachineToken {
        MachineToken {
            id: TokenId::generate(),
            name: Name::parse("build server").unwrap(),
            scopes: Scopes::stored(vec!["records:read".into(), "records:write".into()]).unwrap(),
            created_at: Timestamp::from_millis(1_795_253_400_007),
            expires_at: Some(Expiry::from_secs(1_795_253_500)),
            last_used_at: None,
        }
    }

    fn acme() -> TenantId {
        TenantId::parse("01K0ACME000000000000000000").unwrap()
    }

    #[test]
    fn both_items_are_read_as_written() {
        let digest = Secret::generate().digest();
        for token in [token(), MachineToken { expires_at: None, ..token() }] {
            assert_eq!(from_tenants_item(tenants_item(&acme(), &token, &digest)).unwrap(), (token.clone(), digest));
            let MachineToken { id, scopes, expires_at, .. } = token.clone();
            let grant = Grant { tenant: acme(), token: id, scopes, expires_at, last_used_at: None };
            assert_eq!(from_grant_item(grant_item(&acme(), &token, &digest)).unwrap(), grant);
        }
    }

    #[test]
    fn an_item_that_lacks_an_attribute_is_corrupt() {
        let digest = Secret::generate().digest();
        let broken = |mut item: Item, name: &str| {
            item.insert(name.into(), AttributeValue::Bool(true));
            item
        };
        for name in [SK, NAME, SCOPES, DIGEST, attribute::CREATED_AT, attribute::EXPIRES_AT] {
            let item = broken(tenants_item(&acme(), &token(), &digest), name);
            assert!(matches!(from_tenants_item(item), Err(Fault::Corrupt(_))), "{name}");
        }
        for name in [TENANT, TOKEN, SCOPES, LAST_USED_AT, attribute::EXPIRES_AT] {
            let item = broken(grant_item(&acme(), &token(), &digest), name);
            assert!(matches!(from_grant_item(item), Err(Fault::Corrupt(_))), "{name}");
        }
    }
}

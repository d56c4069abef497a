//! Machine tokens: an item for their tenant, who lists them, and one for the authorizer, which finds by the secret's
//! digest what a token is good for. Both come and go together.
//!
//! A token past its `expiresAt` is none, whether DynamoDB has removed it yet or not.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::{Condition, EXISTS};
use super::idempotency::{Ending, Keeping};
use super::item::{Item, attribute, number, optional_number, read_expiry, read_number, take_string};
use super::keys::{self, Key, PK, SK};
use super::query::{Partition, query};
use super::records::is_expired;
use super::table::{Consistency, Doubt, Failure, ItemWrite, unexpected_rejection};
use super::{Fault, ListError, OnceError, RevokeError, Store};
use crate::domain::caller::{Access, TokensManage};
use crate::domain::idempotency::{Keep, Written};
use crate::domain::machine_token::{Digest, Grant, MachineToken, Name, Scopes, TokenId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};

const NAME: &str = "name";
const SCOPES: &str = "scopes";
/// With the tenant's item: where the grant is.
pub(super) const DIGEST: &str = "digest";
/// With the grant: whose it is.
const TENANT: &str = "tenant";
const TOKEN: &str = "token";
/// With the grant, because the authorizer may write nothing of a tenant's.
const LAST_USED_AT: &str = "lastUsedAt";

impl Store {
    /// Makes a token valid. Its id and its secret have just been generated, so there is none like it.
    pub async fn token_create(
        &self,
        access: &Access<TokensManage>,
        token: &MachineToken,
        digest: &Digest,
        keep: Option<&Keep<'_, MachineToken>>,
    ) -> Result<Written<()>, OnceError> {
        let tenant = access.tenant();
        let writes = [tenants_item(tenant, token, digest), grant_item(tenant, token, digest)];
        let writes = writes.map(|item| ItemWrite::put(item, Condition::default())).to_vec();
        let Some(Keep { once, answer }) = keep else {
            self.table.write_all(writes).await?;
            return Ok(Written::Now(()));
        };
        let kept = answer(token).ok_or_else(|| Fault::unbuilt("the answer cannot be written"))?;
        let keeping = Keeping { tenant, once, kept, mark: token.id.as_str(), now: token.created_at };
        match self.write_once(writes, keeping).await? {
            Ending::Written => Ok(Written::Now(())),
            Ending::Before(answered) => Ok(Written::Before(answered)),
            Ending::Refused(_) => Err(unexpected_rejection().into()),
        }
    }

    /// Lists the tenant's tokens in the order of their creation.
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

    /// Ends a token.
    pub async fn token_revoke(&self, access: &Access<TokensManage>, id: &TokenId) -> Result<(), RevokeError> {
        let key = Key { pk: keys::tokens(access.tenant()), sk: id.as_str().to_owned() };
        let item = self.table.get(key.clone(), Consistency::Strong).await?;
        let item = item.filter(|item| !is_expired(item, Timestamp::now()));
        let digest = take_digest(&mut item.ok_or(RevokeError::NotFound)?)?;
        // Without conditions: when two revoke it at once, both have.
        let ends = [key, keys::grant(&digest)].map(|key| ItemWrite::delete(key, Condition::default()));
        match self.table.write_all(ends.to_vec()).await {
            Ok(()) => Ok(()),
            Err(OnceError::Fault(fault)) => Err(fault.into()),
            Err(OnceError::Conflict | OnceError::KeyReused) => Err(RevokeError::Conflict),
        }
    }

    /// What the token with this digest is good for, expired or not. Strongly consistent: a token works as soon as its
    /// creator has it.
    pub async fn token_grant_get(&self, digest: &Digest) -> Result<Option<Grant>, Fault> {
        self.table.get(keys::grant(digest), Consistency::Strong).await?.map(from_grant_item).transpose()
    }

    /// Records a use of a token, unless one after `before` is recorded already. A token that is revoked stays so.
    pub async fn token_touch(&self, digest: &Digest, now: Timestamp, before: Timestamp) -> Result<(), Fault> {
        let condition = Condition::default()
            .and(EXISTS)
            .and("(attribute_not_exists(#lastUsedAt) OR #lastUsedAt <= :before)")
            .value(":now", number(now.as_millis()))
            .value(":before", number(before.as_millis()));
        let update = ItemWrite::update(keys::grant(digest), "SET #lastUsedAt = :now".to_owned(), condition);
        // A use that is recorded twice is the same use.
        match self.table.write(update.repeatable()).await {
            Ok(_) | Err(Failure::Condition(_) | Failure::Doubt(Doubt { rejected: true, .. })) => Ok(()),
            Err(failure) => Err(failure.into_fault()),
        }
    }

    /// The last uses of a page's tokens, by the partitions of their grants. A page has no more tokens than one request
    /// may name.
    async fn last_uses(&self, digests: impl Iterator<Item = &Digest>) -> Result<HashMap<String, Timestamp>, Fault> {
        let keys = digests.map(keys::grant).collect();
        let mut uses = HashMap::new();
        for mut item in self.table.get_many(keys, Consistency::Eventual, &[PK, LAST_USED_AT]).await? {
            // A token whose last use cannot be read is listed without it.
            if let Ok(Some(used)) = optional_number(&item, LAST_USED_AT) {
                uses.insert(take_string(&mut item, PK)?, Timestamp::from_millis(used));
            }
        }
        Ok(uses)
    }
}

fn tenants_item(tenant: &TenantId, token: &MachineToken, digest: &Digest) -> Item {
    // A use is recorded with the grant.
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

/// What both items say.
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

/// Where a token's grant is, which is all that it takes to revoke the token.
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
    fn both_items_come_back() {
        let digest = Secret::generate().digest();
        for token in [token(), MachineToken { expires_at: None, ..token() }] {
            assert_eq!(from_tenants_item(tenants_item(&acme(), &token, &digest)).unwrap(), (token.clone(), digest));
            let MachineToken { id, scopes, expires_at, .. } = token.clone();
            let grant = Grant { tenant: acme(), token: id, scopes, expires_at, last_used_at: None };
            assert_eq!(from_grant_item(grant_item(&acme(), &token, &digest)).unwrap(), grant);
        }
    }

    #[test]
    fn an_item_with_a_hole_is_no_token() {
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

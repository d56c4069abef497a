//! Machine clients of the user pool, and the tenant that each acts for.

use super::item::take_string;
use super::{Fault, Store, keys};
use crate::domain::tenant::TenantId;

const TENANT: &str = "tenant";

impl Store {
    /// The tenant that a client acts for, eventually consistent. The row is the operator's: a client has no say in it.
    pub async fn client_tenant(&self, client: &str) -> Result<Option<TenantId>, Fault> {
        let key = keys::client(client).into_map();
        let answer = self.client.get_item().table_name(&self.table).set_key(Some(key)).send().await?;
        let Some(mut item) = answer.item else { return Ok(None) };
        let tenant = take_string(&mut item, TENANT)?;
        TenantId::parse(&tenant).map(Some).map_err(|_| Fault::corrupt(TENANT))
    }
}

//! The machine clients of the user pool, and the tenant that each acts for.

use crate::domain::tenant::TenantId;
use crate::store::item::take_string;
use crate::store::table::Consistency;
use crate::store::{Fault, Store, keys};

const TENANT: &str = "tenant";

impl Store {
    /// Returns the tenant that a client acts for, eventually consistent. Operators write the row, and no client can.
    pub async fn client_tenant_get(&self, client: &str) -> Result<Option<TenantId>, Fault> {
        let found = self.table.get(keys::client(client), Consistency::Eventual).await?;
        let Some(mut item) = found else { return Ok(None) };
        let tenant = take_string(&mut item, TENANT)?;
        TenantId::parse(&tenant).map(Some).map_err(|_| Fault::corrupt(TENANT))
    }
}

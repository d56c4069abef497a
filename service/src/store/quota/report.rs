//! The usage of many tenants in a month, for operators.

use std::collections::HashMap;

use super::rows::row;
use crate::domain::caller::Operator;
use crate::domain::month::Month;
use crate::domain::quota::Row;
use crate::domain::tenant::TenantId;
use crate::store::item::{Item, take_string};
use crate::store::keys::{self, PK};
use crate::store::table::Consistency;
use crate::store::{Fault, Store};

impl Store {
    /// Reads the usage rows of some tenants in a month, eventually consistent. Tenants without a row are left out, and a
    /// row that cannot be read is `None`. One request reads up to 100 rows, which is as many as a page of a list has.
    pub async fn usage_get_many(
        &self,
        _: &Operator,
        tenants: impl Iterator<Item = &TenantId>,
        month: Month,
    ) -> Result<HashMap<TenantId, Option<Row>>, Fault> {
        let keys = tenants.map(|id| keys::usage(id, month)).collect();
        let entry = |mut item: Item| {
            let tenant = keys::user_of(&take_string(&mut item, PK)?).ok_or_else(|| Fault::corrupt(PK))?;
            Ok((tenant, row(&item).ok()))
        };
        self.table.get_many(keys, Consistency::Eventual, &[]).await?.into_iter().map(entry).collect()
    }
}

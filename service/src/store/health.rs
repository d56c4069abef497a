//! Whether the table answers.

use super::{Fault, Store, keys};

impl Store {
    /// Reads an item that is not there.
    pub async fn ping(&self) -> Result<(), Fault> {
        self.client.get_item().table_name(&self.table).set_key(Some(keys::health().into_map())).send().await?;
        Ok(())
    }
}

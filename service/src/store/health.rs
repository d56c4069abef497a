//! Whether the table answers.

use super::table::Consistency;
use super::{Fault, Store, keys};

impl Store {
    /// Reads an item that is not there.
    pub async fn health_check(&self) -> Result<(), Fault> {
        self.table.get(keys::health(), Consistency::Eventual).await?;
        Ok(())
    }
}

//! The health check of the table.

use super::table::Consistency;
use super::{Fault, Store, keys};

impl Store {
    /// Checks that the table responds, by reading an item that never exists.
    pub async fn health_check(&self) -> Result<(), Fault> {
        self.table.get(keys::health(), Consistency::Eventual).await?;
        Ok(())
    }
}

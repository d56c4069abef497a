//! `DynamoDB`'s capacity units, in which the work of the table is counted and billed.

use std::ops::AddAssign;

/// Capacity units, which are multiples of 0.5. In on-demand mode, each is billed as one request unit.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Read capacity units.
    pub read: f64,
    /// Write capacity units.
    pub write: f64,
}

impl AddAssign for Units {
    fn add_assign(&mut self, more: Self) {
        self.read += more.read;
        self.write += more.write;
    }
}

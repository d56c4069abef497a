//! `DynamoDB`'s capacity units, by which the table's work is counted and billed.

use std::ops::AddAssign;

/// Capacity units, which are multiples of 0.5. On demand, one is billed as one request unit.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Of reading.
    pub read: f64,
    /// Of writing.
    pub write: f64,
}

impl AddAssign for Units {
    fn add_assign(&mut self, more: Self) {
        self.read += more.read;
        self.write += more.write;
    }
}

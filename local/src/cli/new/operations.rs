//! The operations that a new function has on its items.

use clap::ValueEnum;

/// An operation on the items of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Operation {
    /// POST: creates an item under an id from the server.
    Create,
    /// POST: creates an item under the next number.
    Append,
    /// GET: reads an item.
    Get,
    /// GET: lists items.
    List,
    /// PATCH: changes an item.
    Change,
    /// PUT: creates or replaces an item under an id from the client.
    Put,
    /// DELETE: deletes an item.
    Delete,
}

/// The operations of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operations(Vec<Operation>);

/// The operations do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidOperations {
    #[error("one of the operations has to be create, append or put, because otherwise there are no items")]
    Empty,
    #[error("the operations can be either create, for ids from the server, or append, for numbers, but not both")]
    TwoIds,
    #[error("one of the operations has to be get, because the Location of a new item leads there")]
    Unreadable,
    #[error("put with append would leave numbers out: use create and put, or append and change")]
    Gaps,
}

impl Operations {
    pub(super) fn new(operations: Vec<Operation>) -> Result<Self, InvalidOperations> {
        use Operation::{Append, Create, Get, Put};
        let operations = Self(operations);
        match (operations.have(Create), operations.have(Append), operations.have(Put)) {
            (false, false, false) => Err(InvalidOperations::Empty),
            (true, true, _) => Err(InvalidOperations::TwoIds),
            (_, true, true) => Err(InvalidOperations::Gaps),
            _ if !operations.have(Get) => Err(InvalidOperations::Unreadable),
            _ => Ok(operations),
        }
    }

    pub(super) fn have(&self, operation: Operation) -> bool {
        self.0.contains(&operation)
    }

    /// Whether there is an operation with this name, or whether the ids have this form.
    pub(super) fn holds(&self, word: &str) -> bool {
        match word {
            "generated" => self.id() == "Generated",
            "chosen" => self.id() == "Chosen",
            name => Operation::from_str(name, false).is_ok_and(|operation| self.have(operation)),
        }
    }

    /// The type of the ids.
    pub(super) fn id(&self) -> &'static str {
        if self.have(Operation::Create) {
            "Generated"
        } else if self.have(Operation::Append) {
            "Number"
        } else {
            "Chosen"
        }
    }

    /// The names, in the order in which they were given.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(ValueEnum::to_possible_value).map(|value| value.get_name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Append, Create, Get, Put};
    use super::*;

    #[test]
    fn the_operations_decide_on_the_ids() {
        let id = |operations: &[Operation]| Operations::new(operations.to_vec()).map(|operations| operations.id());
        assert_eq!(id(&[Create, Get]), Ok("Generated"));
        assert_eq!(id(&[Create, Put, Get]), Ok("Generated"));
        assert_eq!(id(&[Append, Get]), Ok("Number"));
        assert_eq!(id(&[Put, Get]), Ok("Chosen"));
        assert_eq!(id(&[Create]), Err(InvalidOperations::Unreadable));
        assert_eq!(id(&[Get]), Err(InvalidOperations::Empty));
        assert_eq!(id(&[Create, Append]), Err(InvalidOperations::TwoIds));
        assert_eq!(id(&[Put, Append]), Err(InvalidOperations::Gaps));
    }
}

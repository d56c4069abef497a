//! The role of a new function: the actions that its operations need, on the items that they need.

use std::fmt::Write as _;

use super::noun::Noun;
use super::operations::{Operation, Operations};

/// An action on the table, with the letter that stands for it in the table of roles.
pub(super) type Action = (char, &'static str);

const GET: Action = ('G', "GetItem");
const QUERY: Action = ('Q', "Query");
const PUT: Action = ('P', "PutItem");
const UPDATE: Action = ('U', "UpdateItem");
const DELETE: Action = ('D', "DeleteItem");

/// A statement of a policy: the actions that it allows on items whose partition keys begin like this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    sid: String,
    reason: &'static [&'static str],
    pub(super) actions: Vec<Action>,
    pub(super) keys: Vec<String>,
}

/// Returns the statements of the function's policy.
pub(super) fn statements(noun: &Noun, operations: &Operations) -> Vec<Statement> {
    let (items, replies) = (format!("T#*#I#{}", noun.plural()), "T#*#KEYS#*".to_owned());
    let chosen = |actions: &[(bool, Action)]| -> Vec<Action> {
        actions.iter().filter(|(needed, _)| *needed).map(|(_, action)| *action).collect()
    };
    let reads = chosen(&[(true, GET), (operations.have(Operation::List), QUERY)]);
    let writes = chosen(&[
        (operations.have(Operation::Delete), DELETE),
        (true, PUT),
        // The counter of numbers.
        (operations.have(Operation::Append), UPDATE),
    ]);
    vec![
        Statement {
            sid: format!("Write{}", noun.plural_type()),
            reason: &[
                "A write and its stored reply, if there is an idempotency key, are one transaction. It needs each action of",
                "its writes for the partition keys of all of them.",
            ],
            actions: writes,
            keys: vec![items.clone(), replies.clone()],
        },
        Statement { sid: format!("Read{}", noun.plural_type()), reason: &[], actions: reads, keys: vec![items] },
        Statement { sid: "ReadStoredReplies".to_owned(), reason: &[], actions: vec![GET], keys: vec![replies] },
        Statement {
            sid: "AddKind".to_owned(),
            reason: &["The row by which an offboarding and an export find the items."],
            actions: vec![UPDATE],
            keys: vec!["T#*#KINDS".to_owned()],
        },
        Statement {
            sid: "LeaseUnits".to_owned(),
            reason: &[],
            actions: vec![UPDATE],
            keys: vec!["T#*#USAGE".to_owned()],
        },
    ]
}

/// Returns the letters of the actions that statements allow on a partition key.
pub(super) fn letters(statements: &[Statement], key: &str) -> String {
    let mut letters: Vec<char> = statements
        .iter()
        .filter(|statement| statement.keys.iter().any(|one| one == key))
        .flat_map(|statement| statement.actions.iter().map(|(letter, _)| *letter))
        .collect();
    // The order of the legend.
    letters.sort_by_key(|letter| "GBQCPUDW".find(*letter));
    letters.dedup();
    letters.into_iter().collect()
}

/// Returns statements as a part of the template.
pub(super) fn yaml(statements: &[Statement]) -> String {
    let mut text = String::new();
    for Statement { sid, reason, actions, keys } in statements {
        for line in *reason {
            let _ = writeln!(text, "            # {line}");
        }
        let _ = writeln!(text, "            - Sid: {sid}\n              Effect: Allow");
        if let [(_, action)] = actions[..] {
            let _ = writeln!(text, "              Action: dynamodb:{action}");
        } else {
            let _ = writeln!(text, "              Action:");
            for (_, action) in actions {
                let _ = writeln!(text, "                - dynamodb:{action}");
            }
        }
        let keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        let keys = keys.join(", ");
        let _ = writeln!(
            text,
            "              Resource: !GetAtt Table.Arn\n              \
             Condition: {{ \"ForAllValues:StringLike\": {{ \"dynamodb:LeadingKeys\": [{keys}] }} }}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Operation::{Append, Change, Create, Delete, Get, List};
    use super::*;

    #[test]
    fn a_role_has_what_the_operations_need_and_no_more() {
        let noun = Noun::parse("orders").unwrap();
        let of = |operations: &[Operation], key: &str| {
            letters(&statements(&noun, &Operations::new(operations.to_vec()).unwrap()), key)
        };
        assert_eq!(of(&[Create, Get], "T#*#I#orders"), "GP");
        assert_eq!(of(&[Create, Get, List, Change], "T#*#I#orders"), "GQP");
        assert_eq!(of(&[Append, Get, List, Delete], "T#*#I#orders"), "GQPUD");
        assert_eq!(of(&[Append, Get, List, Delete], "T#*#KEYS#*"), "GPUD");
        assert_eq!(of(&[Create, Get], "T#*#KINDS"), "U");
        assert_eq!(of(&[Create, Get], "T#*#USAGE"), "U");
        assert_eq!(of(&[Create, Get], "T#*"), "");
    }
}

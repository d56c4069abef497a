//! What happens in a history, at random.

use proptest::prelude::*;

use super::{ENVIRONMENTS, SWEEPERS};

/// What becomes of a request to the table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Delivered,
    ResponseLost,
    Lost,
    /// It arrives when so much of the time is over for which its signature is valid, in parts of 256.
    Late(u8),
}

/// What a write makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Token(u8),
    StoredReply(u8),
    /// The row of a collection.
    Row(u8),
    /// The collection, and the record in it.
    Record(u8, u8),
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A client's request that writes.
    Request {
        environment: usize,
        item: Item,
        /// The fates of the usage updates.
        updates: Vec<Fate>,
        /// How long the function works on it before each of its writes, in milliseconds.
        working: u64,
        write: Fate,
    },
    Pass {
        millis: u64,
    },
    /// The schedule comes to the tenant, and the function dies after so many parts of a look, if it comes so far.
    Sweep {
        sweeper: usize,
        dies_after: Option<u8>,
    },
    /// The environment is gone, and another one starts.
    Crash {
        environment: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct History {
    /// By how much the clocks of environments, and then of sweepers, are ahead, in milliseconds.
    pub(super) skews: Vec<i64>,
    /// How long before the end of a month it begins, in milliseconds.
    pub(super) before_month_end: u64,
    /// Before the tenant is offboarded.
    pub(super) before: Vec<Action>,
    pub(super) after: Vec<Action>,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Delivered),
        1 => Just(Fate::ResponseLost),
        1 => Just(Fate::Lost),
        3 => any::<u8>().prop_map(Fate::Late),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        1 => (0..4_u8).prop_map(Item::Token),
        1 => (0..4_u8).prop_map(Item::StoredReply),
        4 => (0..3_u8, 0..4_u8).prop_map(|(collection, id)| Item::Record(collection, id)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let millis = prop_oneof![
        3 => 0_u64..10_000,
        2 => 10_000_u64..90_000,
        2 => 500_000_u64..1_000_000,
        1 => 1_500_000_u64..2_400_000,
    ];
    let updates = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(fate(), 1..3)];
    let request = (0..ENVIRONMENTS, item(), updates, 0_u64..5000, fate()).prop_map(
        |(environment, item, updates, working, write)| Action::Request { environment, item, updates, working, write },
    );
    let sweep = (0..SWEEPERS, prop::option::weighted(0.3, 0..6_u8))
        .prop_map(|(sweeper, dies_after)| Action::Sweep { sweeper, dies_after });
    prop_oneof![
        8 => request,
        5 => millis.prop_map(|millis| Action::Pass { millis }),
        4 => sweep,
        1 => (0..ENVIRONMENTS).prop_map(|environment| Action::Crash { environment }),
    ]
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let actions = |most| prop::collection::vec(action(), 1..most);
    // A difference of 10 minutes at most.
    let skews = prop::collection::vec(-300_000_i64..300_000, ENVIRONMENTS + SWEEPERS);
    (skews, 0_u64..1_200_000, actions(30), actions(40)).prop_map(|(skews, before_month_end, before, after)| History {
        skews,
        before_month_end,
        before,
        after,
    })
}

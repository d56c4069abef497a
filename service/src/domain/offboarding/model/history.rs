//! Random histories.

use proptest::prelude::*;

use super::{ENVIRONMENTS, SWEEPERS};

/// The fate of a request to the table in transit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Delivered,
    ResponseLost,
    Lost,
    /// The request arrives when this part of its signature's lifetime has elapsed, in 256ths.
    Late(u8),
}

/// The item that a write creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Token(u8),
    StoredReply(u8),
    /// The row of a collection.
    Row(u8),
    /// A record: its collection, and its id.
    Record(u8, u8),
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A client's request that writes an item.
    Request {
        environment: usize,
        item: Item,
        /// The fates of the usage updates.
        updates: Vec<Fate>,
        /// The time for which the function works before each of its writes, in milliseconds.
        working: u64,
        write: Fate,
    },
    Pass {
        millis: u64,
    },
    /// The schedule works on the tenant. The function dies after this number of parts of a look, if it gets that far.
    Sweep {
        sweeper: usize,
        dies_after: Option<u8>,
    },
    /// The execution environment is gone, and another one starts.
    Crash {
        environment: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct History {
    /// The milliseconds by which the clocks of execution environments, and then of sweepers, are ahead.
    pub(super) skews: Vec<i64>,
    /// The milliseconds from the start of the history to the end of the month.
    pub(super) before_month_end: u64,
    /// The actions before the tenant is offboarded.
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
    // The clocks differ by 10 minutes at most.
    let skews = prop::collection::vec(-300_000_i64..300_000, ENVIRONMENTS + SWEEPERS);
    (skews, 0_u64..1_200_000, actions(30), actions(40)).prop_map(|(skews, before_month_end, before, after)| History {
        skews,
        before_month_end,
        before,
        after,
    })
}

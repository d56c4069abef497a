//! Random histories.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{ENVIRONMENTS, LATE};

/// The fate of an update in transit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Delivered,
    /// The response does not show the row, unless the update takes units.
    Unseen,
    ResponseLost,
    Lost,
    /// The update arrives after this many milliseconds, when its sender no longer waits for the response.
    Late(u64),
    /// The first attempt arrives, and its response is lost. The second gets its response.
    Twice,
    /// The first attempt arrives after this many milliseconds. The second gets its response at once.
    Overtaken(u64),
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A tenant's requests, one after the other. The fates are those of the updates that they lead to. Further updates are
    /// delivered.
    Requests {
        environment: usize,
        count: u8,
        fates: Vec<Fate>,
        allow: bool,
    },
    /// A request that is in progress during the next actions.
    Begin {
        environment: usize,
    },
    End {
        environment: usize,
    },
    Pass {
        millis: u64,
    },
    /// The overdue accounts are settled.
    Settle {
        environment: usize,
        fate: Fate,
    },
    /// The execution environment shuts down in order, and another one starts.
    Shutdown {
        environment: usize,
        fate: Fate,
    },
    Crash {
        environment: usize,
    },
    /// An operator changes the quota.
    Limit {
        quota: Option<u64>,
    },
    /// An operator offboards the tenant, at the time that this execution environment's clock shows.
    Close {
        environment: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) plan: u64,
    pub(super) skews: Vec<i64>,
    pub(super) actions: Vec<Action>,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Delivered),
        1 => Just(Fate::Unseen),
        1 => Just(Fate::ResponseLost),
        1 => Just(Fate::Lost),
        2 => (0..LATE).prop_map(Fate::Late),
        1 => Just(Fate::Twice),
        2 => (0..LATE).prop_map(Fate::Overtaken),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let environment = || 0..ENVIRONMENTS;
    let fates = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(fate(), 1..4)];
    let millis = prop_oneof![
        4 => 0_u64..10_000,
        3 => 30_000_u64..90_000,
        1 => 280_000_u64..320_000,
        1 => 60_000_u64..1_200_000,
        1 => 1_700_000_u64..2_700_000,
    ];
    prop_oneof![
        10 => (environment(), 1..40_u8, fates, any::<bool>())
            .prop_map(|(environment, count, fates, allow)| Action::Requests { environment, count, fates, allow }),
        1 => environment().prop_map(|environment| Action::Begin { environment }),
        1 => environment().prop_map(|environment| Action::End { environment }),
        6 => millis.prop_map(|millis| Action::Pass { millis }),
        2 => (environment(), fate()).prop_map(|(environment, fate)| Action::Settle { environment, fate }),
        1 => (environment(), fate()).prop_map(|(environment, fate)| Action::Shutdown { environment, fate }),
        1 => environment().prop_map(|environment| Action::Crash { environment }),
        1 => prop::option::of(0_u64..2000).prop_map(|quota| Action::Limit { quota }),
    ]
}

pub(super) fn history() -> impl Strategy<Value = History> {
    // The clocks differ by 10 minutes at most.
    let skews = prop::collection::vec(-300_000_i64..300_000, ENVIRONMENTS);
    let plan = prop_oneof![1_u64..60, 60_u64..3000];
    let actions = prop::collection::vec(action(), 1..60);
    let closing = prop::option::weighted(0.3, (any::<Index>(), 0..ENVIRONMENTS));
    (plan, skews, actions, closing).prop_map(|(plan, skews, mut actions, closing)| {
        if let Some((at, environment)) = closing {
            actions.insert(at.index(actions.len()), Action::Close { environment });
        }
        History { plan, skews, actions }
    })
}

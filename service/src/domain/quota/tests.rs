use super::*;

fn quotas() -> Quotas {
    serde_json::from_str(r#"{"free": 100, "pro": 1000}"#).unwrap()
}

#[test]
fn terms_of_an_operator_take_precedence_over_those_of_the_caller() {
    let terms = |plan: Option<&str>, quota| Terms { plan: plan.map(ToOwned::to_owned), quota };
    for (row, caller, limit) in [
        (terms(None, None), ("free", None), Ok(100)),
        (terms(None, None), ("free", Some(7)), Ok(7)),
        (terms(Some("pro"), None), ("free", Some(7)), Ok(1000)),
        (terms(Some("pro"), Some(8)), ("free", Some(7)), Ok(8)),
        (terms(Some("gold"), Some(8)), ("free", None), Ok(8)),
        (terms(Some("gold"), None), ("free", Some(7)), Err(UnknownPlan("gold".into()))),
        (terms(None, None), ("", None), Err(UnknownPlan(String::new()))),
    ] {
        assert_eq!(quotas().limit(&row, caller.0, caller.1), limit, "{row:?} {caller:?}");
    }
}

#[test]
fn sequence_numbers_increase_whatever_the_clock_does() {
    let sequence = Sequence::default();
    let at = |millis| sequence.next(Timestamp::from_millis(millis));
    assert_eq!([at(5), at(5), at(9), at(2), at(100)], [5, 6, 9, 10, 100]);
}

/// An execution environment that is the only one to update its row. Each of its updates gets a response at once.
struct Alone {
    environment: Environment,
    account: Account,
    sequence: Sequence,
    row: Row,
    updates: Vec<UsageUpdate>,
}

impl Alone {
    fn new() -> Self {
        let environment = Environment::generate();
        let account = Account::open(environment.clone(), at(0));
        Self { environment, account, sequence: Sequence::default(), row: Row::default(), updates: Vec::new() }
    }

    fn spend(&mut self, now: Timestamp, limit: u64) -> bool {
        loop {
            let update = match self.account.spend(now, limit, &self.sequence) {
                Step::Granted => break true,
                Step::UsedUp | Step::Closed => break false,
                Step::Send(update) => update,
            };
            self.updates.push(update.clone());
            let applied = model::apply(&mut self.row, &self.environment, &update, None);
            let row = self.row.clone();
            let outcome =
                if applied { UpdateOutcome::Applied(row) } else { UpdateOutcome::Rejected { row, certain: true } };
            self.account.apply_outcome(&update, outcome, now);
        }
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

#[test]
fn blocks_double_while_they_are_used_up_in_time_and_shrink_with_what_remains() {
    let mut alone = Alone::new();
    for _ in 0..2000 {
        assert!(alone.spend(at(0), 1_000_000));
    }
    let taken: Vec<u64> = alone.updates.iter().map(UsageUpdate::take).collect();
    assert_eq!(taken, [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 500]);
    // The rest of an old lease is given back, and the next block is half as large.
    assert!(alone.spend(at(60), 1_000_000));
    assert_eq!((alone.updates[12].give, alone.updates[12].take()), (11, 250));
    // The block is a 25th of the 1,000 units that remain.
    assert!(alone.spend(at(120), 3001));
    assert_eq!((alone.updates[13].give, alone.updates[13].take()), (249, 40));
}

#[test]
fn a_busy_tenant_makes_less_than_one_update_in_fifty_requests() {
    for quota in [10_000, 100_000] {
        let mut alone = Alone::new();
        for _ in 0..quota {
            assert!(alone.spend(at(0), quota));
        }
        assert!(!alone.spend(at(0), quota), "the last unit was used, and no other");
        assert_eq!(alone.row.leased, quota);
        let updates = u64::try_from(alone.updates.len()).unwrap();
        assert!(updates < quota / 50, "{updates} of {quota}");
    }
}

#[test]
fn a_used_up_quota_is_checked_again_every_five_seconds() {
    let mut alone = Alone::new();
    assert!(alone.spend(at(0), 1));
    assert!(!alone.spend(at(0), 1));
    let updates = alone.updates.len();
    assert!(!alone.spend(at(4), 1));
    assert_eq!(alone.updates.len(), updates);
    assert!(!alone.spend(at(5), 1));
    assert_eq!(alone.updates.len(), updates + 1);
    assert!(alone.spend(at(10), 2));
    assert!(!Alone::new().spend(at(0), 0), "a quota of nothing, on a row that is not there");
}

#[test]
fn each_of_many_active_environments_takes_little() {
    let mut alone = Alone::new();
    for n in 0..99 {
        alone.row.marks.insert(Environment::stored(&format!("busy{n}")), 100_000);
    }
    alone.row.marks.insert(Environment::stored("idle"), 39_999);
    for _ in 0..100 {
        assert!(alone.spend(at(100), 8000));
    }
    // With this one, a hundred are active: the block is an eighth of a hundredth.
    assert!(alone.updates.iter().all(|update| update.take() <= 10), "{:?}", alone.updates);
    assert!(alone.updates.iter().any(|update| update.take() > 8));
}

#[test]
fn marks_of_silent_environments_are_removed_a_few_at_a_time() {
    let mut alone = Alone::new();
    let now = at(10_000);
    for n in 0..10 {
        alone.row.marks.insert(Environment::stored(&format!("old{n}")), 8_199_999);
    }
    alone.row.marks.insert(Environment::stored("young"), 8_200_000);
    for _ in 0..100_000 {
        alone.spend(now, 1_000_000);
    }
    assert_eq!(alone.updates[1].lease.as_ref().unwrap().forget.len(), MAX_FORGOTTEN);
    let left: Vec<_> = alone.row.marks.keys().filter(|id| **id != alone.environment).collect();
    assert_eq!(left, [&Environment::stored("young")]);
}

#[test]
fn what_remains_is_what_was_not_handed_out_and_what_is_held() {
    let mut alone = Alone::new();
    alone.row.leased = 9000;
    assert!(alone.spend(at(0), 10_000) && alone.spend(at(0), 10_000));
    assert_eq!((alone.row.leased, alone.account.spendable(), alone.account.remaining(10_000)), (9003, 1, 998));
    assert_eq!(alone.account.remaining(500), alone.account.spendable(), "a limit that was lowered leaves what is held");
}

/// The example in the documentation of `quota`, step by step.
#[test]
fn the_example_of_the_documentation() {
    let [a, b] = ["A", "B"].map(Environment::stored);
    let (now, sequence, mut row) = (Timestamp::from_millis(1_795_253_400_000), Sequence::default(), Row::default());
    let update = |account: &mut Account| match account.spend(now, 100, &sequence) {
        Step::Send(update) => update,
        step => panic!("{step:?}"),
    };
    let mut of_a = Account::open(a.clone(), now);
    let first = update(&mut of_a);
    assert!(first.take() == 1 && model::apply(&mut row, &a, &first, None));
    of_a.apply_outcome(&first, UpdateOutcome::Applied(row.clone()), now);
    assert_eq!((of_a.spend(now, 100, &sequence), row.leased), (Step::Granted, 1));

    // The response of update 2 is lost.
    let second = update(&mut of_a);
    assert!(second.take() == 2 && model::apply(&mut row, &a, &second, None));
    assert_eq!((of_a.spendable(), row.leased), (0, 3));

    // B crashes with the unit that it holds.
    let of_b = update(&mut Account::open(b.clone(), now));
    assert!(model::apply(&mut row, &b, &of_b, None));
    assert_eq!(row.leased, 4);

    let third = update(&mut of_a);
    assert!(third.lease.is_none() && third.after == Some(first.sequence));
    assert!(!model::apply(&mut row, &a, &third, None), "update 2 was applied");
    of_a.apply_outcome(&third, UpdateOutcome::Rejected { row: row.clone(), certain: true }, now);
    assert_eq!(of_a.spend(now, 100, &sequence), Step::Granted);

    let last = of_a.report(now, &sequence);
    assert!(last.after == Some(second.sequence) && model::apply(&mut row, &a, &last, None));
    assert_eq!(row.leased, 3, "two requests of A, and the unit of B that is stranded");

    // Had update 2 not arrived, update 3 would have been applied, and update 2 never after it.
    let mut row = Row::default();
    assert!(model::apply(&mut row, &a, &first, None) && model::apply(&mut row, &a, &third, None));
    assert!(!model::apply(&mut row, &a, &second, None));
}

//! A model that runs the protocol through random histories: execution environments whose clocks differ, crashes, lost
//! responses, attempts that arrive late or twice, month ends, limits that an operator changes, tenants that are offboarded.
//!
//! [`apply`] is the row's part, as DynamoDB evaluates the condition that `store::quota` writes; a test there compares the
//! two. Each way of [`Weak`]ening the condition is shown to break the histories, so each of its terms is needed.

mod history;
mod world;

use proptest::test_runner::{Config, TestError, TestRunner};

use super::*;
use history::{Action, Fate, History, history};
use world::run;

/// The number of histories in a run.
const HISTORIES: u32 = 10_000;
const ENVIRONMENTS: usize = 4;
/// The time in milliseconds within which a request may arrive. After that AWS rejects its signature.
const LATE: u64 = 15 * 60 * 1000;

/// A defect of the condition, which the histories have to reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weak {
    /// The limit is checked before the update, and not after it.
    Ceiling,
    /// The limit is not checked at all.
    NoCeiling,
    /// An update is applied as often as it arrives.
    NoMark,
    /// An update only has to be newer than the last one. This is not enough: an update that was rejected, and then replaced
    /// by a new one, can still arrive.
    NewerMark,
    /// The terms from which the limit was computed may have changed.
    NoTerms,
    /// Marks are removed although they may have been renewed since the row was read.
    NoSilence,
}

/// Applies an update if its condition holds, and returns whether it did.
pub(crate) fn apply(row: &mut Row, environment: &Environment, update: &UsageUpdate, weak: Option<Weak>) -> bool {
    let mark = row.marks.get(environment).copied();
    let in_turn = match weak {
        Some(Weak::NoMark) => true,
        Some(Weak::NewerMark) => mark.is_none_or(|mark| mark < update.sequence),
        _ => mark == update.after,
    };
    let holds = update.lease.as_ref().is_none_or(|lease| {
        let leased = i64::try_from(row.leased).unwrap();
        let room = match weak {
            Some(Weak::Ceiling) => row.leased <= lease.limit,
            Some(Weak::NoCeiling) => true,
            _ => leased <= update.ceiling().unwrap(),
        };
        let silent = |id| row.marks.get(id).is_none_or(|mark| *mark < lease.silent_before);
        room && (weak == Some(Weak::NoTerms) || row.terms == lease.terms)
            && (weak == Some(Weak::NoSilence) || lease.forget.iter().all(silent))
    });
    if !in_turn || !holds {
        return false;
    }
    // More is given back than was handed out only if the condition is weakened.
    row.leased = u64::try_from(i64::try_from(row.leased).unwrap() + update.change()).unwrap_or_default();
    row.usage += update.usage;
    row.updates += 1;
    for id in update.lease.iter().flat_map(|lease| &lease.forget) {
        row.marks.remove(id);
    }
    row.marks.insert(environment.clone(), update.sequence);
    true
}

fn try_all(weak: Option<Weak>) -> Result<(), TestError<History>> {
    // Shrinking makes a failed history readable. One that reveals a weakness is not read by anyone.
    let max_shrink_iters = if weak.is_none() { 2000 } else { 0 };
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters, ..Config::default() };
    TestRunner::new(config).run(&history(), |history| run(&history, weak))
}

#[test]
fn no_history_oversells_strands_more_than_was_held_or_counts_twice() {
    if let Err(error) = try_all(None) {
        panic!("{error}");
    }
}

#[test]
fn a_weaker_condition_breaks_the_histories() {
    for weak in [Weak::Ceiling, Weak::NoCeiling, Weak::NoMark, Weak::NewerMark, Weak::NoTerms] {
        assert!(matches!(try_all(Some(weak)), Err(TestError::Fail(..))), "{weak:?} breaks no history");
    }
}

/// A case that is too rare for random histories: an update is given up, and the report after it was applied.
#[test]
fn an_update_that_is_given_up_takes_the_report_after_it_along() {
    let request = |fates, allow| Action::Requests { environment: 0, count: 1, fates, allow };
    let actions = vec![
        request(vec![Fate::Lost], true),
        Action::Pass { millis: 299_000 },
        request(vec![Fate::ResponseLost], true),
        Action::Pass { millis: 2000 },
        request(vec![], false),
    ];
    run(&History { plan: 100, skews: vec![0; ENVIRONMENTS], actions }, None).unwrap();
}

/// A case that is too rare for random histories: a mark is old when an execution environment reads it, and is renewed
/// before it is removed.
#[test]
fn a_mark_is_removed_only_while_it_is_old() {
    let requests = |environment, count| Action::Requests { environment, count, fates: vec![], allow: false };
    let actions = vec![
        requests(0, 1),
        Action::Pass { millis: 31 * 60 * 1000 },
        requests(1, 1),
        Action::Settle { environment: 0, fate: Fate::ResponseLost },
        requests(1, 1),
        Action::Settle { environment: 0, fate: Fate::Delivered },
    ];
    // The clocks are so far ahead that the whole history is in December.
    let history = History { plan: 3000, skews: vec![30 * 60 * 1000; ENVIRONMENTS], actions };
    run(&history, None).unwrap();
    assert!(run(&history, Some(Weak::NoSilence)).is_err());
}

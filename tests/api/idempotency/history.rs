//! The time that a create with an idempotency key takes, as `local` gathers its history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::LIST;
use crate::support::{Api, Caller};

const CREATES: usize = 10_000;
/// How many creates are compared with how many.
const PART: usize = 1000;
/// The most that the last ones may take, as a multiple of what the first ones took.
const MOST: f64 = 1.5;

async fn create(caller: &Caller<'_>, n: usize) -> Duration {
    let call =
        caller.call("POST", LIST).json(&json!({"data": {"n": n}})).header("idempotency-key", &format!("flat-{n}"));
    let started = Instant::now();
    call.send().await.expect(201);
    started.elapsed()
}

/// A create is a transaction with a token, which the engine keeps for ten minutes, and two stream records.
///
/// Other tests on the same computer would change the figures, so this one runs by itself:
/// `cargo test -p tests -- --ignored --nocapture flat`.
#[tokio::test]
#[ignore = "It measures for minutes, and needs the computer for itself."]
async fn creates_stay_flat_over_ten_thousand() {
    let ample = ["ProRate", "ProBurst"].map(|name| (name.to_owned(), "1000000".to_owned()));
    let api = Api::start_with(|options| options.overrides = BTreeMap::from(ample)).await;
    let token = api.token("globex", &[]).await;
    let caller = api.caller_of(Some(&token));
    let mut times = Vec::with_capacity(CREATES);
    for n in 0..CREATES {
        times.push(create(&caller, n).await);
    }
    let medians = times.chunks_mut(PART).map(|part| {
        part.sort_unstable();
        part[PART / 2]
    });
    let medians: Vec<_> = medians.collect();
    let (first, last) = (medians[0], medians[CREATES / PART - 1]);
    let ratio = last.as_secs_f64() / first.as_secs_f64();
    println!("medians of each {PART}: {medians:.2?}; the last ones take {ratio:.2} times the first ones");
    assert!(ratio <= MOST);
    api.shutdown().await;
}

//! One run: everything once in each round, and the median of the rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Error;
use crate::binaries::{FUNCTIONS, Programs};
use crate::events::Events;
use crate::footprint::{peak_memory, zipped};
use crate::stage::{Runtime, Stage};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) rounds: u32,
    /// Warm invocations of each function in a round.
    pub(crate) invocations: u32,
}

/// What was measured, by the binary's name.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) warm: BTreeMap<&'static str, Duration>,
    pub(crate) cold: BTreeMap<&'static str, Duration>,
    /// Bytes.
    pub(crate) memory: BTreeMap<&'static str, u64>,
    /// Bytes.
    pub(crate) zipped: BTreeMap<&'static str, u64>,
}

/// A function, an event, and what shows that the answer is the right one.
type Subject<'a> = (&'static str, &'a [u8], &'static str);

/// Measures everything.
pub(crate) async fn all(programs: &Programs, rounds: Rounds) -> Result<Measured, Error> {
    let stage = Stage::open(programs).await?;
    let events = Events::new(&stage.token()?)?;
    let authorizer: Subject = ("authorizer", &events.authorize, r#""usageIdentifierKey":"#);
    let records: Subject = ("records", &events.get, r#""statusCode":200"#);
    let get_item: Subject = ("get_item", &events.get_item, r#""statusCode":200"#);
    let echo: Subject = ("echo", &events.authorize, r#""authorizationToken":"#);
    let health: Subject = ("health", &events.health, r#""statusCode":200"#);
    let tenants: Subject = ("tenants", &events.tenants, r#""statusCode":200"#);
    let tokens: Subject = ("tokens", &events.tokens, r#""statusCode":201"#);
    let transactions: Subject = ("transactions", &events.transactions, r#""statusCode":200"#);
    let usage: Subject = ("usage", &events.usage, r#""statusCode":200"#);

    // These processes serve all the way through. Nobody measures their first answers.
    let runtime = stage.runtime().await?;
    write(&runtime, &events).await?;
    for subject in [authorizer, records, get_item, echo, health, tenants, tokens, transactions, usage] {
        times(&runtime, rounds.invocations, subject).await?;
    }

    let (mut warm, mut cold) = (Samples::default(), Samples::default());
    for _ in 0..rounds.rounds {
        for subject in [echo, authorizer, get_item, records] {
            let times = times(&runtime, rounds.invocations, subject).await?;
            warm.entry(subject.0).or_default().push(median(times));
        }
        for subject in [get_item, records, authorizer] {
            let (name, event, expected) = subject;
            let runtime = stage.runtime().await?;
            cold.entry(name).or_default().push(runtime.cold(name, event, expected).await?);
            runtime.close().await;
        }
    }

    let mut measured = Measured { warm: medians(warm), cold: medians(cold), ..Measured::default() };
    for name in FUNCTIONS {
        if name != "claims" {
            measured.memory.insert(name, peak_memory(&programs.path(name))?);
        }
        measured.zipped.insert(name, zipped(&programs.path(name))?);
    }
    runtime.close().await;
    stage.close().await;
    Ok(measured)
}

/// Writes what is read later, and makes `records` take as much memory as it may need.
async fn write(runtime: &Runtime, events: &Events) -> Result<(), Error> {
    for event in events.fill.iter().chain([&events.put, &events.put_largest]) {
        runtime.warm("records", event, r#""statusCode":201"#).await?;
    }
    for _ in 0..10 {
        runtime.warm("records", &events.put_largest, r#""statusCode":200"#).await?;
        runtime.warm("records", &events.list, "filler-24").await?;
    }
    Ok(())
}

async fn times(
    runtime: &Runtime,
    invocations: u32,
    (name, event, expected): Subject<'_>,
) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    for _ in 0..invocations {
        times.push(runtime.warm(name, event, expected).await?);
    }
    Ok(times)
}

type Samples = BTreeMap<&'static str, Vec<Duration>>;

fn medians(samples: Samples) -> BTreeMap<&'static str, Duration> {
    samples.into_iter().map(|(name, times)| (name, median(times))).collect()
}

/// The one in the middle; of two in the middle the later, and zero of none.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_does_not_mind_outliers() {
        let of = |ms: &[u64]| median(ms.iter().copied().map(Duration::from_millis).collect()).as_millis();
        assert_eq!(of(&[1000, 1, 3, 2, 2]), 2);
        assert_eq!(of(&[1, 2]), 2);
        assert_eq!(of(&[]), 0);
    }
}

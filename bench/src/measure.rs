//! One run, which measures everything once in each round and takes the median of the rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Error;
use crate::binaries::{KINDS, Programs, UNMETERED};
use crate::events::{Events, Keyed, kind_get};
use crate::footprint::{peak_memory, zipped};
use crate::stage::{Runtime, Stage};

/// The extent of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) rounds: u32,
    /// Warm invocations of each function in a round.
    pub(crate) invocations: u32,
}

/// A create with an idempotency key, by `records`.
pub(crate) const CREATE: &str = "create";
/// A read of an item of a kind, by [`KINDS`].
pub(crate) const KIND_GET: &str = "kind get";
/// A create of an item of a kind with an idempotency key, by [`KINDS`].
pub(crate) const KIND_CREATE: &str = "kind create";

/// The number of requests of each kind whose requests to the database are counted.
const COUNTED: u32 = 5000;
const COUNTED_CREATES: u32 = 200;

/// The measurements by the name of the binary, and by [`CREATE`], [`KIND_GET`] and [`KIND_CREATE`].
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) warm: BTreeMap<&'static str, Duration>,
    pub(crate) cold: BTreeMap<&'static str, Duration>,
    /// Bytes, of the functions that are run here.
    pub(crate) memory: BTreeMap<String, u64>,
    /// Bytes, of all functions.
    pub(crate) zipped: BTreeMap<String, u64>,
    /// The peak memory of `transactions` once it has also changed as much at once as it may, in bytes.
    pub(crate) changing: u64,
    pub(crate) requests: Requests,
}

/// How many requests to the database one request to a warm function takes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Requests {
    /// Those for a [`CREATE`], without those for quotas and metering.
    pub(crate) create: f64,
    /// Those for quotas and metering.
    pub(crate) updates: f64,
}

/// A function to measure.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    what: &'static str,
    function: &'static str,
    event: Event<'a>,
    /// A part of the right response.
    expected: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Event<'a> {
    Same(&'a [u8]),
    Keyed(&'a Keyed),
}

impl Event<'_> {
    fn next(self) -> Vec<u8> {
        match self {
            Self::Same(event) => event.to_owned(),
            Self::Keyed(events) => events.next(),
        }
    }
}

const OK: &str = r#""statusCode":200"#;
const CREATED: &str = r#""statusCode":201"#;

/// A function with an event that may be repeated.
fn subject<'a>(function: &'static str, event: &'a [u8], expected: &'static str) -> Subject<'a> {
    Subject { what: function, function, event: Event::Same(event), expected }
}

/// Measures everything.
pub(crate) async fn all(programs: &Programs, rounds: Rounds) -> Result<Measured, Error> {
    let stage = Stage::open(programs).await?;
    let events = Events::new(&stage.token().await)?;
    let authorizer = subject("authorizer", &events.authorize, r#""usageIdentifierKey":"#);
    let records = subject("records", &events.get, OK);
    let unmetered = subject(UNMETERED, &events.get, OK);
    let create = Subject { what: CREATE, event: Event::Keyed(&events.create), expected: CREATED, ..records };
    let kind_create =
        Subject { what: KIND_CREATE, function: KINDS, event: Event::Keyed(&events.kind_create), expected: CREATED };
    let get_item = subject("get_item", &events.get_item, OK);
    let echo = subject("echo", &events.authorize, r#""authorizationToken":"#);
    let health = subject("health", &events.health, OK);
    let tenants = subject("tenants", &events.tenants, OK);
    let tokens = subject("tokens", &events.tokens, CREATED);
    let transactions = subject("transactions", &events.transactions, OK);
    let usage = subject("usage", &events.usage, OK);

    // These processes serve until the end. Their first responses are not measured.
    let runtime = stage.runtime().await?;
    write(&runtime, &events).await?;
    let kind_get = kind_get(&runtime.invoke(KINDS, kind_create.event.next(), CREATED).await?)?;
    let kind_get = Subject { what: KIND_GET, ..subject(KINDS, &kind_get, OK) };
    let run = [authorizer, records, kind_get, unmetered, get_item, echo, health, tenants, tokens, transactions, usage];
    for subject in run {
        times(&runtime, rounds.invocations, subject).await?;
    }

    let (mut warm, mut cold) = (Samples::default(), Samples::default());
    let mut subjects = [echo, authorizer, get_item, records, kind_get, unmetered];
    let mut creates = [create, kind_create];
    for _ in 0..rounds.rounds {
        // Alternate the order so that no subject profits from running after another.
        subjects.reverse();
        for subject in subjects {
            let times = times(&runtime, rounds.invocations, subject).await?;
            warm.entry(subject.what).or_default().push(median(times));
        }
        creates.reverse();
        for create in creates {
            // With each transaction, the engine looks through all those of the last ten minutes, so they must not add up.
            let (runtime, database) = stage.fresh_runtime().await?;
            times(&runtime, rounds.invocations, create).await?;
            let times = times(&runtime, rounds.invocations, create).await?;
            warm.entry(create.what).or_default().push(median(times));
            runtime.close().await;
            drop(database);
        }
        for Subject { what, function, event, expected } in [get_item, records, authorizer] {
            let runtime = stage.runtime().await?;
            cold.entry(what).or_default().push(runtime.cold(function, event.next(), expected).await?);
            runtime.close().await;
        }
    }

    let requests = requests(&stage, records, create).await?;
    let mut measured = Measured { warm: medians(warm), cold: medians(cold), requests, ..Measured::default() };
    for name in programs.functions() {
        let program = programs.path(name);
        if run.iter().any(|subject| subject.function == name) {
            measured.memory.insert(name.clone(), peak_memory(&program)?);
        }
        measured.zipped.insert(name.clone(), zipped(&program)?);
    }
    for event in events.fill_largest {
        runtime.warm("records", event, CREATED).await?;
    }
    for _ in 0..10 {
        runtime.warm("transactions", events.patch_largest.clone(), OK).await?;
    }
    measured.changing = peak_memory(&programs.path("transactions"))?;
    runtime.close().await;
    stage.close().await;
    Ok(measured)
}

/// Counts the requests to the database of one process of a busy tenant.
async fn requests(stage: &Stage, read: Subject<'_>, create: Subject<'_>) -> Result<Requests, Error> {
    let (runtime, proxy) = stage.counted_runtime().await?;
    times(&runtime, 1, create).await?;
    proxy.take();
    times(&runtime, COUNTED_CREATES, create).await?;
    let work = proxy.take().len();
    proxy.take_updates();
    times(&runtime, COUNTED, read).await?;
    let updates = proxy.take_updates().len();
    runtime.close().await;
    let ratio = |requests: usize, of: u32| u32::try_from(requests).map(|requests| f64::from(requests) / f64::from(of));
    Ok(Requests { create: ratio(work, COUNTED_CREATES)?, updates: ratio(updates, COUNTED)? })
}

/// Writes the records that are read later, and makes the functions use as much memory as they may need.
async fn write(runtime: &Runtime, events: &Events) -> Result<(), Error> {
    for event in events.fill.iter().chain([&events.put, &events.put_largest]) {
        runtime.warm("records", event.clone(), CREATED).await?;
    }
    for _ in 0..10 {
        runtime.warm("records", events.put_largest.clone(), OK).await?;
        runtime.warm("records", events.list.clone(), "filler-24").await?;
        runtime.warm("transactions", events.create_largest.clone(), OK).await?;
    }
    Ok(())
}

async fn times(
    runtime: &Runtime,
    invocations: u32,
    Subject { what: _, function, event, expected }: Subject<'_>,
) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    for _ in 0..invocations {
        times.push(runtime.warm(function, event.next(), expected).await?);
    }
    Ok(times)
}

type Samples = BTreeMap<&'static str, Vec<Duration>>;

fn medians(samples: Samples) -> BTreeMap<&'static str, Duration> {
    samples.into_iter().map(|(name, times)| (name, median(times))).collect()
}

/// Returns the median: of two values in the middle the larger one, and zero if there are none.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_change_a_median() {
        let of = |ms: &[u64]| median(ms.iter().copied().map(Duration::from_millis).collect()).as_millis();
        assert_eq!(of(&[1000, 1, 3, 2, 2]), 2);
        assert_eq!(of(&[1, 2]), 2);
        assert_eq!(of(&[]), 0);
    }
}

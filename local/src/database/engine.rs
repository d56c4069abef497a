//! The embedded engine, opened so that it does not slow down with its own history.
//!
//! A table's stream is a table of `SQLite`'s. With each write the engine asks it for the largest sequence number, and
//! without an index `SQLite` reads every stream record for that: a write takes six times as long after four thousand others.
//! An index on the expression that the engine asks for makes it one look-up, so one is added. The engine neither knows of
//! it nor minds. It also never removes stream records, which DynamoDB keeps for 24 hours; so does this, whenever a folder
//! is opened.
//!
//! Read in dynoxide-rs 3.2.0: `Storage::next_stream_sequence_number`. A test holds that the engine's question is still the
//! one that the index answers.
//!
//! What is left is a sweep of the transaction tokens of the last ten minutes with each transaction, in the engine's memory.
//! It adds 0.05 ms to a transaction for each thousand of them where the engine is optimized, 0.12 ms where it is not: little
//! beside the request (`tests/api/idempotency/history.rs` measures both together).

use std::path::Path;

use dynoxide::Database as Engine;
use rusqlite::Connection;

use super::DatabaseError;

const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS local_stream_order
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

const TRIM: &str = "DELETE FROM _stream_records WHERE created_at < unixepoch() - 24 * 60 * 60";

/// The engine with its data in this file.
pub(super) fn open(path: &Path) -> Result<Engine, DatabaseError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| DatabaseError::Data { path: path.to_owned(), source };
    // First the engine, which makes its tables or brings them up to date.
    let engine = Engine::new(&path.to_string_lossy()).map_err(|error| failed(error.into()))?;
    prepare(path).map_err(|error| failed(error.into()))?;
    Ok(engine)
}

/// The engine with its data in memory: it takes over an empty database from a file, with the index.
pub fn memory() -> Result<Engine, DatabaseError> {
    let folder = tempfile::tempdir().map_err(|source| DatabaseError::Folder { path: std::env::temp_dir(), source })?;
    let path = folder.path().join("empty.sqlite");
    drop(open(&path)?);
    let engine = Engine::memory()?;
    engine.restore_from(&path.to_string_lossy())?;
    Ok(engine)
}

fn prepare(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute(TRIM, [])?;
    connection.execute(INDEX, [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::*;

    /// Few enough for a test, and enough to see: without the index the last writes take six times as long.
    const WRITES: usize = 4000;

    fn call<T: serde::de::DeserializeOwned>(request: Value) -> T {
        serde_json::from_value(request).unwrap()
    }

    fn create(engine: &Engine) {
        engine
            .create_table(call(json!({
                "TableName": "Things",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            })))
            .unwrap();
    }

    fn write(engine: &Engine, number: usize) {
        let item = json!({"pk": {"S": number.to_string()}, "data": {"S": "x".repeat(300)}});
        engine.put_item(call(json!({"TableName": "Things", "Item": item}))).unwrap();
    }

    /// The median time of a write among these.
    fn typical(engine: &Engine, numbers: std::ops::Range<usize>) -> Duration {
        let mut times: Vec<_> = numbers
            .map(|number| {
                let started = Instant::now();
                write(engine, number);
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    #[test]
    fn writes_do_not_slow_down() {
        let writes = std::env::var("WRITES").ok().and_then(|writes| writes.parse().ok()).unwrap_or(WRITES);
        let part = writes / 10;
        let engine = memory().unwrap();
        create(&engine);
        let first = typical(&engine, 0..part);
        for number in part..writes - part {
            write(&engine, number);
        }
        let last = typical(&engine, writes - part..writes);
        let ratio = last.as_secs_f64() / first.as_secs_f64();
        println!("{first:?} at first, {last:?} after {writes} writes: {ratio:.2} times");
        assert!(ratio < 1.5, "{ratio}");
    }
}

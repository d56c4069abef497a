//! The embedded engine, with an index that keeps it from slowing down as its history grows.
//!
//! The engine stores the stream of a table in a table of `SQLite`. Each write queries this table for the largest sequence
//! number, and without an index `SQLite` reads every stream record for that: after four thousand writes, a write takes six
//! times as long. This module adds an index on the expression in the query, which makes it a single look-up and does not
//! affect the engine otherwise. The engine also never removes stream records. DynamoDB retains them for 24 hours, so older
//! ones are removed whenever a folder is opened.
//!
//! The query is `Storage::next_stream_sequence_number` in dynoxide-rs 3.2.0. A test makes sure that the index still serves
//! it.
//!
//! One cost remains: with each transaction the engine sweeps the transaction tokens of the last ten minutes in its memory.
//! That adds 0.05 ms to a transaction for each thousand tokens if the engine is optimized, and 0.12 ms if it is not, which is
//! little compared with the request (`tests/api/idempotency/history.rs` measures both together).

use std::path::Path;

use dynoxide::Database as Engine;
use rusqlite::Connection;

use super::DatabaseError;

const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS local_stream_order
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

const TRIM: &str = "DELETE FROM _stream_records WHERE created_at < unixepoch() - 24 * 60 * 60";

/// Opens the engine with its data in a file.
pub(super) fn open(path: &Path) -> Result<Engine, DatabaseError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| DatabaseError::Data { path: path.to_owned(), source };
    // The engine comes first, because it creates its tables or updates them.
    let engine = Engine::new(&path.to_string_lossy()).map_err(|error| failed(error.into()))?;
    prepare(path).map_err(|error| failed(error.into()))?;
    Ok(engine)
}

/// Opens the engine with its data in memory. It restores an empty database from a file, which has the index.
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

    /// The number of writes: few enough for a test, and enough to see that the last ones take six times as long without the
    /// index.
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

    /// Returns the median time of a write among these.
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

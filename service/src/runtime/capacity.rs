//! The counter of the capacity units that a piece of work consumes.

use std::cell::Cell;

use tokio::task_local;

use crate::domain::units::Units;

task_local! {
    /// The units that the work has consumed so far. They are local to the task and not passed from call to call, so that
    /// neither an operation of the store nor its caller has to take part in the counting.
    static CONSUMED: Cell<Units>;
}

/// Runs the work, and returns its output with the units that its requests consumed, according to their responses.
///
/// Lost responses are not counted, and neither are errors: a failed condition costs as much as the write, and so does a
/// cancelled transaction, but `DynamoDB` returns no figure with them. So the units are a lower bound.
///
/// Work that is spawned as a task of its own is not counted.
pub async fn measured<T>(work: impl Future<Output = T>) -> (T, Units) {
    // The future is on the heap, because the SDK's futures are large, and each layer around one would hold it twice.
    let work = Box::pin(work);
    CONSUMED
        .scope(Cell::default(), async {
            let output = work.await;
            (output, CONSUMED.with(Cell::get))
        })
        .await
}

/// Returns whether the current task runs inside [`measured`].
pub(crate) fn is_measured() -> bool {
    CONSUMED.try_with(|_| ()).is_ok()
}

/// Adds the units of a request.
pub(crate) fn add(more: Units) {
    // Outside of `measured` the units are not needed.
    let _unmeasured = CONSUMED.try_with(|consumed| {
        let mut units = consumed.get();
        units += more;
        consumed.set(units);
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const READ: Units = Units { read: 0.5, write: 0.0 };

    #[tokio::test]
    async fn work_is_counted_apart_from_other_work() {
        add(READ);
        assert!(!is_measured());
        let one = measured(async {
            add(READ);
            tokio::task::yield_now().await;
            add(Units { read: 0.0, write: 2.0 });
            is_measured()
        });
        let other = measured(async { add(READ) });
        let (one, other) = tokio::join!(one, other);
        assert_eq!(one, (true, Units { read: 0.5, write: 2.0 }));
        assert_eq!(other.1, READ);
    }

    #[tokio::test(start_paused = true)]
    async fn units_of_cancelled_work_are_counted() {
        let endless = async {
            add(READ);
            std::future::pending::<()>().await;
        };
        let (result, units) = measured(tokio::time::timeout(Duration::from_secs(1), endless)).await;
        assert!(result.is_err());
        assert_eq!(units, READ);
    }
}

//! Counts what a piece of work takes of the table.

use std::cell::Cell;

use tokio::task_local;

use crate::domain::units::Units;

task_local! {
    /// What the work took until now. Local to the task, and not handed down from call to call: a store's operation and
    /// its caller need not know that somebody counts.
    static TAKEN: Cell<Units>;
}

/// Does the work, and says which units its requests took, as far as their answers say.
///
/// Answers that never came say nothing, nor do errors: a failed condition costs as much as the write, and a cancelled
/// transaction as well, but `DynamoDB` gives no figure with them. So this is the least that was taken.
///
/// Work that is spawned as a task of its own is not counted.
pub async fn measured<T>(work: impl Future<Output = T>) -> (T, Units) {
    // Requests of the SDK are large futures, and each layer around one would hold it twice.
    let work = Box::pin(work);
    TAKEN
        .scope(Cell::default(), async {
            let output = work.await;
            (output, TAKEN.with(Cell::get))
        })
        .await
}

/// Whether anybody counts.
pub(crate) fn is_measured() -> bool {
    TAKEN.try_with(|_| ()).is_ok()
}

/// Counts what a request took.
pub(crate) fn add(more: Units) {
    // Without a scope there is nobody who wants to know.
    let _unmeasured = TAKEN.try_with(|taken| {
        let mut units = taken.get();
        units += more;
        taken.set(units);
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
    async fn work_that_is_given_up_has_taken_what_it_took() {
        let endless = async {
            add(READ);
            std::future::pending::<()>().await;
        };
        let (result, units) = measured(tokio::time::timeout(Duration::from_secs(1), endless)).await;
        assert!(result.is_err());
        assert_eq!(units, READ);
    }
}

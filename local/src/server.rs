//! A task that serves until it is told to stop.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a server may take to finish what is under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server's task. Dropped, it stops by itself, and nobody waits for that.
#[derive(Debug)]
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Resolves when the server is to stop.
pub(crate) type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    /// Starts the task that `serve` makes of the signal to stop.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(Stop) -> F) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(Box::pin(async move {
            // An error is the other end dropped, which means the same.
            let _dropped = stopped.await;
        })));
        Self { stop, task }
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn shutdown(mut self) {
        drop(self.stop);
        if tokio::time::timeout(PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

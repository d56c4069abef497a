//! A task that serves until it gets a signal to stop.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The time that a server has for requests in progress after the signal to stop.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// The task of a server. When this is dropped, the server stops in the background.
#[derive(Debug)]
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The signal to stop, as a future that resolves.
pub(crate) type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    /// Starts the task that `serve` returns for its signal to stop.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(Stop) -> F) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(Box::pin(async move {
            // An error means that the other end was dropped, which is the signal.
            let _dropped = stopped.await;
        })));
        Self { stop, task }
    }

    /// Stops the server, and waits until it has ended.
    pub(crate) async fn shutdown(mut self) {
        drop(self.stop);
        if tokio::time::timeout(GRACE_PERIOD, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

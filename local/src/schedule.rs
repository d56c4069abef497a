//! `EventBridge` on this machine: it invokes functions at the rates of their schedules.

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::runtime::{Functions, Invoke as _};
use crate::template::{Function, REGION};

/// The tasks that invoke the functions. They end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    _tasks: JoinSet<()>,
}

impl Schedules {
    /// Starts to invoke every function that has a schedule. The first invocation is one interval from now.
    pub(crate) fn start<'a>(functions: &Functions, configured: impl IntoIterator<Item = &'a Function>) -> Self {
        let mut tasks = JoinSet::new();
        for function in configured {
            for every in &function.schedules {
                let (functions, name, every) = (functions.clone(), function.name.clone(), *every);
                tasks.spawn(async move {
                    let mut ticks = interval_at(Instant::now() + every, every);
                    loop {
                        ticks.tick().await;
                        if let Err(error) = functions.invoke(&name, event()).await {
                            tracing::warn!(function = name, %error, "a scheduled invocation failed");
                        }
                    }
                });
            }
        }
        Self { _tasks: tasks }
    }
}

/// Returns the event of a schedule.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
fn event() -> Vec<u8> {
    json!({
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "region": REGION,
        "resources": [],
        "detail": {},
    })
    .to_string()
    .into_bytes()
}

//! `EventBridge` on this machine: functions that are invoked every so often.

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::runtime::{Functions, Invoke as _};
use crate::template::{Function, REGION};

/// The tasks that invoke; dropped, they end.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    _tasks: JoinSet<()>,
}

impl Schedules {
    /// Invokes every function that has a schedule, for the first time when its time is over once.
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

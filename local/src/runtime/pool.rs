//! The processes of one function, and the events that wait for them.
//!
//! ```text
//!             requests an event          gets an event            responds
//!   Starting ───────────────────> Idle ─────────────────> Busy ─────────────> Finishing
//!                                   ^                                              │
//!                                   └──────────────────────────────────────────────┘
//!                                                requests the next event
//! ```
//!
//! A process is killed if it is `Starting` for longer than the init phase may take, or `Busy` and `Finishing` for longer than
//! the function's timeout. An event fails with the process that works on it, or that was started for it.
//!
//! One lock protects the whole state. Every change of a process or of the queue ends in [`Pool::balance`], so no event waits
//! while a process is idle or could be started. The sender of an event's result has exactly one owner (the queue, or the
//! process that works on the event), so the result is sent exactly once.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use ulid::Ulid;

use super::process::{self, Shutdown};
use super::{FunctionStats, InvokeError, Limits, RuntimeOptions};
use crate::template::Function;

type ResultSender = oneshot::Sender<Result<Vec<u8>, InvokeError>>;

/// The id of a process that requests events. A process started by hand sorts first, because somebody waits for its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProcessId {
    /// The process that was started by hand.
    Attached,
    /// A process that the pool started, by its number.
    Started(u64),
}

/// An event as a process receives it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) body: Vec<u8>,
    pub(super) deadline: SystemTime,
}

/// The processes of one function.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) function: Function,
    program: PathBuf,
    options: RuntimeOptions,
    limits: Limits,
    state: Mutex<State>,
    /// Notified when a process requests an event, and when it is removed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Work>,
    processes: BTreeMap<ProcessId, Process>,
    /// The requests of the processes' extensions for their next event, which never comes.
    extensions: BTreeMap<ProcessId, Vec<oneshot::Sender<Infallible>>>,
    watchers: JoinSet<()>,
    closed: bool,
    /// Counts the phases of all processes, so that a late timer can tell that its own is over.
    phases: u64,
    cold_starts: u64,
    invocations: u64,
    errors: u64,
}

#[derive(Debug)]
struct Work {
    request_id: String,
    body: Vec<u8>,
    result: ResultSender,
}

#[derive(Debug)]
struct Process {
    phase: Phase,
    number: u64,
    timer: Option<Timer>,
    /// The other end is at the watcher, which kills the process when this is dropped. A process started by hand has none.
    stop: Option<oneshot::Sender<Shutdown>>,
}

#[derive(Debug)]
enum Phase {
    /// The process has not yet requested an event.
    Starting,
    /// The process waits for an event.
    Idle(oneshot::Sender<Event>),
    /// The process works on an event.
    Busy { request_id: String, result: ResultSender },
    /// The process has responded, and will request the next event in a moment.
    Finishing,
}

/// The timer that ends a phase which takes too long.
#[derive(Debug)]
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl State {
    /// Sends the result of an event.
    fn finish(&mut self, sender: ResultSender, result: Result<Vec<u8>, InvokeError>) {
        self.errors += u64::from(result.is_err());
        // The caller may have gone, as a client of Lambda may: the event was processed all the same.
        let _gone = sender.send(result);
    }
}

impl Pool {
    pub(super) fn new(function: Function, program: PathBuf, options: RuntimeOptions, limits: Limits) -> Self {
        Self { function, program, options, limits, state: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> FunctionStats {
        let state = self.lock();
        FunctionStats {
            name: self.function.name.clone(),
            processes: state.processes.len(),
            cold_starts: state.cold_starts,
            invocations: state.invocations,
            errors: state.errors,
        }
    }

    /// Returns whether a process waits for an event.
    #[cfg(test)]
    pub(super) fn has_idle_process(&self) -> bool {
        self.lock().processes.values().any(|process| matches!(process.phase, Phase::Idle(_)))
    }

    pub(super) async fn invoke(self: &Arc<Self>, body: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        let (sender, mut result) = oneshot::channel();
        let request_id = request_id();
        {
            let mut state = self.lock();
            if state.closed {
                return Err(closing());
            }
            state.invocations += 1;
            if self.environments() == 0 {
                state.errors += 1;
                return Err(InvokeError::Throttled);
            }
            state.queue.push_back(Work { request_id: request_id.clone(), body, result: sender });
            self.balance(&mut state);
        }
        match tokio::time::timeout(self.limits.wait, &mut result).await {
            Ok(result) => return result.unwrap_or_else(|_| Err(closing())),
            Err(_elapsed) => self.throttle(&request_id),
        }
        // The event was throttled, or a process works on it and has the function's own timeout for that.
        result.await.unwrap_or_else(|_| Err(closing()))
    }

    /// Returns how many execution environments the function may have.
    fn environments(&self) -> usize {
        self.function.reserved_concurrency.unwrap_or(self.limits.environments)
    }

    /// Throttles an event that still waits for an execution environment.
    fn throttle(&self, request_id: &str) {
        let mut state = self.lock();
        let waiting = state.queue.iter().position(|work| work.request_id == request_id);
        if let Some(work) = waiting.and_then(|waiting| state.queue.remove(waiting)) {
            state.finish(work.result, Err(InvokeError::Throttled));
        }
    }

    /// Registers the request of a process for its next event. Returns `None` if the pool does not have the process (any more).
    pub(super) fn next(self: &Arc<Self>, id: ProcessId) -> Option<oneshot::Receiver<Event>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let (event, receiver) = oneshot::channel();
        let idle = Phase::Idle(event);
        let before = match state.processes.get_mut(&id) {
            Some(process) => {
                process.timer = None;
                std::mem::replace(&mut process.phase, idle)
            }
            None if id == ProcessId::Attached => {
                state.processes.insert(id, Process { phase: idle, number: 0, timer: None, stop: None });
                Phase::Starting
            }
            None => return None,
        };
        if let Phase::Busy { result, .. } = before {
            state.finish(
                result,
                Err(InvokeError::Crashed("it requested the next event before it responded to the last one".to_owned())),
            );
        }
        self.balance(&mut state);
        self.changed.notify_waiters();
        Some(receiver)
    }

    /// Takes the result of an event from the process that worked on it. Returns false if the process does not have this event
    /// (any more).
    pub(super) fn complete(
        self: &Arc<Self>,
        id: ProcessId,
        request: &str,
        result: Result<Vec<u8>, InvokeError>,
    ) -> bool {
        let mut state = self.lock();
        let Some(process) = state.processes.get_mut(&id) else { return false };
        if !matches!(&process.phase, Phase::Busy { request_id, .. } if request_id == request) {
            return false;
        }
        // The event's timer goes on, in case the process never requests another event.
        if let Phase::Busy { result: sender, .. } = std::mem::replace(&mut process.phase, Phase::Finishing) {
            state.finish(sender, result);
        }
        true
    }

    /// Removes a process that has ended, or that has to end. The event that it had, or that it was started for, fails.
    pub(super) fn end(self: &Arc<Self>, id: ProcessId, error: InvokeError) {
        let mut state = self.lock();
        self.remove(&mut state, id, error);
    }

    /// Registers an extension. Returns false if the pool does not have its process (any more).
    pub(super) fn register(&self, id: ProcessId) -> bool {
        let mut state = self.lock();
        let known = !state.closed && (id == ProcessId::Attached || state.processes.contains_key(&id));
        if known {
            state.extensions.entry(id).or_default();
        }
        known
    }

    /// Registers the request of an extension for its next event. The receiver ends with the process.
    pub(super) fn next_of_extension(&self, id: ProcessId) -> Option<oneshot::Receiver<Infallible>> {
        let (event, ended) = oneshot::channel();
        self.lock().extensions.get_mut(&id)?.push(event);
        Some(ended)
    }

    /// Kills every process that the pool has started.
    pub(super) fn kill(self: &Arc<Self>) {
        let mut state = self.lock();
        let ids: Vec<_> = state.processes.keys().copied().filter(|id| *id != ProcessId::Attached).collect();
        for id in ids {
            self.remove(&mut state, id, InvokeError::Crashed("it was killed".to_owned()));
        }
    }

    /// Ends the processes that wait for events, or will in a moment, as Lambda ends execution environments that it has no use
    /// for, and waits until they have ended.
    pub(super) async fn retire(&self) {
        let mut leaving = Vec::new();
        loop {
            let changed = self.changed.notified();
            let finishing = {
                let mut state = self.lock();
                let idle = |_: &ProcessId, process: &mut Process| {
                    process.stop.is_some() && matches!(process.phase, Phase::Idle(_))
                };
                let idle: Vec<_> = state.processes.extract_if(.., idle).collect();
                leaving.extend(
                    idle.into_iter().map(|(id, process)| (shut_down(&mut state, id, process.stop), process.phase)),
                );
                state.processes.values().any(|process| matches!(process.phase, Phase::Finishing))
            };
            if !finishing {
                break;
            }
            changed.await;
        }
        for (ended, waiting) in leaving {
            if let Some(ended) = ended {
                // The sender is dropped when the process has ended.
                let _ended = ended.await;
            }
            // Dropped only now: a process whose request for an event fails would end before its shutdown phase.
            drop(waiting);
        }
    }

    /// Ends all processes, and waits until they have ended.
    pub(super) async fn close(&self) {
        let (mut watchers, waiting) = {
            let mut state = self.lock();
            state.closed = true;
            let mut waiting = Vec::new();
            for work in std::mem::take(&mut state.queue) {
                state.finish(work.result, Err(closing()));
            }
            for (id, process) in std::mem::take(&mut state.processes) {
                // The wait for the watchers below includes the wait for this.
                let _ended = shut_down(&mut state, id, process.stop);
                match process.phase {
                    Phase::Busy { result, .. } => state.finish(result, Err(closing())),
                    Phase::Idle(event) => waiting.push(event),
                    Phase::Starting | Phase::Finishing => {}
                }
            }
            state.extensions.clear();
            (std::mem::take(&mut state.watchers), waiting)
        };
        while watchers.join_next().await.is_some() {}
        // Dropped only now: a process whose request for an event fails would log an error before it is killed.
        drop(waiting);
    }

    fn remove(self: &Arc<Self>, state: &mut State, id: ProcessId, error: InvokeError) {
        let Some(process) = state.processes.remove(&id) else { return };
        state.extensions.remove(&id);
        match process.phase {
            Phase::Busy { result, .. } => state.finish(result, Err(error)),
            Phase::Starting => {
                if let Some(work) = state.queue.pop_front() {
                    state.finish(work.result, Err(error));
                }
            }
            Phase::Idle(_) | Phase::Finishing => {}
        }
        self.balance(state);
        self.changed.notify_waiters();
    }

    /// Gives events to idle processes, and starts processes for the rest.
    fn balance(self: &Arc<Self>, state: &mut State) {
        while !state.queue.is_empty() {
            let idle = state.processes.iter().find(|(_, process)| matches!(process.phase, Phase::Idle(_)));
            let Some((&id, _)) = idle else { break };
            self.hand_over(state, id);
        }
        if state.closed {
            return;
        }
        // A process that has just responded counts as nearly idle. Otherwise a client that sends one request after the other
        // would sometimes cause a second process to start.
        let nearly_idle =
            state.processes.values().filter(|process| matches!(process.phase, Phase::Starting | Phase::Finishing));
        let missing = state.queue.len().saturating_sub(nearly_idle.count());
        let room = self.environments().saturating_sub(state.processes.len());
        for _ in 0..missing.min(room) {
            self.start(state);
        }
    }

    fn hand_over(self: &Arc<Self>, state: &mut State, id: ProcessId) {
        let Some(Work { request_id, body, result }) = state.queue.pop_front() else { return };
        let busy = Phase::Busy { request_id: request_id.clone(), result };
        let Some(process) = state.processes.get_mut(&id) else { return };
        let before = std::mem::replace(&mut process.phase, busy);
        let event = Event { request_id, body, deadline: SystemTime::now() + self.function.timeout };
        let undelivered = match before {
            Phase::Idle(waiting) => waiting.send(event).err(),
            Phase::Starting | Phase::Busy { .. } | Phase::Finishing => Some(event),
        };
        if let Some(event) = undelivered {
            // The connection is closed, and the process has ended or soon will: the event goes to another process.
            if let Some(Process { phase: Phase::Busy { result, .. }, .. }) = state.processes.remove(&id) {
                let Event { request_id, body, .. } = event;
                state.queue.push_front(Work { request_id, body, result });
            }
            return;
        }
        self.set_timer(state, id, self.function.timeout);
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        state.cold_starts += 1;
        let number = state.cold_starts;
        let id = ProcessId::Started(number);
        let (stop, stopped) = oneshot::channel();
        state.processes.insert(id, Process { phase: Phase::Starting, number: 0, timer: None, stop: Some(stop) });
        self.set_timer(state, id, self.limits.init);

        let command = process::command(&self.program, &self.function, &self.options, &number.to_string());
        let name = self.function.name.clone();
        let quiet = self.options.quiet;
        // The handle is weak, here and in the timers, so that the processes end with the last handle to the functions.
        let pool = Arc::downgrade(self);
        while state.watchers.try_join_next().is_some() {}
        state.watchers.spawn(async move {
            let reason = process::watch(command, &name, quiet, stopped).await;
            if let Some(pool) = pool.upgrade() {
                pool.end(id, InvokeError::Crashed(reason));
            }
        });
    }

    fn set_timer(self: &Arc<Self>, state: &mut State, id: ProcessId, after: Duration) {
        state.phases += 1;
        let number = state.phases;
        let pool: Weak<Self> = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(pool) = pool.upgrade() {
                let mut state = pool.lock();
                if state.processes.get(&id).is_some_and(|process| process.number == number && process.timer.is_some()) {
                    pool.remove(&mut state, id, InvokeError::Timeout);
                }
            }
        });
        if let Some(process) = state.processes.get_mut(&id) {
            process.number = number;
            process.timer = Some(Timer(task.abort_handle()));
        }
    }
}

/// Shuts a process down if it has an extension; Lambda kills the others at once. The receiver ends with the process.
fn shut_down(
    state: &mut State,
    id: ProcessId,
    stop: Option<oneshot::Sender<Shutdown>>,
) -> Option<oneshot::Receiver<Infallible>> {
    state.extensions.remove(&id)?;
    let (ended, end) = oneshot::channel();
    // The process may have ended by itself.
    let _gone = stop?.send(Shutdown { _ended: ended });
    Some(end)
}

fn closing() -> InvokeError {
    InvokeError::Crashed("local is ending".to_owned())
}

/// Returns a request id in the form of Lambda's: a UUID.
fn request_id() -> String {
    let digits = format!("{:032x}", u128::from(Ulid::generate()));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

//! The processes of one function, and the events that wait for them.
//!
//! One lock holds all of it. Every change of a process or of the queue ends in [`Pool::balance`], so no event waits while
//! a process is idle or could be started. An event's reply is owned by exactly one place (the queue, or the process that
//! works on it), so it is sent exactly once.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use ulid::Ulid;

use super::process::{self, Retire};
use super::{FunctionStats, InvokeError, Limits, RuntimeOptions};
use crate::template::Function;

type Reply = oneshot::Sender<Result<Vec<u8>, InvokeError>>;

/// Who asks for events. A process started by hand comes first: the one who started it waits for its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProcessId {
    /// The one that a person started.
    Attached,
    /// One that the pool started.
    Started(u64),
}

/// An event as a process gets it.
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
    /// Tells that a process asks for an event, or is gone.
    asks: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Work>,
    processes: BTreeMap<ProcessId, Process>,
    /// What the extensions of processes wait with, for events that do not come.
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
    reply: Reply,
}

#[derive(Debug)]
struct Process {
    phase: Phase,
    number: u64,
    timer: Option<Timer>,
    /// Dropped with the process, which tells its watcher to kill it. One started by hand has none.
    life: Option<oneshot::Sender<Retire>>,
}

#[derive(Debug)]
enum Phase {
    /// It has not yet asked for an event.
    Starting,
    /// It waits for one.
    Idle(oneshot::Sender<Event>),
    /// It works on one.
    Busy { request_id: String, reply: Reply },
    /// It has answered, and will ask for the next in a moment.
    Finishing,
}

/// Ends a phase that takes too long.
#[derive(Debug)]
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl State {
    /// Answers an event.
    fn answer(&mut self, reply: Reply, result: Result<Vec<u8>, InvokeError>) {
        self.errors += u64::from(result.is_err());
        // Who asked may be gone, as a client of Lambda may: the event was worked on all the same.
        let _gone = reply.send(result);
    }
}

impl Pool {
    pub(super) fn new(function: Function, program: PathBuf, options: RuntimeOptions, limits: Limits) -> Self {
        Self { function, program, options, limits, state: Mutex::default(), asks: Notify::new() }
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

    /// Whether a process waits for an event.
    #[cfg(test)]
    pub(super) fn is_waited_for(&self) -> bool {
        self.lock().processes.values().any(|process| matches!(process.phase, Phase::Idle(_)))
    }

    pub(super) async fn invoke(self: &Arc<Self>, body: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        let (reply, mut answer) = oneshot::channel();
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
            state.queue.push_back(Work { request_id: request_id.clone(), body, reply });
            self.balance(&mut state);
        }
        match tokio::time::timeout(self.limits.wait, &mut answer).await {
            Ok(answer) => return answer.unwrap_or_else(|_| Err(closing())),
            Err(_elapsed) => self.give_up(&request_id),
        }
        // It was given up, or a process works on it and has the function's own timeout for that.
        answer.await.unwrap_or_else(|_| Err(closing()))
    }

    /// How many execution environments the function may have.
    fn environments(&self) -> usize {
        self.function.reserved_concurrency.unwrap_or(self.limits.environments)
    }

    /// Refuses an event that still waits for an execution environment.
    fn give_up(&self, request_id: &str) {
        let mut state = self.lock();
        let waiting = state.queue.iter().position(|work| work.request_id == request_id);
        if let Some(work) = waiting.and_then(|waiting| state.queue.remove(waiting)) {
            state.answer(work.reply, Err(InvokeError::Throttled));
        }
    }

    /// A process asks for its next event. `None` where the pool does not know it (any more).
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
                state.processes.insert(id, Process { phase: idle, number: 0, timer: None, life: None });
                Phase::Starting
            }
            None => return None,
        };
        if let Phase::Busy { reply, .. } = before {
            state.answer(
                reply,
                Err(InvokeError::Crashed("it requested the next event before it responded to the last one".to_owned())),
            );
        }
        self.balance(&mut state);
        self.asks.notify_waiters();
        Some(receiver)
    }

    /// A process answers its event. False where it has no such event (any more).
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
        // The timer of the event goes on, for a process that never comes back for another.
        if let Phase::Busy { reply, .. } = std::mem::replace(&mut process.phase, Phase::Finishing) {
            state.answer(reply, result);
        }
        true
    }

    /// A process is no more, or shall be no more. The event that it had, or that it was started for, fails.
    pub(super) fn end(self: &Arc<Self>, id: ProcessId, error: InvokeError) {
        let mut state = self.lock();
        self.remove(&mut state, id, error);
    }

    /// An extension registers itself. False where the pool does not know its process (any more).
    pub(super) fn register(&self, id: ProcessId) -> bool {
        let mut state = self.lock();
        let known = !state.closed && (id == ProcessId::Attached || state.processes.contains_key(&id));
        if known {
            state.extensions.entry(id).or_default();
        }
        known
    }

    /// A registered extension waits for an event; what it gets here ends with its process.
    pub(super) fn extend(&self, id: ProcessId) -> Option<oneshot::Receiver<Infallible>> {
        let (life, ended) = oneshot::channel();
        self.lock().extensions.get_mut(&id)?.push(life);
        Some(ended)
    }

    /// Kills every process that was started here.
    pub(super) fn kill(self: &Arc<Self>) {
        let mut state = self.lock();
        let ids: Vec<_> = state.processes.keys().copied().filter(|id| *id != ProcessId::Attached).collect();
        for id in ids {
            self.remove(&mut state, id, InvokeError::Crashed("it was killed".to_owned()));
        }
    }

    /// Ends the processes that wait for events, or will in a moment, as Lambda ends environments that it has no use for.
    /// Waits for that.
    pub(super) async fn retire(&self) {
        let mut leaving = Vec::new();
        loop {
            let asks = self.asks.notified();
            let finishing = {
                let mut state = self.lock();
                let idle = |_: &ProcessId, process: &mut Process| {
                    process.life.is_some() && matches!(process.phase, Phase::Idle(_))
                };
                let idle: Vec<_> = state.processes.extract_if(.., idle).collect();
                leaving.extend(
                    idle.into_iter().map(|(id, process)| (retire(&mut state, id, process.life), process.phase)),
                );
                state.processes.values().any(|process| matches!(process.phase, Phase::Finishing))
            };
            if !finishing {
                break;
            }
            asks.await;
        }
        for (ended, waiting) in leaving {
            if let Some(ended) = ended {
                // Dropped with the process.
                let _ended = ended.await;
            }
            // Kept until now: a process that is told that there are no more events ends before its last words.
            drop(waiting);
        }
    }

    /// Ends everything, and waits for that.
    pub(super) async fn close(&self) {
        let (mut watchers, waiting) = {
            let mut state = self.lock();
            state.closed = true;
            let mut waiting = Vec::new();
            for work in std::mem::take(&mut state.queue) {
                state.answer(work.reply, Err(closing()));
            }
            for (id, process) in std::mem::take(&mut state.processes) {
                // Whoever waits for the watchers waits for this as well.
                let _ended = retire(&mut state, id, process.life);
                match process.phase {
                    Phase::Busy { reply, .. } => state.answer(reply, Err(closing())),
                    Phase::Idle(event) => waiting.push(event),
                    Phase::Starting | Phase::Finishing => {}
                }
            }
            state.extensions.clear();
            (std::mem::take(&mut state.watchers), waiting)
        };
        while watchers.join_next().await.is_some() {}
        // Kept until now: a process that is told that there are no more events complains of it before it is killed.
        drop(waiting);
    }

    fn remove(self: &Arc<Self>, state: &mut State, id: ProcessId, error: InvokeError) {
        let Some(process) = state.processes.remove(&id) else { return };
        state.extensions.remove(&id);
        match process.phase {
            Phase::Busy { reply, .. } => state.answer(reply, Err(error)),
            Phase::Starting => {
                if let Some(work) = state.queue.pop_front() {
                    state.answer(work.reply, Err(error));
                }
            }
            Phase::Idle(_) | Phase::Finishing => {}
        }
        self.balance(state);
        self.asks.notify_waiters();
    }

    /// Hands events to idle processes, and starts processes for the rest.
    fn balance(self: &Arc<Self>, state: &mut State) {
        while !state.queue.is_empty() {
            let idle = state.processes.iter().find(|(_, process)| matches!(process.phase, Phase::Idle(_)));
            let Some((&id, _)) = idle else { break };
            self.hand_over(state, id);
        }
        if state.closed {
            return;
        }
        // A process that has just answered counts as coming: otherwise a client that sends one request after the other
        // would now and then see a second process start.
        let coming =
            state.processes.values().filter(|process| matches!(process.phase, Phase::Starting | Phase::Finishing));
        let missing = state.queue.len().saturating_sub(coming.count());
        let room = self.environments().saturating_sub(state.processes.len());
        for _ in 0..missing.min(room) {
            self.start(state);
        }
    }

    fn hand_over(self: &Arc<Self>, state: &mut State, id: ProcessId) {
        let Some(Work { request_id, body, reply }) = state.queue.pop_front() else { return };
        let busy = Phase::Busy { request_id: request_id.clone(), reply };
        let Some(process) = state.processes.get_mut(&id) else { return };
        let before = std::mem::replace(&mut process.phase, busy);
        let event = Event { request_id, body, deadline: SystemTime::now() + self.function.timeout };
        let refused = match before {
            Phase::Idle(waiting) => waiting.send(event).err(),
            Phase::Starting | Phase::Busy { .. } | Phase::Finishing => Some(event),
        };
        if let Some(event) = refused {
            // Its connection is gone, and so is the process or it soon will be: the event goes to another.
            if let Some(Process { phase: Phase::Busy { reply, .. }, .. }) = state.processes.remove(&id) {
                let Event { request_id, body, .. } = event;
                state.queue.push_front(Work { request_id, body, reply });
            }
            return;
        }
        self.set_timer(state, id, self.function.timeout);
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        state.cold_starts += 1;
        let number = state.cold_starts;
        let id = ProcessId::Started(number);
        let (life, stop) = oneshot::channel();
        state.processes.insert(id, Process { phase: Phase::Starting, number: 0, timer: None, life: Some(life) });
        self.set_timer(state, id, self.limits.init);

        let command = process::command(&self.program, &self.function, &self.options, &number.to_string());
        let name = self.function.name.clone();
        let quiet = self.options.quiet;
        // Weak, here and in the timers: the last handle to the functions ends their processes.
        let pool = Arc::downgrade(self);
        while state.watchers.try_join_next().is_some() {}
        state.watchers.spawn(async move {
            let reason = process::watch(command, &name, quiet, stop).await;
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

/// Tells a process to end, if it has an extension: Lambda kills the others at once. What it gives ends with the process.
fn retire(
    state: &mut State,
    id: ProcessId,
    life: Option<oneshot::Sender<Retire>>,
) -> Option<oneshot::Receiver<Infallible>> {
    state.extensions.remove(&id)?;
    let (ended, end) = oneshot::channel();
    // It may have ended by itself.
    let _gone = life?.send(Retire { _ended: ended });
    Some(end)
}

fn closing() -> InvokeError {
    InvokeError::Crashed("local is ending".to_owned())
}

/// In the form of Lambda's: a UUID.
fn request_id() -> String {
    let digits = format!("{:032x}", u128::from(Ulid::generate()));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

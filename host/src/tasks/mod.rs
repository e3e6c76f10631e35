//! Tasks: statements that take long run here, beside the queue, while rounds go on and see how they are getting on.
//!
//! Owns which tasks an object has, their caps, deadlines and ends. A task belongs to an object of one uid, ends with it, with this process
//! and with its leadership, and is remembered nowhere else: after a restart there are none. It knows nothing of databases (whoever starts a
//! task brings the [`Work`] along), of grants, or of what a task is for.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    contract::{EffectFailure, Execution, FailureKind, Rows, SqlError, SqlErrorKind, Task, TaskProgress, TaskState, Timestamp},
    gateway::{Applied, ObjectKey, Subject},
    metrics::Metrics,
    plan::failure,
    settings::Limits,
    sql::ExecuteError,
};

/// How long a task that is told to stop, or whose deadline has passed, may take to clear up: to have its statement killed on the server.
const CLEARING: Duration = Duration::from_secs(3);

/// Whoever runs a task's statements.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Runs an execution until `end`, or until `stop` is ready, and sees to it that no statement of it runs on after that.
    ///
    /// # Errors
    /// As an execution fails; at the end and when it is stopped, as one whose time is up.
    async fn work(&self, execution: &Execution, end: Instant, stop: oneshot::Receiver<()>) -> Result<Vec<Rows>, ExecuteError>;
}

/// What tasks may use.
#[derive(Debug, Clone)]
pub struct TaskLimits {
    /// Tasks of one object, those included that have ended and are not forgotten.
    pub per_object: usize,
    /// Tasks that run at the same time.
    pub running: usize,
    /// How long one may take.
    pub longest: Duration,
}

impl From<&Limits> for TaskLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            per_object: limits.tasks_per_object as usize,
            running: limits.tasks as usize,
            longest: Duration::from_secs(limits.task_seconds.into()),
        }
    }
}

/// The tasks of one process.
pub struct Tasks {
    room: Arc<Room>,
}

struct Room {
    limits: TaskLimits,
    metrics: Metrics,
    told: mpsc::UnboundedSender<Subject>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    objects: HashMap<(String, ObjectKey), Owned>,
    /// Those that run, whether they are still somebody's or have been told to stop, by number.
    running: HashMap<u64, JoinHandle<()>>,
    started: u64,
    closed: bool,
}

/// The tasks of an object.
struct Owned {
    uid: String,
    tasks: BTreeMap<String, Entry>,
}

struct Entry {
    number: u64,
    state: TaskState,
    /// Tells it to stop, by being dropped.
    _stop: oneshot::Sender<()>,
}

impl Tasks {
    /// No tasks yet. The other end tells of each object one of whose tasks has ended by itself.
    pub fn new(limits: TaskLimits, metrics: Metrics) -> (Self, mpsc::UnboundedReceiver<Subject>) {
        let (told, news) = mpsc::unbounded_channel();
        (Self { room: Arc::new(Room { limits, metrics, told, table: Mutex::default() }) }, news)
    }

    /// The subject's tasks, in the order of their names.
    pub fn list(&self, subject: &Subject) -> Vec<TaskState> {
        let mut table = self.room.table();
        table.of(subject).map(|owned| owned.tasks.values().map(|entry| entry.state.clone()).collect()).unwrap_or_default()
    }

    /// Starts a task of the subject, unless there is one of this name. `now` is when that is, for those who read it.
    ///
    /// # Errors
    /// When there are as many as may be, or this process is about to end.
    pub fn start(&self, subject: &Subject, task: &Task, now: Timestamp, work: Arc<dyn Work>) -> Result<Applied, EffectFailure> {
        let Task { name, execution } = task;
        let TaskLimits { per_object, running, longest } = self.room.limits;
        let mut table = self.room.table();
        let has = table.of(subject).map_or(0, |owned| owned.tasks.len());
        if table.of(subject).is_some_and(|owned| owned.tasks.contains_key(name)) {
            return Ok(Applied::Unchanged);
        }
        let refused = |why: String| Err(failure(FailureKind::Unavailable, why));
        if table.closed {
            return refused("this process is about to end; its successor decides".into());
        }
        if has >= per_object {
            return refused(format!("the object has {has} tasks, as many as it may (limits.tasksPerObject); forget one first"));
        }
        if table.running.len() >= running {
            return refused(format!("{running} tasks run, as many as may at the same time (limits.tasks); this one has to wait"));
        }
        let time = Duration::from_millis(execution.deadline).min(longest);
        let (stop, stopped) = oneshot::channel();
        table.started += 1;
        let number = table.started;
        let running = tokio::spawn(self.room.clone().run(subject.clone(), task.clone(), number, time, work, stopped));
        table.running.insert(number, running);
        let deadline = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let state = TaskState { name: name.clone(), started: now, deadline, progress: TaskProgress::Running };
        let owned = table.objects.entry(place(subject)).or_insert_with(|| Owned { uid: subject.uid.clone(), tasks: BTreeMap::new() });
        owned.tasks.insert(name.clone(), Entry { number, state, _stop: stop });
        self.room.metrics.task_started(&subject.reconciler);
        Ok(Applied::Changed)
    }

    /// Stops the subject's task of this name, if it runs, and forgets it.
    pub fn forget(&self, subject: &Subject, name: &str) -> Applied {
        let mut table = self.room.table();
        let Some(owned) = table.of(subject) else { return Applied::Unchanged };
        let forgotten = owned.tasks.remove(name).is_some();
        if owned.tasks.is_empty() {
            table.objects.remove(&place(subject));
        }
        if forgotten { Applied::Changed } else { Applied::Unchanged }
    }

    /// Stops and forgets all tasks of objects of the subject's name.
    pub fn gone(&self, subject: &Subject) {
        self.room.table().objects.remove(&place(subject));
    }

    /// Stops all tasks, lets them clear up for a while, and starts no more: this process may not write any longer.
    pub async fn close(&self) {
        let running: Vec<JoinHandle<()>> = {
            let mut table = self.room.table();
            table.closed = true;
            table.objects.clear();
            table.running.drain().map(|(_, running)| running).collect()
        };
        let aborts: Vec<_> = running.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(CLEARING, futures::future::join_all(running)).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let mut table = self.room.table();
        table.objects.clear();
        table.running.drain().for_each(|(_, running)| running.abort());
    }
}

impl Table {
    /// The tasks of the subject. Those of a namesake before it are stopped.
    fn of(&mut self, subject: &Subject) -> Option<&mut Owned> {
        let place = place(subject);
        if self.objects.get(&place).is_some_and(|owned| owned.uid != subject.uid) {
            self.objects.remove(&place);
        }
        self.objects.get_mut(&place)
    }
}

impl Room {
    async fn run(
        self: Arc<Self>,
        subject: Subject,
        task: Task,
        number: u64,
        time: Duration,
        work: Arc<dyn Work>,
        stopped: oneshot::Receiver<()>,
    ) {
        let name = &task.name;
        tracing::info!(object = %subject.object, task = %name, seconds = time.as_secs(), "a task is started");
        let end = Instant::now() + time;
        // The work ends by itself; that it did not would be no reason to let it go on.
        let answer = tokio::time::timeout_at(end + CLEARING, work.work(&task.execution, end, stopped)).await;
        let progress = match answer {
            Ok(Ok(rows)) => TaskProgress::Done(rows),
            Ok(Err(ExecuteError::Guard { message })) => TaskProgress::Guarded(message),
            Ok(Err(ExecuteError::Sql(error))) => TaskProgress::Failed(error),
            Err(_) => {
                let message = format!("the task was ended after {} s", time.as_secs());
                TaskProgress::Failed(SqlError { kind: SqlErrorKind::Timeout, code: 0, state: String::new(), message })
            }
        };
        let result = self.ended(&subject, name, number, progress);
        tracing::info!(object = %subject.object, task = %name, result, "a task has ended");
        self.metrics.task_ended(&subject.reconciler, result);
        if result != STOPPED {
            // Who does not listen is about to end.
            let _ = self.told.send(subject);
        }
    }

    /// Notes how a task ended, if it is still somebody's.
    fn ended(&self, subject: &Subject, name: &str, number: u64, progress: TaskProgress) -> &'static str {
        let mut table = self.table();
        table.running.remove(&number);
        let owned = table.objects.get_mut(&place(subject)).and_then(|owned| owned.tasks.get_mut(name));
        let Some(entry) = owned.filter(|entry| entry.number == number) else { return STOPPED };
        entry.state.progress = progress;
        match &entry.state.progress {
            TaskProgress::Running | TaskProgress::Done(_) => "done",
            TaskProgress::Guarded(_) => "guarded",
            TaskProgress::Failed(error) if error.kind == SqlErrorKind::Timeout => "timeout",
            TaskProgress::Failed(_) => "failed",
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It ended because it was told to.
const STOPPED: &str = "stopped";

fn place(subject: &Subject) -> (String, ObjectKey) {
    (subject.reconciler.clone(), subject.object.clone())
}

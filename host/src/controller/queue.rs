//! The queue of one slot: each object at most once, one worker per object, changes before polls, timers.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    collections::{Map, Set},
    gateway::ObjectKey,
};

/// Why an object is reconciled. Where several reasons come together the one counts that looks at more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Something that it has read may have changed: where no object is different, nothing runs.
    Change,
    /// Its time to look again has come: where every answer is the same, also those of databases, nothing runs.
    Poll,
    /// It has to run.
    Run,
}

impl Wake {
    /// Whether it comes before those that have only looked at the clock.
    fn is_urgent(self) -> bool {
        self != Self::Poll
    }
}

/// What is known of an object that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    wake: Wake,
    /// Whether any of its reasons was.
    urgent: bool,
    since: Instant,
}

#[derive(Default)]
struct State {
    /// Objects that wait.
    waiting: Map<ObjectKey, Waiting>,
    /// Their order: changes and runs, then polls.
    lines: [VecDeque<ObjectKey>; 2],
    running: Set<ObjectKey>,
    timers: BTreeSet<(Instant, ObjectKey)>,
    timer_of: Map<ObjectKey, (Instant, Wake)>,
}

/// A queue of objects.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    news: Notify,
}

impl Queue {
    /// Puts an object into the queue.
    pub fn wake(&self, object: &ObjectKey, wake: Wake) {
        self.lock().push(object, wake);
        self.news.notify_one();
    }

    /// Puts an object into the queue after a time. An object has one timer: the last one set.
    pub fn wake_after(&self, object: &ObjectKey, wake: Wake, after: Duration) {
        {
            let mut state = self.lock();
            state.clear_timer(object);
            let at = Instant::now() + after;
            state.timers.insert((at, object.clone()));
            state.timer_of.insert(object.clone(), (at, wake));
        }
        self.news.notify_one();
    }

    /// Takes back an object's timer.
    pub fn cancel(&self, object: &ObjectKey) {
        self.lock().clear_timer(object);
    }

    /// Objects that wait for a worker.
    pub fn depth(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The next object, why, and how long it has waited. It is this worker's alone until [`Queue::done`].
    pub async fn next(&self) -> (ObjectKey, Wake, Duration) {
        loop {
            let next_timer = {
                let mut state = self.lock();
                state.ring();
                if let Some(taken) = state.take() {
                    if !state.waiting.is_empty() {
                        self.news.notify_one();
                    }
                    return taken;
                }
                state.timers.first().map(|(at, _)| *at)
            };
            match next_timer {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.news.notified()).await;
                }
                None => self.news.notified().await,
            }
        }
    }

    /// Gives an object back. What came for it meanwhile counts now.
    pub fn done(&self, object: &ObjectKey) {
        let mut state = self.lock();
        state.running.remove(object);
        if let Some(waiting) = state.waiting.get(object).copied() {
            state.line(object, waiting.urgent);
            drop(state);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock can panic")
    }
}

impl State {
    fn push(&mut self, object: &ObjectKey, wake: Wake) {
        let before = self.waiting.get(object).copied();
        let mut now = Waiting { wake, urgent: wake.is_urgent(), since: Instant::now() };
        if let Some(before) = before {
            now = Waiting { wake: wake.max(before.wake), urgent: now.urgent || before.urgent, since: before.since };
        }
        self.waiting.insert(object.clone(), now);
        if self.running.contains(object) || before.is_some_and(|before| before.urgent == now.urgent) {
            return;
        }
        if before.is_some() {
            self.lines.iter_mut().for_each(|line| line.retain(|o| o != object));
        }
        self.line(object, now.urgent);
    }

    fn line(&mut self, object: &ObjectKey, urgent: bool) {
        self.lines[usize::from(!urgent)].push_back(object.clone());
    }

    /// Moves what is due from the timers to the lines.
    fn ring(&mut self) {
        let now = Instant::now();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, object)) = self.timers.pop_first() else { break };
            if let Some((_, wake)) = self.timer_of.remove(&object) {
                self.push(&object, wake);
            }
        }
    }

    fn take(&mut self) -> Option<(ObjectKey, Wake, Duration)> {
        let object = self.lines.iter_mut().find_map(VecDeque::pop_front)?;
        let Waiting { wake, since, .. } = self.waiting.remove(&object)?;
        self.running.insert(object.clone());
        Some((object, wake, since.elapsed()))
    }

    fn clear_timer(&mut self, object: &ObjectKey) {
        if let Some((at, _)) = self.timer_of.remove(object) {
            self.timers.remove(&(at, object.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> ObjectKey {
        ObjectKey::new("v1", "Thing", "ns", name)
    }

    async fn take(queue: &Queue) -> (String, Wake) {
        let (object, wake, _) = queue.next().await;
        (object.name.clone(), wake)
    }

    async fn is_idle(queue: &Queue) -> bool {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_waits_once_for_its_strongest_reason() {
        let queue = Queue::default();
        queue.wake(&object("a"), Wake::Poll);
        queue.wake(&object("a"), Wake::Run);
        queue.wake(&object("a"), Wake::Change);
        assert_eq!(take(&queue).await, ("a".into(), Wake::Run));
        queue.done(&object("a"));
        assert!(is_idle(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_come_before_polls() {
        let queue = Queue::default();
        queue.wake(&object("poll"), Wake::Poll);
        queue.wake(&object("change"), Wake::Change);
        assert_eq!(take(&queue).await.0, "change");
        assert_eq!(take(&queue).await.0, "poll");
    }

    /// A timer is spent when it rings. Were its reason lost in a weaker one, nobody would look again.
    #[tokio::test(start_paused = true)]
    async fn a_timer_that_rings_while_a_change_waits_is_not_lost() {
        let queue = Queue::default();
        queue.wake(&object("poll"), Wake::Poll);
        queue.wake_after(&object("a"), Wake::Poll, Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(2)).await;
        queue.wake(&object("a"), Wake::Change);
        assert_eq!(take(&queue).await, ("a".into(), Wake::Poll), "as urgent as the change, and as thorough as the poll");
        assert_eq!(take(&queue).await.0, "poll");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_rings_while_its_object_runs_is_not_lost() {
        let queue = Queue::default();
        queue.wake_after(&object("a"), Wake::Poll, Duration::from_secs(2));
        queue.wake(&object("a"), Wake::Change);
        assert_eq!(take(&queue).await, ("a".into(), Wake::Change));
        queue.wake(&object("a"), Wake::Change);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(is_idle(&queue).await);
        queue.done(&object("a"));
        assert_eq!(take(&queue).await, ("a".into(), Wake::Poll));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_object_is_nobody_elses() {
        let queue = Queue::default();
        queue.wake(&object("a"), Wake::Run);
        take(&queue).await;
        queue.wake(&object("a"), Wake::Change);
        assert!(is_idle(&queue).await);
        queue.done(&object("a"));
        assert_eq!(take(&queue).await, ("a".into(), Wake::Change));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_timer_counts() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.wake_after(&object("a"), Wake::Poll, Duration::from_secs(5));
        queue.wake_after(&object("a"), Wake::Run, Duration::from_secs(9));
        assert_eq!(take(&queue).await, ("a".into(), Wake::Run));
        assert_eq!(start.elapsed(), Duration::from_secs(9));
        queue.wake_after(&object("a"), Wake::Poll, Duration::from_secs(1));
        queue.cancel(&object("a"));
        queue.done(&object("a"));
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn every_worker_hears_of_work() {
        let queue = std::sync::Arc::new(Queue::default());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await.0.name.clone() })
            })
            .collect();
        tokio::task::yield_now().await;
        ["a", "b", "c"].iter().for_each(|name| queue.wake(&object(name), Wake::Run));
        let mut taken = Vec::new();
        for worker in workers {
            taken.push(tokio::time::timeout(Duration::from_secs(1), worker).await.unwrap().unwrap());
        }
        taken.sort();
        assert_eq!(taken, ["a", "b", "c"]);
    }
}

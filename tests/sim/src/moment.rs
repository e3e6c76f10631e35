//! The world as several tasks share it: each looks at it for a moment, with everything done that is due by then. It knows nothing of who they are.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{rng::Rng, world::World};

/// The world, and whoever waits for it.
pub(crate) struct Sim {
    world: Mutex<World>,
    /// Something has been planned, or has to be told.
    pub(crate) news: Notify,
    started: Instant,
    base: u64,
    /// How long the hosts' steps take: what they do more or less often changes nothing else.
    rng: Mutex<Rng>,
}

/// The world for a moment: at the time of now, and followed up on afterwards.
pub(crate) struct Moment<'a> {
    world: MutexGuard<'a, World>,
    news: &'a Notify,
}

impl Deref for Moment<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Moment<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        self.world.settle();
        if self.world.wants_driver() {
            self.news.notify_one();
        }
    }
}

thread_local! {
    /// Whether the runtime's time may be another than the world's. Most often somebody looks at a moment that is known.
    static LATER: Cell<bool> = const { Cell::new(true) };
}

/// The runtime waits for what comes next: this is where its time goes on.
pub(crate) fn time_goes_on() {
    LATER.set(true);
}

impl Sim {
    /// From now on, the world's time goes with the runtime's.
    pub(crate) fn new(world: World, seed: u64) -> Self {
        let base = world.now;
        Self { world: Mutex::new(world), news: Notify::new(), started: Instant::now(), base, rng: Mutex::new(Rng::new(seed)) }
    }

    /// When a time of the world is.
    pub(crate) fn instant(&self, at: u64) -> Instant {
        self.started + Duration::from_millis(at.saturating_sub(self.base))
    }

    fn now(&self) -> u64 {
        self.base + u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default()
    }

    /// The world, with everything done that is due.
    pub(crate) fn at_now(&self) -> Moment<'_> {
        Moment { world: self.drive(), news: &self.news }
    }

    /// The world for whoever drives it, who need not be told of news.
    pub(crate) fn drive(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = if LATER.take() { self.now() } else { world.now };
        world.advance(now);
        world
    }

    /// The world for a look that changes nothing.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.recall(|world| look(world))
    }

    /// The world for a look into what hosts know, which keeps what it has worked out.
    pub(crate) fn recall<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.drive();
        if world.wants_driver() {
            self.news.notify_one();
        }
        look(&mut world)
    }

    /// The world for a change that nobody but the hosts sees.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.at_now())
    }

    /// The world at the end.
    pub(crate) fn into_world(self) -> World {
        self.world.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for some of these milliseconds.
    pub(crate) async fn pause(&self, range: std::ops::Range<u64>) {
        let wait = self.rng.lock().unwrap_or_else(PoisonError::into_inner).within(range);
        if wait > 0 {
            sleep(Duration::from_millis(wait)).await;
        }
    }
}

//! Faults on purpose: a test says at which beat of which point a body panics, fails or hangs.
//!
//! A body that ships asks at its [`point`]s whether it is to fail there. Outside of tests nothing ever is, and asking costs
//! one load. A test makes [`Faults`] and describes its supervisors within them:
//!
//! ```
//! use bedplate::fault::{self, Fault, Faults};
//! use bedplate::supervisor::{ChildSpec, Incarnation, Supervisor, SupervisorBuilder};
//! use std::{error::Error, time::Duration};
//!
//! // What ships.
//! fn ingest(me: &Incarnation) -> Result<(), Box<dyn Error + Send + Sync>> {
//!     while !me.stop().wait(Duration::from_millis(1)) {
//!         fault::point("ingest.read")?;
//!         // … read, and pass on …
//!     }
//!     Ok(())
//! }
//! fn app() -> SupervisorBuilder {
//!     Supervisor::builder("app").child(ChildSpec::worker("ingest", ingest))
//! }
//!
//! // What tests it: the third read fails, and nothing else.
//! let faults = Faults::new().at("ingest.read", 3, Fault::Error);
//! let app = faults.run(|| app().start())?;
//! assert!(faults.wait_for("ingest.read", 4, Duration::from_secs(60)), "it reads again");
//! let ingest = &app.handle().children()[0];
//! assert_eq!(ingest.incarnation, 2);
//! let why = ingest.last_exit.as_ref().map(ToString::to_string);
//! assert_eq!(why.as_deref(), Some("failed: a fault on purpose at ingest.read, beat 3"));
//! # Ok::<(), Box<dyn Error>>(())
//! ```
//!
//! # How it works
//!
//! [`Faults`] are known by a number, which is in the [context], under `faults`: so they reach whatever was
//! described or started within [`Faults::run`], on whatever thread, each incarnation anew, and nobody else. Tests that run side
//! by side do not meet each other's. Which beat is the k-th does not depend on time: it is the k-th time
//! that anybody within these faults comes to that point.
//!
//! # Concurrency
//! Where no faults exist in the process, a [`point`] is one load. Else it takes a lock for a few instructions, and blocks if it is
//! to hang.

use crate::context::{self, Key};
use crate::process::{ExitReason, IntoExit};
use crate::supervisor::{self, Incarnation};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, Weak};
use alloc::collections::BTreeMap;
use core::error::Error;
use core::fmt;
use core::time::Duration;

/// Which faults the code that runs is within.
static FAULTS: Key<u64> = Key::new("faults");

/// How many there are; where that is none, nothing else is looked at.
static EXISTING: AtomicUsize = AtomicUsize::new(0);

static BY_NUMBER: Mutex<BTreeMap<u64, Weak<Plan>>> = Mutex::new(BTreeMap::new());

/// A place at which a test may have this code fail; elsewhere nothing happens.
///
/// It is called by `name`; places of one name have their beats in common. One load where there are no
/// [`Faults`] in the process.
///
/// # Errors
/// [`Injected`], if this is a beat for [`Fault::Error`].
///
/// # Panics
/// If this is a beat for [`Fault::Panic`].
///
/// # Concurrency
/// Blocks if this is a beat for [`Fault::Wait`] or [`Fault::Hang`].
///
/// ```
/// // Nobody has asked for a fault.
/// assert_eq!(bedplate::fault::point("ingest.read"), Ok(()));
/// ```
#[inline]
pub fn point(name: &str) -> Result<(), Injected> {
    // Relaxed: whoever is within faults was told so after they were counted; it publishes nothing and has no partner.
    if EXISTING.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    come_to(name)
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It panics; the message says which point and beat it was.
    Panic,
    /// It answers an [`Injected`].
    Error,
    /// It blocks until the child whose body this is has been asked to stop, or is [released](Faults::release). On a
    /// thread that is no child's, until it is released.
    Wait,
    /// It blocks until it is [released](Faults::release), whoever asks it to stop: an incarnation to be abandoned.
    Hang,
}

/// An error on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// At which point.
    pub point: String,
    /// At which beat of it, counted from 1.
    pub beat: u64,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, beat } = self;
        write!(f, "a fault on purpose at {point}, beat {beat}")
    }
}

impl Error for Injected {}

/// Which faults there are to be. When dropped there are none any more, and whoever blocks goes on.
///
/// A count is kept for each name of a point that anybody within them comes to.
#[must_use = "without it there are no faults"]
pub struct Faults {
    number: u64,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    state: Mutex<State>,
    /// Notified at each beat, at a release, and when a child that waits is asked to stop.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    points: BTreeMap<String, Point>,
    /// How often all were released.
    releases: u64,
    over: bool,
}

#[derive(Default)]
struct Point {
    /// How often anybody came to it.
    beats: u64,
    at: BTreeMap<u64, Fault>,
    /// From that beat on.
    from: BTreeMap<u64, Fault>,
}

impl Faults {
    /// No fault yet.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only the number itself matters; it publishes nothing and has no partner.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let plan = Arc::new(Plan::default());
        BY_NUMBER.lock().insert(number, Arc::downgrade(&plan));
        // Relaxed: see `point`.
        EXISTING.fetch_add(1, Ordering::Relaxed);
        Self { number, plan }
    }

    /// This happens when somebody comes to `point` for the `beat`-th time, counted from 1. It replaces what was said about
    /// this beat before. May be said at any time.
    pub fn at(self, point: impl Into<String>, beat: u64, fault: Fault) -> Self {
        self.add(point.into(), |point| &mut point.at, beat, fault);
        self
    }

    /// This happens whenever somebody comes to `point`, from the `beat`-th time on, as long as nothing else is said
    /// for a beat or from a later one on.
    pub fn from(self, point: impl Into<String>, beat: u64, fault: Fault) -> Self {
        self.add(point.into(), |point| &mut point.from, beat, fault);
        self
    }

    fn add(
        &self,
        point: String,
        which: fn(&mut Point) -> &mut BTreeMap<u64, Fault>,
        beat: u64,
        fault: Fault,
    ) {
        let mut state = self.plan.state.lock();
        let faults = which(state.points.entry(point).or_default());
        faults.insert(beat, fault);
    }

    /// Runs `body` within these faults: what it calls, and every child that it describes, by
    /// [`ChildSpec::worker`](crate::supervisor::ChildSpec::worker) and its like, in all its incarnations. Of two that are
    /// nested the inner ones are those that count. A context that is [full](context::MAX_KEYS) has no room for them, and says that
    /// it has dropped them.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        context::with(&FAULTS, self.number, body)
    }

    /// Wraps the body of a child that asks at no point itself: it comes to `point` first, so that the k-th beat
    /// is its k-th incarnation, and is then run within these faults.
    ///
    /// ```
    /// use bedplate::fault::{Fault, Faults};
    /// use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
    /// use std::time::Duration;
    ///
    /// let faults = Faults::new().at("once", 1, Fault::Panic);
    /// let once = ChildSpec::worker("once", faults.around("once", |_| ()));
    /// let app = Supervisor::builder("app").quiet_panics(true);
    /// let app = app.child(once.restart(Restart::Transient)).start()?;
    /// assert!(faults.wait_for("once", 2, Duration::from_secs(60)), "it is restarted");
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn around<R: IntoExit>(
        &self,
        point: impl Into<String>,
        body: impl Fn(&Incarnation) -> R + Send + Sync + 'static,
    ) -> impl Fn(&Incarnation) -> ExitReason + Send + Sync + 'static {
        let (number, point) = (self.number, point.into());
        move |incarnation| {
            context::with(&FAULTS, number, || match self::point(&point) {
                Ok(()) => body(incarnation).into_exit(),
                Err(injected) => Err::<(), _>(injected).into_exit(),
            })
        }
    }

    /// Lets all go on that have come to a [`Fault::Wait`] or [`Fault::Hang`]; who comes later blocks.
    pub fn release(&self) {
        self.plan.state.lock().releases += 1;
        self.plan.changed.notify_all();
    }

    /// How often anybody within these faults came to `point`.
    #[must_use]
    pub fn beats(&self, point: &str) -> u64 {
        let state = self.plan.state.lock();
        state.points.get(point).map_or(0, |point| point.beats)
    }

    /// Waits until somebody has come to `point` for the `beat`-th time, at most for `at_most`. Returns whether that was so:
    /// what happens at that beat begins then.
    ///
    /// # Concurrency
    /// Blocking.
    #[must_use = "false if it took too long"]
    pub fn wait_for(&self, point: &str, beat: u64, at_most: Duration) -> bool {
        let too_few = |state: &mut State| {
            state
                .points
                .get(point)
                .is_none_or(|point| point.beats < beat)
        };
        let state = self.plan.state.lock();
        let mut state = self.plan.changed.wait_while_for(state, at_most, too_few);
        !too_few(&mut state)
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        BY_NUMBER.lock().remove(&self.number);
        // Relaxed: see `point`.
        EXISTING.fetch_sub(1, Ordering::Relaxed);
        self.plan.state.lock().over = true;
        self.plan.changed.notify_all();
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cold]
fn come_to(name: &str) -> Result<(), Injected> {
    let Some(number) = context::get(&FAULTS) else {
        return Ok(());
    };
    let plan = BY_NUMBER.lock().get(&number).and_then(Weak::upgrade);
    let Some(plan) = plan else {
        return Ok(());
    };
    let Beat {
        number: beat,
        fault,
        releases,
    } = plan.beat(name);
    let injected = || Injected {
        point: name.to_owned(),
        beat,
    };
    let Some(fault) = fault else {
        return Ok(());
    };
    match fault {
        Fault::Panic => panic!("{}", injected()),
        Fault::Error => Err(injected()),
        Fault::Wait => {
            plan.wait_for_stop(releases);
            Ok(())
        }
        Fault::Hang => {
            plan.block(releases, || false);
            Ok(())
        }
    }
}

impl Plan {
    /// Counts a beat.
    fn beat(&self, name: &str) -> Beat {
        let mut state = self.state.lock();
        let releases = state.releases;
        let point = match state.points.get_mut(name) {
            Some(point) => point,
            None => state.points.entry(name.to_owned()).or_default(),
        };
        point.beats += 1;
        let number = point.beats;
        let always = point.from.range(..=number).next_back();
        let always = always.map(|(_, &fault)| fault);
        let fault = point.at.get(&number).copied().or(always);
        drop(state);
        self.changed.notify_all();
        Beat {
            number,
            fault,
            releases,
        }
    }

    /// Blocks until the child whose body this is has been asked to stop, or all are released.
    fn wait_for_stop(self: &Arc<Self>, releases: u64) {
        match supervisor::own_stop() {
            None => self.block(releases, || false),
            // It was abandoned, so it was asked.
            Some(None) => {}
            Some(Some(stop)) => {
                let plan = self.clone();
                let _until_then = stop.on_stop(move || {
                    // Who looked before this was asked for sleeps when the lock is free.
                    drop(plan.state.lock());
                    plan.changed.notify_all();
                });
                self.block(releases, || stop.is_stopped());
            }
        }
    }

    /// Blocks until all have been released more often than so many times, or `enough`, which looks and no more.
    fn block(&self, releases: u64, enough: impl Fn() -> bool) {
        let state = self.state.lock();
        let blocks = |state: &mut State| state.releases == releases && !state.over && !enough();
        drop(self.changed.wait_while(state, blocks));
    }
}

/// Somebody came to a point.
struct Beat {
    /// For the how-manieth time.
    number: u64,
    fault: Option<Fault>,
    /// How often all had been released by then: who blocks at this beat goes on at the next release, also if he is not
    /// asleep yet.
    releases: u64,
}

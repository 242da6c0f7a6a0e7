//! One supervisor many times, so that what is done for different keys is supervised apart.
//!
//! ```text
//!                     ┌─► place 0 ── Weak ──► Tree "0" ◄─┐
//! key ──► index ──────┼─► place 1 ── Weak ──► Tree "1" ◄─┼── owns ── Tree of the layer ◄── Weak ── Partitions
//!                     └─► place 2 ── Weak ──► Tree "2" ◄─┘
//! ```
//!
//! [`Partitions`] is a [`table`] that says where to go, and owns nothing. The layer is a supervisor like any other, whose
//! children are supervisors like any other; nothing in the rest of this module knows of partitions but its builder, and a
//! supervisor that takes its [`Seat`] when it has been built and has yet to start, and says there that it is up, or over. A later
//! incarnation takes the seat of the one before it, and never the other way round.
//!
//! # How many are in service
//! ```text
//! fewer:  the number ── then the last partition is stopped, the one before it, …
//! more:   a partition is started ── then the number ── then the next one, …
//! ```
//! So a key never goes to a partition that is being taken out of service, nor to one that has yet to be put into it; whoever
//! has asked just before is answered by the partition itself, as stopping. The number changes only under the lock of the
//! layer's seat, and only for the layer that is in it; a layer that takes it has all its partitions in service. No lock
//! is held while a partition is started or stopped: one resize at a time is let in by a flag.

mod table;

pub(super) use table::{Seat, Seats};

use super::request_error::{RestartError, TerminateError};
use super::{ChildSpec, Strategy, SupRef, SupervisorBuilder, request, view};
use crate::clock;
use crate::process::panic::discard;
use crate::sync::Arc;
use core::error::Error;
use core::fmt;
use core::hash::{BuildHasher as _, Hash};
use core::time::Duration;
use foldhash::quality::FixedState;
use table::{Resizing, Table, Waiting};

/// Where keys go among the [partitions](SupervisorBuilder::partitions) of a supervisor: a fixed number of supervisors of one
/// description, each with children, a restart limit and a lock of its own. What crashes again and again for
/// one key uses up the limit of one partition, and not that of the others.
///
/// It owns nothing, and clones are the same table: they may live anywhere, also in the children. It is made before the
/// supervisor, and stays when the supervisor or a partition is started anew; then it knows the new one. If
/// two supervisors are given one table, it knows the one that was built last.
///
/// ```
/// use bedplate::supervisor::{ChildSpec, Partitions, Restart, Strategy, Supervisor};
/// use std::time::Duration;
///
/// const HOUR: Duration = Duration::from_secs(3_600);
/// let sessions = Partitions::new(4)?;
/// let supervisor = Supervisor::builder("sessions")
///     .partitions(&sessions, |_number| Supervisor::builder("partition").strategy(Strategy::Dynamic))
///     .start()?;
///
/// let session = ChildSpec::worker("Ada", |me| while !me.stop().wait(HOUR) {});
/// sessions.route("Ada")?.start_child(session.restart(Restart::Transient))?;
///
/// let number = sessions.index("Ada").expect("four are in service");
/// let path = format!("sessions/{number}/Ada");
/// assert_eq!(sessions.partition(number)?.child("Ada").expect("it runs").path(), path);
/// # drop(supervisor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Concurrency
/// To look waits for nobody: [`index`](Self::index) is a load, [`route`](Self::route) takes two locks for an instant, of which
/// each partition has its own. [`route_within`](Self::route_within) waits for a partition, and [`resize`](Self::resize) for
/// those that it stops and starts. A partition, or a supervisor of partitions, that was abandoned is never found in the place of the
/// one that came after it, however late what was under way for it is done.
#[derive(Clone)]
pub struct Partitions(Arc<Table>);

impl Partitions {
    /// The most partitions one supervisor may have.
    pub const MOST: usize = 1_024;

    /// A table of `count` partitions.
    ///
    /// # Errors
    /// [`PartitionsError`] if there would be none, or more than [`MOST`](Self::MOST).
    pub fn new(count: usize) -> Result<Self, PartitionsError> {
        if count == 0 {
            return Err(PartitionsError::None);
        }
        if count > Self::MOST {
            return Err(PartitionsError::TooMany { most: Self::MOST });
        }
        Ok(Self(Arc::new(Table::new(count))))
    }

    /// How many partitions there are, in service or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// To how many of them keys go: to the first so many. All, unless there was a [`resize`](Self::resize).
    #[must_use]
    pub fn in_service(&self) -> usize {
        self.0.in_service()
    }

    /// The number of the partition of `key`; `None` if none is in service. The same for equal keys as long as as many are in
    /// service, in every run of one program; how keys are hashed may change with a version, and with the platform.
    /// Whoever may choose keys freely can choose many of one partition. O(length of the key).
    ///
    /// ```
    /// use bedplate::supervisor::Partitions;
    ///
    /// let partitions = Partitions::new(8)?;
    /// assert_eq!(partitions.index("Ada"), partitions.clone().index("Ada"));
    /// # Ok::<(), bedplate::supervisor::PartitionsError>(())
    /// ```
    pub fn index<K: Hash + ?Sized>(&self, key: &K) -> Option<usize> {
        remainder(FixedState::default().hash_one(key), self.in_service())
    }

    /// The number of the partition of a key that is a number: the absolute value, modulo how many are in service. So whoever
    /// has numbers decides himself what is together. `None` if none is in service. O(1).
    ///
    /// ```
    /// use bedplate::supervisor::Partitions;
    ///
    /// let partitions = Partitions::new(8)?;
    /// assert_eq!(partitions.index_of_number(-11), Some(3));
    /// # Ok::<(), bedplate::supervisor::PartitionsError>(())
    /// ```
    #[must_use]
    pub fn index_of_number(&self, key: i64) -> Option<usize> {
        remainder(key.unsigned_abs(), self.in_service())
    }

    /// A handle on the partition of `key`: on its present incarnation, and on no later one, so it should be asked for each
    /// time. O(length of the key).
    ///
    /// # Errors
    /// [`RouteError`]: none is in service, or the one of this key does not run at the moment. If it is being restarted, it
    /// mostly runs again soon, and the key goes to no other one meanwhile.
    pub fn route<K: Hash + ?Sized>(&self, key: &K) -> Result<SupRef, RouteError> {
        let number = self.index(key).ok_or(RouteError::NoneInService)?;
        self.partition(number)
    }

    /// A handle on the partition of this number, as [`route`](Self::route) gives it. O(1).
    ///
    /// # Errors
    /// [`RouteError::NotRunning`], also if there is no such partition.
    pub fn partition(&self, number: usize) -> Result<SupRef, RouteError> {
        let place = self.0.place(number);
        let tree = place.and_then(|place| place.look().0.upgrade());
        match tree {
            Some(tree) if tree.is_on() => Ok(SupRef {
                tree: Arc::downgrade(&tree),
            }),
            _ => Err(RouteError::NotRunning { partition: number }),
        }
    }

    /// A handle on the partition of `key`, as [`route`](Self::route) gives it, and waits until all its children have been
    /// started, if it is being started or restarted; at most for `patience`. If the key goes to another partition
    /// [meanwhile](Self::resize), it waits for that one. It also waits through a restart of the supervisor of the partitions, and
    /// for the first start.
    ///
    /// # Errors
    /// [`RouteError`]: none is in service, or the one of this key has not been started in that time; or, without waiting for
    /// the rest of it, the supervisor of the partitions has ended, and so has the outermost one of those it was below, and nobody
    /// is left who would start it anew.
    ///
    /// # Concurrency
    /// Blocks for that time at most, and does not wake for a stop. What a supervisor calls in the course of its work, stop
    /// callbacks for example, does not wait, since the partition may be what that work has to start.
    ///
    /// ```
    /// use bedplate::supervisor::{Partitions, Supervisor};
    /// use std::time::Duration;
    ///
    /// let partitions = Partitions::new(2)?;
    /// let waiting = partitions.clone();
    /// let waiting = std::thread::spawn(move || waiting.route_within("Ada", Duration::from_secs(60)));
    /// let supervisor = Supervisor::builder("app")
    ///     .partitions(&partitions, |_number| Supervisor::builder("partition"))
    ///     .start()?;
    /// assert!(waiting.join().expect("it does not panic").is_ok());
    /// # drop(supervisor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route_within<K: Hash + ?Sized>(
        &self,
        key: &K,
        patience: Duration,
    ) -> Result<SupRef, RouteError> {
        if request::is_working() {
            return self.route(key);
        }
        let deadline = clock::now().saturating_add(patience);
        let hash = FixedState::default().hash_one(key);
        let index = || remainder(hash, self.in_service());
        let mut waiting = None;
        loop {
            let number = index().ok_or(RouteError::NoneInService)?;
            let not_running = RouteError::NotRunning { partition: number };
            let place = self.0.place(number).ok_or(not_running)?;
            let (present, news) = place.look();
            if let Some(tree) = present.upgrade() {
                let is_up = tree.is_up();
                // It may be the last to hold how its children ended.
                discard(tree);
                if is_up {
                    return Ok(SupRef { tree: present });
                }
            }
            if waiting.is_none() {
                // It looks once more, since there may have been news that nobody waited for.
                waiting = Some(Waiting::begin(&self.0));
                continue;
            }
            if index() != Some(number) {
                // What changed that may be among the news so far, and no other may come.
                continue;
            }
            let left = deadline.saturating_duration_since(clock::now());
            if self.0.is_over() || !place.wait(news, left) {
                return Err(not_running);
            }
        }
    }

    /// Puts the first `count` partitions into service, and no others: those beyond are stopped, the last one first, and those
    /// that are stopped are started again. A key then mostly goes to another partition than before; what runs in a
    /// partition that stays is not moved. When the supervisor of the partitions is started anew, all are in service
    /// again. O(partitions), and the waits; O(partitions²) while somebody [waits](Self::route_within).
    ///
    /// That supervisor has to be [one for one](Strategy::OneForOne). With another strategy one crash would start those again that
    /// are out of service, which also happens if it is [made](SupRef::reconfigure) so later: no key goes to them then.
    ///
    /// # Errors
    /// [`ResizeError`]. If a partition was [not stopped](ResizeError::NotStopped) or [not started](ResizeError::NotStarted), those
    /// are then in service that had been before and are among the first `count`, and those that were started; calling it again
    /// goes on from there.
    ///
    /// # Concurrency
    /// Waits for each partition that it stops, at most as long as its children may take, and for each that it starts.
    /// Whoever calls it while somebody else does is refused.
    pub fn resize(&self, count: usize) -> Result<(), ResizeError> {
        if count > self.count() {
            return Err(ResizeError::TooMany { most: self.count() });
        }
        let _alone = Resizing::begin(&self.0).ok_or(ResizeError::UnderWay)?;
        let layer = self.0.layer();
        let layer = layer.ok_or(ResizeError::NotRunning)?;
        match layer.strategy() {
            Strategy::OneForOne => {}
            strategy => return Err(ResizeError::Strategy { strategy }),
        }
        if !self.0.change(&layer, |now| now.min(count)) {
            return Err(ResizeError::NotRunning);
        }
        for partition in (count..self.count()).rev() {
            let stopped = layer.terminate(&partition.to_string());
            stopped.map_err(|error| ResizeError::NotStopped { partition, error })?;
        }
        for partition in 0..count {
            match layer.restart(&partition.to_string()) {
                // It runs, or is about to.
                Ok(_) | Err(RestartError::Running | RestartError::Restarting) => {}
                Err(error) => return Err(ResizeError::NotStarted { partition, error }),
            }
            self.0.change(&layer, |now| now.max(partition + 1));
        }
        Ok(())
    }
}

/// `None` if nothing can be divided.
fn remainder(number: u64, count: usize) -> Option<usize> {
    let rest = number.checked_rem(u64::try_from(count).ok()?)?;
    usize::try_from(rest).ok()
}

impl SupervisorBuilder {
    /// Adds as many supervisors as there are `partitions`, as `describe` describes each by its number from 0 on, and has
    /// `partitions` find them. They are permanent children, each with as long to stop as its children take, and called by
    /// their numbers; otherwise they are as [`ChildSpec::supervisor`] says. The name that a description has is not used.
    ///
    /// A partition that gave up is restarted, as any child: that counts against the limit of the supervisor of the
    /// partitions, which gives up in its turn if that happens too often. Children that back off
    /// ([`ChildSpec::backoff`]) reach no limit of their partition; and this supervisor may have a limit that is as
    /// large as one wants storms to be survived.
    ///
    /// Only [one for one](Strategy::OneForOne) can it be [resized](Partitions::resize).
    ///
    /// As a child of another one:
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Partitions, Strategy, Supervisor};
    /// use std::time::Duration;
    ///
    /// let shards = Partitions::new(8)?;
    /// let described = shards.clone();
    /// let child = ChildSpec::supervisor("shards", move || {
    ///     let builder = Supervisor::builder("shards").limit(20, Duration::from_secs(60));
    ///     builder.partitions(&described, |_number| {
    ///         Supervisor::builder("shard").strategy(Strategy::Dynamic).limit(5, Duration::from_secs(10))
    ///     })
    /// });
    /// let supervisor = Supervisor::builder("app").child(child).start()?;
    /// assert_eq!(shards.route("Ada")?.count().active, 0);
    /// # drop(supervisor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn partitions(
        mut self,
        partitions: &Partitions,
        describe: impl Fn(usize) -> Self + Send + Sync + 'static,
    ) -> Self {
        let describe = Arc::new(describe);
        for number in 0..partitions.count() {
            let (partitions, describe) = (partitions.clone(), describe.clone());
            self = self.child(ChildSpec::supervisor(number.to_string(), move || {
                describe(number).seated(Seat::Partition(partitions.clone(), number))
            }));
        }
        self.seated(Seat::Layer(partitions.clone()))
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitions")
            .field("count", &self.count())
            .field("in_service", &self.in_service())
            .finish()
    }
}

/// Why there cannot be so many partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionsError {
    /// There would be none.
    None,
    /// There would be too many.
    TooMany {
        /// How many there may be.
        most: usize,
    },
}

impl fmt::Display for PartitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there has to be a partition"),
            Self::TooMany { most } => write!(f, "there may be at most {most} partitions"),
        }
    }
}

impl Error for PartitionsError {}

/// Why a key leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// No partition is in service.
    NoneInService,
    /// It does not run: it is being restarted, was taken out of service, has not started or has ended.
    NotRunning {
        /// Its number.
        partition: usize,
    },
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneInService => f.write_str("no partition is in service"),
            Self::NotRunning { partition } => write!(f, "partition {partition} does not run"),
        }
    }
}

impl Error for RouteError {}

/// Why another number of partitions could not be put into service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResizeError {
    /// There are not so many.
    TooMany {
        /// How many there are.
        most: usize,
    },
    /// Somebody else is just doing that.
    UnderWay,
    /// The supervisor of the partitions has not started, has ended, or was started anew meanwhile.
    NotRunning,
    /// Partitions of such a supervisor do not stay stopped, or cannot be stopped one by one. Nothing was changed.
    Strategy {
        /// Its strategy.
        strategy: Strategy,
    },
    /// This one could not be stopped.
    NotStopped {
        /// Its number.
        partition: usize,
        /// Why.
        error: TerminateError,
    },
    /// This one could not be started.
    NotStarted {
        /// Its number.
        partition: usize,
        /// Why.
        error: RestartError,
    },
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { most } => write!(f, "there are only {most} partitions"),
            Self::UnderWay => f.write_str("somebody else is resizing"),
            Self::NotRunning => f.write_str("the supervisor of the partitions does not run"),
            Self::Strategy { strategy } => {
                let strategy = view::word(*strategy);
                write!(
                    f,
                    "the supervisor of the partitions is {strategy}, and not one for one"
                )
            }
            Self::NotStopped { partition, error } => {
                write!(f, "partition {partition} was not stopped: {error}")
            }
            Self::NotStarted { partition, error } => {
                write!(f, "partition {partition} was not started: {error}")
            }
        }
    }
}

impl Error for ResizeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStopped { error, .. } => Some(error),
            Self::NotStarted { error, .. } => Some(error),
            _ => None,
        }
    }
}

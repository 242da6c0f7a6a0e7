//! State that survives the crashes of a child, and is only ever changed by the incarnation that is alive.
//!
//! What a closure captures survives a crash, too; but a `Mutex` that one incarnation poisoned kills all that follow, and a value
//! that is changed in place is left in the middle of a change. A [`Checkpoint`] has whole values, one after the other. It is made
//! outside, captured by the child's closure, and opened by each incarnation:
//!
//! ```
//! use bedplate::checkpoint::Checkpoint;
//! use bedplate::supervisor::{ChildSpec, Incarnation, Supervisor};
//! use std::{error::Error, sync::mpsc, time::Duration};
//!
//! let orders = Checkpoint::<Vec<u64>>::new("orders");
//! let (tell, told) = mpsc::channel();
//!
//! let saved = orders.clone();
//! let work = move |me: &Incarnation| -> Result<(), Box<dyn Error + Send + Sync>> {
//!     let saved = saved.open(me)?;
//!     let mut orders = saved.restore().unwrap_or_default();
//!     orders.push(me.number());                  // … a piece of work …
//!     saved.save(orders.clone())?;               // … which is done
//!     if orders.len() < 3 {
//!         panic!("the next incarnation goes on with what was saved");
//!     }
//!     tell.send(orders)?;
//!     while !me.stop().wait(Duration::from_secs(3_600)) {}
//!     Ok(())
//! };
//! let supervisor = Supervisor::builder("app").child(ChildSpec::worker("orders", work)).start()?;
//! assert_eq!(told.recv(), Ok(vec![1, 2, 3]));
//! assert_eq!(orders.latest().as_deref(), Some(&vec![1, 2, 3]));   // for whoever wants to look
//! # drop(supervisor);
//! # Ok::<(), bedplate::supervisor::StartError>(())
//! ```
//!
//! # Who may save
//! The incarnation that has opened it last, as long as it is neither over nor abandoned. What it saves stands before anything
//! else of its end can be seen: whoever finds its name free, or has been told that it is over, restores what
//! it saved last, and finds nothing changed by it afterwards, even if its thread still runs.
//!
//! A later incarnation of a child takes a checkpoint from an earlier one, and never the reverse; a child is known by its
//! [path](crate::supervisor::ChildRef::path), also if it comes back with a supervisor that is restarted above it. Another child is
//! [refused](OpenError::Held) as long as the holder is alive, so that two children that were given one checkpoint by mistake do not
//! overwrite each other: the second one fails when it opens it, and not later. When the holder is over, anybody may have it.
//!
//! Two children may have one path. Those of a [dynamic](crate::supervisor::Strategy::Dynamic) supervisor are different children whatever
//! their ids, also from those that were there before it was restarted, and so are those below two supervisors that were
//! [started](crate::supervisor::SupervisorBuilder::start) with one name, at once or one after the other.
//!
//! # A state that crashes
//! The last two versions are kept. If the current one is restored three times in a row and the incarnation
//! [crashes](CrashLimit) within a second each time, it is given up when the next one opens the checkpoint, and the older one is
//! current; and if that happens to it as well, there is none. A [crash](crate::process::ExitReason) is a panic, an error, or
//! whatever else is no clean end, of an incarnation that was not asked to stop. One that lasts longer than
//! that second, or saves, has shown that it can work with what it restored, and the count begins anew.
//!
//! With the crash of the incarnation that had saved it, that takes four restarts for the older version, and seven for none. A supervisor
//! of the usual [intensity](crate::supervisor::SupervisorBuilder::limit), three, has given up before: it needs a higher
//! one, or the checkpoint a lower [`CrashLimit`]. If the supervisor is then started again by the one above, what was counted still
//! counts, as long as the checkpoint is the same.
//!
//! That is told as `bedplate.checkpoint.fallback` ([telemetry](crate::telemetry)), as one `WARN` of the `tracing` target
//! `bedplate::checkpoint`, and by [`Checkpoint::info`].
//!
//! # Concurrency
//! Everything takes a lock of the checkpoint for a few instructions, and nothing else blocks. No code of a user runs under
//! it: values are cloned, and dropped, outside, by the caller; a destructor that panics has no consequence but its message.
//! Each operation takes effect at one moment under the lock: a save, all of it, or nothing if it is refused.

mod error;
mod report;
mod slot;

pub use self::error::{ForgetError, OpenError, SaveError};
pub use self::slot::CheckpointInfo;
pub use bedplate_core::checkpoint::{CrashLimit, ZeroCrashes};

use self::slot::{Claim, Slot};
use crate::clock;
use crate::process::panic::discard;
use crate::supervisor::{ChildRef, Incarnation};
use crate::sync::Arc;
use core::fmt;

/// The last versions of a state, for one child and for whoever wants to look. A clone is the same checkpoint; the values are dropped
/// with the last one.
///
/// See the [module](self).
pub struct Checkpoint<T>(Arc<Shared<T>>);

struct Shared<T> {
    name: String,
    slot: Slot<T>,
}

impl<T> Checkpoint<T> {
    /// An empty one, called `name` where it is told of; names need not differ.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_limit(name, CrashLimit::USUAL)
    }

    /// An empty one whose versions are given up after as many crashes as `limit` says.
    ///
    /// ```
    /// use bedplate::checkpoint::{Checkpoint, CrashLimit};
    /// use std::time::Duration;
    ///
    /// let table = Checkpoint::<Vec<u8>>::with_limit("table", CrashLimit::new(2, Duration::from_secs(30))?);
    /// assert!(table.latest().is_none());
    /// # Ok::<(), bedplate::checkpoint::ZeroCrashes>(())
    /// ```
    #[must_use]
    pub fn with_limit(name: impl Into<String>, limit: CrashLimit) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            slot: Slot::new(limit),
        }))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Opens it for `incarnation`, which may save from now on, and no other. If the one before has crashed once too often with the
    /// current version, that is given up now, and handlers of [telemetry](crate::telemetry) are called. Who has it open
    /// may open it again, which changes nothing.
    ///
    /// # Errors
    /// [`OpenError::Held`] by another child that is alive; [`OpenError::Replaced`] or [`OpenError::Over`] if this incarnation does not
    /// count any more.
    ///
    /// # Concurrency
    /// Whatever an earlier incarnation saves has been saved when this returns, or never is.
    pub fn open(&self, incarnation: &Incarnation) -> Result<Opened<T>, OpenError> {
        self.open_as(incarnation.me())
    }

    /// The current version, if there is any: what would be restored. Dropping the last handle on a value that was
    /// replaced since drops the value.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<T>> {
        self.0.slot.latest()
    }

    /// Which versions there are, and what became of others.
    #[must_use]
    pub fn info(&self) -> CheckpointInfo {
        self.0.slot.info()
    }

    fn open_as(&self, me: &ChildRef) -> Result<Opened<T>, OpenError> {
        let (claim, fell) = self.0.slot.open(me)?;
        if let Some(fell) = fell {
            report::fell_back(&self.0.name, me.path(), &fell);
        }
        Ok(Opened {
            checkpoint: self.clone(),
            claim,
        })
    }
}

impl<T> Clone for Checkpoint<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Checkpoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("name", &self.0.name)
            .field("info", &self.info())
            .finish()
    }
}

/// A [`Checkpoint`] as the incarnation has it that opened it. Its helpers may have it, too: it may go to other threads, and be
/// kept for longer than the incarnation, but then it saves nothing any more.
#[must_use = "what is opened is to be restored from, or saved to"]
pub struct Opened<T> {
    checkpoint: Checkpoint<T>,
    claim: Claim,
}

impl<T> Opened<T> {
    /// A clone of the current version, if there is any. Should this incarnation crash soon, that counts against the
    /// version. Who is not allowed to save any more is shown what there is.
    ///
    /// # Panics
    /// If the clone does; that may be a crash like any other.
    #[must_use]
    pub fn restore(&self) -> Option<T>
    where
        T: Clone,
    {
        let kept = self.checkpoint.0.slot.restore(&self.claim, clock::now())?;
        let value = T::clone(&kept);
        // It may be the last handle by now.
        discard(kept);
        Some(value)
    }

    /// Saves `value`. The version that it has from now on: each one has a higher number than those before. The
    /// version before becomes the older one, and the one that was that is dropped.
    ///
    /// To be called when a piece of work is done, and not before: what is saved before each crash is never restored often enough to
    /// be given up. Costs an allocation, whatever the size of the value.
    ///
    /// # Errors
    /// [`SaveError`] with the value if this incarnation is over, was abandoned, or was replaced; then nothing has changed.
    ///
    /// # Concurrency
    /// Takes effect at one moment, before everything that comes of the incarnation's end, or is refused.
    pub fn save(&self, value: T) -> Result<u64, SaveError<T>> {
        self.checkpoint.0.slot.save(&self.claim, value)
    }

    /// Forgets all versions: the next incarnation restores nothing, unless something is saved. Numbers go on.
    ///
    /// # Errors
    /// [`ForgetError`] if this incarnation is over, was abandoned, or was replaced; then nothing has changed.
    pub fn forget(&self) -> Result<(), ForgetError> {
        self.checkpoint.0.slot.forget(&self.claim)
    }

    /// The checkpoint itself.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint<T> {
        &self.checkpoint
    }
}

impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.checkpoint).finish()
    }
}

#[cfg(test)]
mod tests;

//! The names of this process: which incarnation answers to which name.
//!
//! A name belongs to one incarnation at a time. A child whose specification asks for a name
//! ([`ChildSpec::register`](crate::supervisor::ChildSpec::register)) holds it from before its body
//! starts; a running incarnation may take further ones
//! ([`Incarnation::register`](crate::supervisor::Incarnation::register)). When it ends, its names are
//! free *before* anybody can learn that it ended: whoever is told may register the name at once, and
//! nobody ever finds a dead incarnation under it.
//!
//! Underneath is [`bedplate_core`]'s [`EpochRegistry`]. Each thread that looks something up keeps a
//! handle of its own until it ends.
//!
//! ```
//! use bedplate::registry;
//! use bedplate::supervisor::{ChildSpec, Supervisor};
//!
//! let store = ChildSpec::worker("store", |incarnation| {
//!     while !incarnation.stop().wait(std::time::Duration::from_secs(1)) {}
//! })
//! .register("shop/store");
//! let supervisor = Supervisor::builder("shop").child(store).start()?;
//!
//! let found = registry::whereis("shop/store").expect("it runs");
//! assert_eq!(found.path(), "shop/store");
//! let _ = supervisor.shutdown();
//! assert!(registry::whereis("shop/store").is_none());
//! # Ok::<(), bedplate::supervisor::StartError>(())
//! ```

use crate::process::Pid;
use crate::process::child::{ChildRef, WeakChild};
use crate::sync::{Arc, Mutex, OnceLock};
use bedplate_core::registry::{EpochRegistry, Handle, Owner, RegisterError};
use core::error::Error;
use core::fmt;
use foldhash::fast::RandomState;

pub use bedplate_core::registry::Memory;

/// How many names there may be at a time.
const LIMIT: usize = 1 << 20;

/// Longer names help nobody.
const LONGEST_NAME: usize = 255;

/// The incarnation that holds `name`, or `None` if nobody does.
///
/// # Concurrency
/// Lock-free: never waits for another thread. On a thread whose thread-locals are being destroyed
/// a handle is made for the one call.
#[must_use]
pub fn whereis(name: &str) -> Option<ChildRef> {
    with_handle(|handle| handle.pin().lookup(name)?.value().upgrade())
}

/// Every name and who holds it, in no useful order: each that was held all along, and of those that
/// came or went meanwhile any.
#[must_use]
pub fn registered() -> Vec<(Arc<str>, ChildRef)> {
    with_handle(|handle| {
        let guard = handle.pin();
        let held = guard
            .iter()
            .filter_map(|entry| Some((Arc::from(entry.key()), entry.value().upgrade()?)));
        held.collect()
    })
}

/// How many names are held.
#[must_use]
pub fn count() -> usize {
    names().len()
}

/// What was given up and is not yet freed.
#[must_use]
pub fn memory() -> Memory {
    names().memory()
}

/// Why a name was not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name cannot be used: it is empty, longer than 255 bytes, or contains a NUL byte.
    BadName,
    /// Somebody holds it.
    Taken {
        /// Who, at that moment.
        holder: Pid,
    },
    /// There are as many names as there may be.
    Full {
        /// How many those are.
        limit: usize,
    },
    /// The incarnation is over, or was abandoned: it can hold nothing any more.
    Over,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str("a name has 1 to 255 bytes, none of them NUL"),
            Self::Taken { holder } => write!(f, "the name is held by {holder}"),
            Self::Full { limit } => write!(f, "all {limit} names are taken"),
            Self::Over => f.write_str("an incarnation that is over holds no names"),
        }
    }
}

impl Error for NameError {}

/// The names one incarnation holds. They are free when [`release`](Self::release) returns.
pub(crate) struct HeldNames(Mutex<Held>);

enum Held {
    /// None yet.
    Nothing,
    Some(Owner<Box<str>, Box<WeakChild>, RandomState>),
    /// Released for good.
    Over,
}

impl HeldNames {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Held::Nothing))
    }

    /// Registers `name` for `child`, whose names these are.
    pub(crate) fn register(&self, child: &ChildRef, name: &str) -> Result<(), NameError> {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(NameError::BadName);
        }
        // The lock is this incarnation's own: it is contended only while the incarnation is being
        // abandoned, and makes sure that nothing is registered after that.
        let mut held = self.0.lock();
        if let Held::Nothing = *held {
            *held = Held::Some(names().owner(child.pid()));
        }
        let Held::Some(owner) = &mut *held else {
            return Err(NameError::Over);
        };
        with_handle(|handle| {
            owner.register(&handle.pin(), Box::from(name), Box::new(child.downgrade()))
        })
        .map(|_| ())
        .map_err(|error| match error {
            RegisterError::AlreadyRegistered { holder, .. } => NameError::Taken { holder },
            _ => NameError::Full { limit: LIMIT },
        })
    }

    /// Gives up `name`; whether it was held here.
    pub(crate) fn unregister(&self, name: &str) -> bool {
        match &mut *self.0.lock() {
            Held::Some(owner) => with_handle(|handle| owner.unregister(&handle.pin(), name)),
            Held::Nothing | Held::Over => false,
        }
    }

    /// Gives up all of them, for good. Runs no code of a user.
    pub(crate) fn release(&self) {
        drop(core::mem::replace(&mut *self.0.lock(), Held::Over));
    }
}

type Names = EpochRegistry<Box<str>, Box<WeakChild>, RandomState>;

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| EpochRegistry::with_limit_and_hasher(LIMIT, RandomState::default()))
}

type NamesHandle = Handle<Box<str>, Box<WeakChild>, RandomState>;

fn with_handle<R>(f: impl FnOnce(&NamesHandle) -> R) -> R {
    thread_local! {
        static HANDLE: NamesHandle = names().handle();
    }
    let mut f = Some(f);
    let mut call = |handle: &NamesHandle| f.take().map(|f| f(handle));
    let result = match HANDLE.try_with(&mut call) {
        Ok(result) => result,
        Err(_) => call(&names().handle()),
    };
    match result {
        Some(result) => result,
        None => unreachable!("called once, on one of the two handles"),
    }
}

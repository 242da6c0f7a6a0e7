//! Names and keys: who holds them, and what they stand for.
//!
//! # The names of this process
//! A name belongs to one incarnation of a supervised child at a time. A child whose specification asks for
//! a name ([`ChildSpec::register`](crate::supervisor::ChildSpec::register)) holds it from before its body
//! starts; a running incarnation may take further ones
//! ([`Incarnation::register`](crate::supervisor::Incarnation::register)).
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
//!
//! # Registries of your own
//! A [`Registry`] maps keys of any type to values of any type, and may have a name by which others find it.
//! What a thread registers is its own and goes with it:
//!
//! ```
//! use bedplate::registry::Registry;
//! use std::thread;
//!
//! let sessions = Registry::<String, u64>::open("sessions")?;
//! let worker = thread::spawn(|| {
//!     let sessions = Registry::<String, u64>::open("sessions").expect("the same one");
//!     sessions.register("ada".to_owned(), 1815).expect("free");
//!     sessions.lookup("ada", |entry| *entry.value())
//! });
//! assert_eq!(worker.join().unwrap(), Some(1815));
//! assert_eq!(sessions.whereis("ada"), None);      // its thread is gone
//! # Ok::<(), bedplate::registry::OpenError>(())
//! ```
//!
//! Registrations belong to
//!
//! * the running incarnation, on the thread of a supervised child. They are gone, in all registries,
//!   *before* anybody can learn that it ended, whether it returned, failed, panicked or was abandoned:
//!   whoever is told may register the same keys at once, and nobody ever finds a dead one under them. There are
//!   two exceptions. The name from a specification is kept for its child as long as that
//!   [comes back](crate::supervisor::ChildSpec::register). And who is abandoned inside of a key's `Eq` or `Hash`, called by a change of a registry, and stays
//!   there for a second, is told of as ended all the same, and holds what it held in this one registry until that
//!   code returns; it can register nothing more;
//! * the thread, on any other. They are gone when the thread has ended, in whatever way, so when
//!   [`JoinHandle::join`](std::thread::JoinHandle::join) returns. (The end of a
//!   [`thread::scope`](std::thread::scope) alone waits only for the closures.)
//!   If the thread calls [`process::exit`](std::process::exit) out of code that a change calls, as a key's `Eq`,
//!   what it holds in that one registry is not given up: the process ends;
//! * an [`Owner`], if they were made through it. It may be sent to other threads, and stands for what is no
//!   thread: a connection, a task.
//!
//! Underneath is [`bedplate_core`]'s [`EpochRegistry`](bedplate_core::registry::EpochRegistry). Each thread
//! that looks something up keeps a handle of its own, for as many as 64 registries.
//!
//! # What is told
//! With the feature `tracing`, a registration is an event `registry.register` at the level TRACE, and the end
//! of an owner that still held something is an event `registry.cleanup` at the level DEBUG, with the `count`
//! of what went. Their target is `bedplate::registry`. They are told outside every lock, and a subscriber
//! that panics does no harm. What a thread leaves that is no incarnation's is told soon after its end, by
//! another thread, since subscribers do not work while a thread's locals are destroyed.

mod builder;
mod catalogue;
mod error;
mod holdings;
mod lock;
mod metadata;
mod owner;
mod report;
mod reserved;
mod shared;
#[cfg(test)]
mod tests;
mod thread;
mod wait;

use crate::process::child::{ChildRef, WeakChild};
use crate::stop::StopToken;
use crate::sync::{Arc, OnceLock};
use core::time::Duration;

pub use bedplate_core::registry::{
    Change, Entry, FeedTooLarge, GiveAwayError, LARGEST_FEED, Memory, News, Reason,
    RegisterManyError, Registration, Stored,
};
pub use builder::Builder;
pub use catalogue::all;
pub use error::{
    LockError, MetadataError, NameError, OpenError, RegisterError, TooManyOwners, UpdateError,
    WaitError,
};
pub(crate) use holdings::Holdings;
pub use lock::KeyGuard;
pub use metadata::Metadata;
pub use owner::Owner;
pub(crate) use reserved::{Claim, Claimant, Standing, reconsider};
pub use shared::{Changes, Guard, Health, Key, NameRef, Registry, Value};

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
    names().with(|guard| guard.lookup(name)?.value().upgrade())
}

/// Waits until an incarnation holds `name`, at most for `at_most`, and no longer than until a stop is asked
/// for through `stop`; see [`Registry::wait_for`].
///
/// # Errors
/// [`WaitError`] if nobody does in time.
///
/// # Concurrency
/// Blocking.
pub fn wait_for(
    name: &str,
    at_most: Duration,
    stop: Option<&StopToken>,
) -> Result<ChildRef, WaitError> {
    names().wait_while_none(name, at_most, stop, |entry| entry.value().upgrade())
}

/// Every name and who holds it, in no useful order: each that was held all along, and of those that
/// came or went meanwhile any.
#[must_use]
pub fn registered() -> Vec<(Arc<str>, ChildRef)> {
    names().with(|guard| {
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

/// How the registry of the process's names does.
#[must_use]
pub fn health() -> Health {
    names().health()
}

/// Registers `name` for `child`, and reserves it if that has a claim.
pub(crate) fn register_name(
    child: &ChildRef,
    name: &str,
    claim: Option<&Claim>,
) -> Result<(), NameError> {
    if !is_usable(name) {
        return Err(NameError::BadName);
    }
    admit(child, name, claim)?;
    register(child, name)?;
    // Whose it is may have given it up since, at its end.
    if let Err(reserved) = admit(child, name, claim) {
        unregister_name(child, name);
        return Err(reserved);
    }
    if let Some(claim) = claim {
        reserved::is_held(name, child.pid(), claim);
    }
    Ok(())
}

/// Whether nobody else has reserved `name`, or has given it up.
fn admit(child: &ChildRef, name: &str, claim: Option<&Claim>) -> Result<(), NameError> {
    let Err(reserved) = reserved::admit(name, child.pid(), claim) else {
        return Ok(());
    };
    match whereis(name) {
        Some(holder) if holder != *child => Err(NameError::Taken {
            holder: holder.pid(),
        }),
        _ if reserved.is_here => Ok(()),
        _ => Err(NameError::Reserved {
            last: reserved.last,
        }),
    }
}

fn register(child: &ChildRef, name: &str) -> Result<(), NameError> {
    let value = Box::new(child.downgrade());
    match names().register_in(child.holdings(), Box::from(name), value) {
        Ok(_) => Ok(()),
        Err(RegisterError::AlreadyRegistered { holder, .. }) => Err(NameError::Taken { holder }),
        Err(RegisterError::Full { limit, .. }) => Err(NameError::Full { limit }),
        Err(RegisterError::TooManyCollisions { .. }) => Err(NameError::TooManyCollisions),
        Err(_) => Err(NameError::Over),
    }
}

/// Gives up `name`; whether `child` held it.
pub(crate) fn unregister_name(child: &ChildRef, name: &str) -> bool {
    names().unregister_in(child.holdings(), name)
}

/// Whether it can be the name of an incarnation, of a registry, or of what is known about one.
fn is_usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\0')
}

type Names = Registry<Box<str>, Box<WeakChild>>;

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Registry::of_the_process("bedplate::names", LIMIT))
}

//! The calling thread's frames.
//!
//! Which frames are in force, and what restores which, is decided by [`Frames`]. Here is where a thread keeps
//! its own, and how they become a [`Context`] that can be shared:
//!
//! ```text
//!   this thread's frames        shared, immutable, counted
//!   ┌──────────────────┐
//!   │ operation        │────▶ operation ─┐     made when the context is first captured, and kept beside
//!   │ request_id       │────▶ request_id ┴▶…  the frame: captured again, only a count goes up
//!   ├──────────────────┤
//!   │ base ────────────┼────▶ what was attached
//!   └──────────────────┘
//! ```
//!
//! So [`with`](super::with) writes one frame into memory that the thread has already, and allocates nothing.
//!
//! No code of a user runs while the frames are borrowed: values are of a closed set of types, and the tracing
//! bridge is told after the borrow has ended. The exception is a global allocator that uses the context; it is
//! told that there is none.

use core::{
    cell::{Cell, RefCell},
    fmt,
    marker::PhantomData,
};

use alloc::sync::Arc;
use bedplate_core::context::{self as core_context, Attachment, Entry, Full};

use super::chain::{Context, Frame, MAX_KEYS};
use super::key::{KeyIdentity, Value};

/// A key, compared by its address.
#[derive(Clone, Copy)]
struct KeyRef(&'static KeyIdentity);

impl PartialEq for KeyRef {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.0, other.0)
    }
}

/// A value, and its frame as it is shared, once it has been.
struct Held {
    value: Value,
    shared: Option<Arc<Frame>>,
}

type Frames = core_context::Frames<KeyRef, Held, Context, Vec<Entry<KeyRef, Held, Context>>>;

struct Thread {
    frames: RefCell<Frames>,
    /// True while the tracing bridge has something open that depends on the current context.
    #[cfg(feature = "tracing")]
    watched: Cell<bool>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            frames: RefCell::new(Frames::new(Vec::new(), Context::empty(), MAX_KEYS)),
            #[cfg(feature = "tracing")]
            watched: Cell::new(false),
        }
    };
}

/// Calls `look` with the thread's frames; `None` if its state is destroyed or in use.
#[inline]
fn peek<R>(look: impl FnOnce(&Frames) -> R) -> Option<R> {
    let looked = THREAD.try_with(|thread| Some(look(&*thread.frames.try_borrow().ok()?)));
    looked.ok().flatten()
}

/// Calls `change` with the thread's frames; `None` if its state is destroyed or in use.
#[inline]
fn change<R>(change: impl FnOnce(&mut Frames) -> R) -> Option<R> {
    let changed =
        THREAD.try_with(|thread| Some(change(&mut *thread.frames.try_borrow_mut().ok()?)));
    changed.ok().flatten()
}

/// Calls `change`, and tells the bridge.
#[inline]
fn change_and_tell<R>(change: impl FnOnce(&mut Frames) -> R) -> Option<R> {
    let changed = THREAD.try_with(|thread| {
        let changed = change(&mut *thread.frames.try_borrow_mut().ok()?);
        #[cfg(feature = "tracing")]
        if thread.watched.get() {
            tell_bridge();
        }
        Some(changed)
    });
    changed.ok().flatten()
}

#[cfg(feature = "tracing")]
#[cold]
fn tell_bridge() {
    crate::tracing_bridge::context_changed();
}

/// Calls `look` with the value of a key, if it is set.
#[inline]
pub(super) fn value_of<R>(
    key: &'static KeyIdentity,
    look: impl Fn(&Value) -> Option<R>,
) -> Option<R> {
    peek(|frames| match frames.find(&KeyRef(key)) {
        Ok(held) => look(&held.value),
        Err(base) => base.value_of(key).and_then(look),
    })
    .flatten()
}

/// True if there is no context to show.
#[cfg(feature = "tracing")]
pub(crate) fn is_empty() -> bool {
    peek(|frames| frames.iter().next().is_none() && frames.base().is_empty()).unwrap_or(true)
}

/// True if `context` is the very chain that is current.
#[cfg(feature = "tracing")]
pub(crate) fn is_current(context: &Context) -> bool {
    peek(|frames| {
        let base = frames.base();
        let newest = match frames.iter().next() {
            Some((_, held)) => held.shared.as_ref(),
            None => return base.is_same(context),
        };
        newest.is_some_and(|newest| context.is_chain(newest, base.dropped()))
    })
    .unwrap_or(false)
}

/// Says whether the tracing bridge wants to hear of changes.
#[cfg(feature = "tracing")]
pub(crate) fn watch(wanted: bool) {
    let _destroyed = THREAD.try_with(|thread| thread.watched.set(wanted));
}

/// The current context as a value that can be shared.
pub(super) fn current() -> Context {
    change(shared).unwrap_or_default()
}

#[inline]
fn shared(frames: &mut Frames) -> Context {
    let newest = match frames.iter().next() {
        None => return frames.base().clone(),
        Some((_, held)) => held.shared.clone(),
    };
    if newest.is_some() {
        return frames.base().under(newest);
    }
    share(frames)
}

/// Makes the frames that are not shared yet.
#[cold]
fn share(frames: &mut Frames) -> Context {
    let mut newest = frames.base().newest().cloned();
    for (key, held) in frames.iter_mut().rev() {
        let older = newest.take();
        let make = || Frame::on(older, key.0, held.value.clone());
        newest = Some(Arc::clone(held.shared.get_or_insert_with(make)));
    }
    frames.base().under(newest)
}

pub(super) fn set(key: &'static KeyIdentity, value: Value) {
    change_and_tell(|frames| {
        let held = Held {
            value,
            shared: None,
        };
        match frames.set(KeyRef(key), held) {
            Ok(false) => {}
            // Frames above the one that went were shared as lying on it.
            Ok(true) => frames.iter_mut().for_each(|(_, held)| held.shared = None),
            Err(Full { value: held, .. }) => {
                let next = shared(frames).push_frame(key, held.value);
                // There is always room: the store grows.
                let _full = frames.reset(next);
            }
        }
    });
}

pub(super) fn clear() {
    change_and_tell(|frames| frames.reset(Context::empty()));
}

pub(super) fn breadcrumb(value: Value) {
    change(|frames| frames.base_mut().trail_mut().push(value));
}

#[inline]
pub(super) fn attach(context: Context) -> Attached {
    let attachment = change_and_tell(|frames| frames.attach(context).ok()).flatten();
    Attached {
        attachment,
        not_send: PhantomData,
    }
}

/// The context is in force while this is held; made by [`Context::attach`].
///
/// Dropping it restores what was current before, or, if something newer is in force, sees to it
/// that the newer scope restores that in the end. It stays on its thread.
///
/// ```compile_fail
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(bedplate::context::Context::empty().attach());
/// ```
pub struct Attached {
    /// `None` if the thread's state was already destroyed.
    attachment: Option<Attachment>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        if let Some(attachment) = self.attachment {
            change_and_tell(|frames| frames.detach(attachment));
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").finish_non_exhaustive()
    }
}

/// A scope of the program's text. Its drop restores, so it must not leave this crate.
pub(super) struct Scope {
    /// `None` if the thread's state was already destroyed.
    scope: Option<core_context::Scope>,
}

impl Scope {
    #[inline]
    pub(super) fn enter(key: &'static KeyIdentity, value: Value) -> Self {
        let scope = change_and_tell(|frames| {
            let held = Held {
                value,
                shared: None,
            };
            match frames.enter(KeyRef(key), held) {
                Ok(scope) => Some(scope),
                Err(Full { value: held, .. }) => enter_full(frames, key, held.value),
            }
        });
        Self {
            scope: scope.flatten(),
        }
    }

    pub(super) fn enter_context(context: Context) -> Self {
        let scope = change_and_tell(|frames| frames.enter_base(context).ok());
        Self {
            scope: scope.flatten(),
        }
    }
}

/// As many frames as there may be: they are shared without those that are hidden.
#[cold]
fn enter_full(
    frames: &mut Frames,
    key: &'static KeyIdentity,
    value: Value,
) -> Option<core_context::Scope> {
    let next = shared(frames).push_frame(key, value);
    frames.enter_base(next).ok()
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            change_and_tell(|frames| frames.leave(scope));
        }
    }
}

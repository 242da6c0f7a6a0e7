//! The calling thread's frames.
//!
//! Which frames are in force, and what restores which, is decided by [`Frames`]. Here is where a thread keeps
//! its own, and how they become a [`Context`] that can be shared:
//!
//! ```text
//!   on the stack of `with`      this thread's frames       shared, immutable, counted
//!                               ┌──────────────────┐
//!   operation                   │                  │
//!      └─────── when anything ─▶│ operation        │──▶ operation ─┐   made when the context is first
//!   request_id   but `with` and │                  │               │   captured, and kept beside the frame:
//!      └─────── `get` is done ─▶│ request_id       │──▶ request_id ┴▶… captured again, only a count goes up
//!                               ├──────────────────┤
//!                               │ base ────────────┼──▶ what was attached
//!                               └──────────────────┘
//! ```
//!
//! So a call of [`with`](super::with) in which nothing happens but calls of [`with`](super::with) and
//! [`get`](super::get) writes five words to its own stack, and nothing else. What is moved stays moved: the calls it
//! came from find out when they end.
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
use bedplate_core::context::{self as core_context, Attachment, CallFrames, Entry, Full};

use super::chain::{Context, Frame, MAX_KEYS};
use super::key::{KeyIdentity, Value};
use crate::telemetry::span;

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

/// What a call of [`with`] keeps on its stack.
struct Call {
    key: &'static KeyIdentity,
    value: Value,
}

struct Thread {
    frames: RefCell<Frames>,
    /// True while the tracing bridge has something open that depends on the current context.
    watched: Cell<bool>,
}

thread_local! {
    /// On top of the frames of [`THREAD`]. It has room for what fits into the context, and for nothing while every
    /// change must be told. Without a destructor, so that it needs not be asked whether it is still there.
    static CALLS: CallFrames<Call> = const { CallFrames::new(MAX_KEYS) };

    static THREAD: Thread = const {
        Thread {
            frames: RefCell::new(Frames::new(Vec::new(), Context::empty(), MAX_KEYS)),
            watched: Cell::new(false),
        }
    };
}

impl Thread {
    /// Calls `change` with all frames; `None` if they are in use.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut Frames) -> R) -> Option<R> {
        let mut frames = self.frames.try_borrow_mut().ok()?;
        let frames = &mut *frames;
        CALLS.with(|calls| {
            calls.take(|call| enter(frames, call.key, call.value.clone()));
            let changed = change(frames);
            let room = if self.watched.get() { 0 } else { frames.room() };
            calls.set_room(room);
            Some(changed)
        })
    }
}

/// Calls `look` with the thread's frames below those on the stack; `None` if they are destroyed or in use.
#[inline]
fn peek<R>(look: impl FnOnce(&Frames) -> R) -> Option<R> {
    let looked = THREAD.try_with(|thread| Some(look(&*thread.frames.try_borrow().ok()?)));
    looked.ok().flatten()
}

/// Calls `change` with all of the thread's frames; `None` if they are destroyed or in use.
#[inline]
fn change<R>(change: impl FnOnce(&mut Frames) -> R) -> Option<R> {
    THREAD
        .try_with(|thread| thread.change(change))
        .ok()
        .flatten()
}

/// Calls `change`, and tells the bridge.
#[inline]
fn change_and_tell<R>(change: impl FnOnce(&mut Frames) -> R) -> Option<R> {
    let changed = THREAD.try_with(|thread| {
        let changed = thread.change(change);
        #[cfg(feature = "tracing")]
        if thread.watched.get() {
            tell_bridge();
        }
        changed
    });
    changed.ok().flatten()
}

#[cfg(feature = "tracing")]
#[cold]
fn tell_bridge() {
    crate::tracing_bridge::context_changed();
}

/// What `look` makes of the value of a key, if it is set.
#[inline]
pub(super) fn value_of<R>(
    key: &'static KeyIdentity,
    look: impl Fn(&Value) -> Option<R>,
) -> Option<R> {
    let on_the_stack = CALLS
        .with(|calls| calls.find(|call| core::ptr::eq(call.key, key).then(|| look(&call.value))));
    if let Some(found) = on_the_stack {
        return found;
    }
    peek(|frames| match frames.find(&KeyRef(key)) {
        Ok(held) => look(&held.value),
        Err(base) => base.value_of(key).and_then(look),
    })
    .flatten()
}

/// How many frames the current context has.
#[cold]
pub(super) fn depth() -> usize {
    let mut on_the_stack = 0;
    CALLS.with(|calls| {
        calls.find(|_| {
            on_the_stack += 1;
            None::<()>
        })
    });
    on_the_stack + peek(Frames::depth).unwrap_or_default()
}

/// True if there is no context to show.
#[cfg(feature = "tracing")]
pub(crate) fn is_empty() -> bool {
    let none = |frames: &Frames| frames.newest().is_none() && frames.base().is_empty();
    CALLS.with(CallFrames::is_empty) && peek(none).unwrap_or(true)
}

/// Prints the current context where it is, without sharing it. What is written to must not use the context.
#[cfg(feature = "fmt")]
pub(crate) struct Here;

#[cfg(feature = "fmt")]
impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = [None; MAX_KEYS];
        let mut count = 0;
        let mut write = |key: &'static KeyIdentity, value: &Value| {
            let known = seen[..count].iter().flatten();
            if known.into_iter().any(|other| core::ptr::eq(*other, key)) {
                return Ok(());
            }
            // A context has no more keys than that.
            if let Some(place) = seen.get_mut(count) {
                *place = Some(key);
                count += 1;
            }
            let separator = if count > 1 { " " } else { "" };
            write!(f, "{separator}{}={value}", key.name)
        };
        let failed = CALLS.with(|calls| calls.find(|call| write(call.key, &call.value).err()));
        if let Some(error) = failed {
            return Err(error);
        }
        let below = peek(|frames| {
            for (key, held) in frames.iter() {
                write(key.0, &held.value)?;
            }
            for (key, value) in frames.base().entries() {
                write(key, value)?;
            }
            Ok(frames.base().dropped())
        });
        match below.transpose()? {
            None | Some(0) => Ok(()),
            Some(dropped) => {
                let separator = if count > 0 { " " } else { "" };
                write!(f, "{separator}context_dropped={dropped}")
            }
        }
    }
}

/// True if `context` is the very chain that is current.
#[cfg(feature = "tracing")]
pub(crate) fn is_current(context: &Context) -> bool {
    let same = |frames: &Frames| {
        let base = frames.base();
        let newest = match frames.newest() {
            Some((_, held)) => held.shared.as_ref(),
            None => return base.is_same(context),
        };
        newest.is_some_and(|newest| context.is_chain(newest, base.dropped()))
    };
    CALLS.with(CallFrames::is_empty) && peek(same).unwrap_or(false)
}

/// Says whether the tracing bridge wants to hear of changes.
#[cfg(feature = "tracing")]
pub(crate) fn watch(wanted: bool) {
    let _destroyed = THREAD.try_with(|thread| {
        thread.watched.set(wanted);
        // Those on the stack are moved, so that their ends are told, and there is no room for more of them.
        thread.change(|_| ())
    });
}

/// The current context as a value that can be shared.
#[inline]
pub(super) fn current() -> Context {
    let span = span::ambient();
    let known = if CALLS.with(CallFrames::is_empty) {
        peek(|frames| {
            // The span is noted in the base when it is first captured, so that later captures only count.
            let is_noted = frames.base().span() == span;
            is_noted.then(|| shared_before(frames)).flatten()
        })
        .flatten()
    } else {
        None
    };
    known.unwrap_or_else(|| share_now(span))
}

/// What the trace of a span that is current, or begins here, carries along.
#[cold]
pub(crate) fn tracestate_of(span: span::Ambient) -> Option<Arc<str>> {
    peek(|frames| {
        let (trace, text) = frames.base().carried()?;
        (*trace == span.traceparent().trace_id).then(|| Arc::clone(text))
    })
    .flatten()
}

#[cold]
fn share_now(span: Option<span::Ambient>) -> Context {
    change(|frames| {
        if frames.base().span() != span {
            frames.base_mut().set_span(span);
        }
        shared(frames)
    })
    .unwrap_or_default()
}

/// The context, if all of its frames are shared already.
#[inline]
fn shared_before(frames: &Frames) -> Option<Context> {
    match frames.newest() {
        None => Some(frames.base().clone()),
        Some((_, held)) => {
            let newest = Arc::clone(held.shared.as_ref()?);
            Some(frames.base().under(Some(newest)))
        }
    }
}

fn shared(frames: &mut Frames) -> Context {
    shared_before(frames).unwrap_or_else(|| share(frames))
}

/// Makes the frames that are not shared yet.
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
    change(|frames| frames.base_mut().leave_crumb(value));
}

#[inline]
pub(super) fn attach(context: Context) -> Attached {
    let span = context.span();
    let attachment = change_and_tell(|frames| frames.attach(context).ok()).flatten();
    Attached {
        span: attachment.is_some().then(|| span::enter(span)).flatten(),
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
    /// `None` if its span changed nothing.
    span: Option<span::Entered>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = &self.span {
            span.leave();
        }
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

/// Runs `body` with a value.
#[inline]
pub(super) fn with<R>(key: &'static KeyIdentity, value: Value, body: impl FnOnce() -> R) -> R {
    let ran = CALLS.with(|calls| calls.with(Call { key, value }, body, leave));
    match ran {
        Ok(result) => result,
        Err((Call { key, value }, body)) => with_told(key, value, body),
    }
}

/// The same, when there is no room on the stack.
#[cold]
fn with_told<R>(key: &'static KeyIdentity, value: Value, body: impl FnOnce() -> R) -> R {
    let _scope = Scope(change_and_tell(|frames| enter(frames, key, value)));
    body()
}

/// Runs `body` in a context.
#[inline]
pub(super) fn run<R>(context: Context, body: impl FnOnce() -> R) -> R {
    let span = context.span();
    let _scope = Scope(change_and_tell(|frames| enter_context(frames, context)));
    let _span = InSpan(span::enclose(span));
    body()
}

/// What is current for the time of [`run`].
struct InSpan(span::Enclosed);

impl Drop for InSpan {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Ends with a call of this module.
struct Scope(Option<()>);

impl Drop for Scope {
    fn drop(&mut self) {
        if self.0.is_some() {
            leave();
        }
    }
}

/// Begins a scope. Where there are as many frames as there may be, they are shared without those that are hidden.
fn enter(frames: &mut Frames, key: &'static KeyIdentity, value: Value) {
    let held = Held {
        value,
        shared: None,
    };
    match frames.enter(KeyRef(key), held) {
        // Scopes are closures, so the one to be left is always the innermost.
        Ok(_innermost) => {}
        Err(Full { value: held, .. }) => {
            let next = shared(frames).push_frame(key, held.value);
            enter_context(frames, next);
        }
    }
}

fn enter_context(frames: &mut Frames, context: Context) {
    // There is always room: the store grows.
    let _innermost = frames.enter_base(context);
}

#[cold]
fn leave() {
    change_and_tell(|frames| frames.leave_innermost());
}

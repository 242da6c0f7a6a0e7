//! One thread's handles on the registries it reads.
//!
//! They are found by the registry's number, the one used last first. A handle of a registry that is gone is
//! dropped when the thread makes a handle for another; at most [`MOST`] are kept, and what is used least
//! goes first. On a thread whose locals are gone a handle is made for the one call.
//!
//! What a handle's drop may free is a user's, so no handle is dropped while the list is borrowed.

use super::shared::{Inner, Key, Value};
use crate::process::panic::discard;
use crate::sync::Weak;
use alloc::rc::Rc;
use bedplate_core::registry::Handle;
use core::any::Any;
use core::cell::RefCell;
use foldhash::fast::RandomState;

/// As many handles a thread keeps.
const MOST: usize = 64;

thread_local! {
    static HANDLES: Handles = const { Handles(RefCell::new(Vec::new())) };
}

struct Handles(RefCell<Vec<Kept>>);

struct Kept {
    registry: u64,
    /// Has no value left when the registry is gone.
    presence: Weak<()>,
    handle: Rc<dyn Any>,
}

/// Calls `f` with the thread's handle of a registry.
pub(super) fn with_handle<K: Key, V: Value, R>(
    inner: &Inner<K, V>,
    f: impl FnOnce(&Handle<K, V, RandomState>) -> R,
) -> R {
    let found = HANDLES.try_with(|handles| handles.find(inner.id)).ok();
    let found = found.flatten().and_then(|any| any.downcast().ok());
    let handle: Rc<Handle<K, V, RandomState>> = found.unwrap_or_else(|| {
        let made = Rc::new(inner.core.handle());
        let kept = Kept {
            registry: inner.id,
            presence: inner.presence(),
            handle: made.clone(),
        };
        let superfluous = HANDLES.try_with(|handles| handles.keep(kept));
        superfluous.into_iter().flatten().for_each(discard);
        made
    });
    f(&handle)
}

impl Handles {
    fn find(&self, registry: u64) -> Option<Rc<dyn Any>> {
        let mut kept = self.0.borrow_mut();
        let at = kept.iter().position(|kept| kept.registry == registry)?;
        // One place forward: what is used often comes to be first.
        let to = at.saturating_sub(1);
        kept.swap(at, to);
        Some(kept[to].handle.clone())
    }

    /// Keeps another one; returns those that need not be kept any more.
    fn keep(&self, new: Kept) -> Vec<Kept> {
        let mut kept = self.0.borrow_mut();
        let mut superfluous: Vec<_> = kept
            .extract_if(.., |kept| kept.presence.strong_count() == 0)
            .collect();
        if kept.len() >= MOST {
            superfluous.extend(kept.pop());
        }
        kept.push(new);
        superfluous
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        // One by one: of two destructors that panic at once, the second would abort the process.
        core::mem::take(&mut *self.0.borrow_mut())
            .into_iter()
            .for_each(discard);
    }
}

//! Frames on the stack of whoever calls.
//!
//! # Picture
//!
//! ```text
//!   newest ──▶ node ──▶ node ──▶ (end)       each node lies in the stack frame of one call of `with`,
//!              └ of the innermost call       which has not returned
//! ```
//!
//! A call of [`CallFrames::with`] makes a node, puts it in front, runs its body, and takes it away again. Whoever
//! needs the values elsewhere [takes](CallFrames::take) all nodes out at once; the calls notice when they end.
//!
//! # Invariants
//!
//! 1. What can be reached from `newest` are nodes of calls that have not returned, the innermost first.
//! 2. So when a call ends, its node is the first one, or is none of them: calls within it have ended, and removed
//!    theirs. The second is when all were taken out meanwhile. Should it ever be otherwise (if somebody
//!    changes stacks within a thread), all nodes are let go, which restores the first invariant.

use crate::sync::Cell;
use core::ptr;

/// Values on the caller's stack, one for each call of [`with`](Self::with) that has not returned, and as many as
/// there is room for.
///
/// It belongs to one thread, and neither allocates nor drops anything itself.
///
/// ```
/// use bedplate_core::context::CallFrames;
///
/// let frames = CallFrames::new(2);
/// let sum = || {
///     let mut sum = 0;
///     frames.find(|value| { sum += value; None::<()> });
///     sum
/// };
/// let inner = frames.with(1, || frames.with(20, sum, || ()).ok(), || ());
/// assert_eq!((inner.ok(), sum()), (Some(Some(21)), 0));
/// ```
#[derive(Debug)]
pub struct CallFrames<T> {
    newest: Cell<*const Node<T>>,
    room: Cell<usize>,
}

struct Node<T> {
    value: T,
    older: Cell<*const Node<T>>,
}

impl<T> CallFrames<T> {
    /// None, and room for so many.
    #[must_use]
    pub const fn new(room: usize) -> Self {
        Self {
            newest: Cell::new(ptr::null()),
            room: Cell::new(room),
        }
    }

    /// Runs `body` with `value` in front, until it returns or panics. If the value has been [taken](Self::take) by
    /// then, `taken` is called. O(1).
    ///
    /// # Errors
    /// The arguments, if there is no room; nothing was called.
    #[inline(always)]
    pub fn with<R, F: FnOnce() -> R>(
        &self,
        value: T,
        body: F,
        taken: impl FnMut(),
    ) -> Result<R, (T, F)> {
        let (room, older) = (self.room.get(), self.newest.get());
        let Some(left) = room.checked_sub(1) else {
            return Err((value, body));
        };
        self.room.set(left);
        let node = Node {
            value,
            older: Cell::new(older),
        };
        self.newest.set(&raw const node);
        let _leave = Leave {
            frames: self,
            node: &node,
            before: (room, older),
            taken,
        };
        Ok(body())
    }

    /// Calls `look` with the values, the innermost first, until it finds something. O(values).
    #[inline]
    pub fn find<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let mut next = self.newest.get();
        while !next.is_null() {
            // SAFETY: it was reached from `newest`, so it is of a call that has not returned (invariant 1), and cannot
            // return before this one does; it is only read.
            let node = unsafe { &*next };
            if let Some(found) = look(&node.value) {
                return Some(found);
            }
            next = node.older.get();
        }
        None
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.newest.get().is_null()
    }

    /// Takes all values out and calls `each` with them, the outermost first. There is no more room afterwards than
    /// before. O(values).
    #[inline]
    pub fn take(&self, each: impl FnMut(&T)) {
        if !self.is_empty() {
            self.take_all(each);
        }
    }

    #[cold]
    fn take_all(&self, mut each: impl FnMut(&T)) {
        let mut next = self.newest.replace(ptr::null());
        let mut outermost = ptr::null();
        while !next.is_null() {
            // SAFETY: as in `find`. Nobody else knows of the node any more but its own call, which looks at `older` only
            // if it is in front.
            let node = unsafe { &*next };
            let older = node.older.replace(outermost);
            outermost = next;
            next = older;
        }
        let mut next = outermost;
        while !next.is_null() {
            // SAFETY: as above.
            let node = unsafe { &*next };
            each(&node.value);
            next = node.older.get();
        }
    }

    /// For how many more values there is room.
    #[inline]
    pub fn room(&self) -> usize {
        self.room.get()
    }

    /// Sets for how many more values there is room. Calls whose values have not been taken restore what room there was
    /// before them.
    #[inline]
    pub fn set_room(&self, room: usize) {
        self.room.set(room);
    }
}

/// Ends a call, however it ends.
struct Leave<'a, T, F: FnMut()> {
    frames: &'a CallFrames<T>,
    node: &'a Node<T>,
    /// What was there before, not looked up again: it would be waited for.
    before: (usize, *const Node<T>),
    taken: F,
}

impl<T, F: FnMut()> Drop for Leave<'_, T, F> {
    #[inline(always)]
    fn drop(&mut self) {
        let CallFrames { newest, room } = self.frames;
        if ptr::eq(newest.get(), self.node) {
            let (before, older) = self.before;
            newest.set(older);
            room.set(before);
        } else {
            newest.set(ptr::null());
            (self.taken)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    fn all(frames: &CallFrames<String>) -> Vec<String> {
        let mut all = Vec::new();
        frames.find(|value| {
            all.push(value.clone());
            None::<()>
        });
        all
    }

    #[test]
    fn values_go_with_their_calls_also_in_a_panic() {
        let frames = CallFrames::new(3);
        let unreached = || unreachable!("nothing was taken");
        let caught = catch_unwind(AssertUnwindSafe(|| {
            frames.with(
                String::from("a"),
                || {
                    assert_eq!(all(&frames), ["a"]);
                    frames.with(
                        String::from("b"),
                        || panic!("{:?}", all(&frames)),
                        unreached,
                    )
                },
                unreached,
            )
        }));
        let payload = caught.err().expect("it panics");
        assert_eq!(payload.downcast_ref(), Some(&String::from(r#"["b", "a"]"#)));
        assert!(frames.is_empty() && frames.room() == 3);
    }

    #[test]
    fn calls_whose_values_were_taken_are_told() {
        let frames = CallFrames::new(8);
        let told = Cell::new(0);
        let tell = || told.set(told.get() + 1);
        let outer = frames.with(
            String::from("a"),
            || {
                let inner = frames.with(
                    String::from("b"),
                    || {
                        let mut taken = Vec::new();
                        frames.take(|value| taken.push(value.clone()));
                        assert_eq!(taken, ["a", "b"]);
                        assert!(frames.is_empty());
                        let after = frames.with(String::from("c"), || all(&frames), tell);
                        assert_eq!(after.ok(), Some(std::vec![String::from("c")]));
                        assert_eq!(told.get(), 0);
                    },
                    tell,
                );
                assert!(inner.is_ok() && told.get() == 1);
                assert!(frames.is_empty());
            },
            tell,
        );
        assert!(outer.is_ok() && told.get() == 2);
        // Whoever took them says what room there is.
        assert_eq!(frames.room(), 6);
    }

    #[test]
    fn without_room_nothing_is_called() {
        let frames = CallFrames::new(1);
        let outer = frames.with(
            1,
            || frames.with(2, || (), || ()).map_err(|(value, _)| value),
            || (),
        );
        assert_eq!(outer.ok(), Some(Err(2)));
    }

    /// As if a call ended while one within it goes on, on another stack.
    #[test]
    fn a_call_out_of_order_lets_all_go() {
        let frames = CallFrames::new(8);
        let nodes = [1, 2].map(|value| Node {
            value,
            older: Cell::new(ptr::null()),
        });
        nodes[1].older.set(&raw const nodes[0]);
        frames.newest.set(&raw const nodes[1]);
        drop(Leave {
            frames: &frames,
            node: &nodes[0],
            before: (8, ptr::null()),
            taken: || (),
        });
        assert!(frames.is_empty());
    }
}

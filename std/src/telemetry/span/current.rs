//! Which span a thread is in.
//!
//! Who makes something current keeps what was current before, and restores it at the end; the thread itself has
//! one cell. That is all as long as ends come in the reverse order of beginnings:
//!
//! ```text
//!   current: C          C keeps B          B keeps A          A keeps nothing
//!   end of C: current is C's, so B is restored
//!   end of B, out of order: current is not B's, so it stays; noted: who restores B shall restore A
//!   then the end of C: restores B ── noted ──▶ A
//! ```
//!
//! What belongs to a closure ends with it, whatever is current then.

use super::{MISORDERED, count};
use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent};
use bedplate_core::sample::Choice;
use bedplate_core::span::Place;
use core::cell::{Cell, RefCell};

/// The most ends out of order that are remembered on a thread. Each is forgotten when what it led to is restored; only
/// guards that outlive the closure in which they were made leave any behind.
const MOST_NOTED: usize = 64;

/// A span that others may be begun in: this process's, or another's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ambient {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) choice: Choice,
    pub(super) flags: TraceFlags,
}

impl Ambient {
    pub(crate) const fn traceparent(self) -> TraceParent {
        TraceParent {
            trace_id: self.trace_id,
            parent_id: self.span_id,
            flags: self.flags,
        }
    }

    /// A span of which nothing is known but what stands in a header.
    pub(crate) const fn remote(parent: TraceParent) -> Self {
        Self {
            trace_id: parent.trace_id,
            span_id: parent.parent_id,
            choice: Choice::inherited(parent.flags.has(TraceFlags::SAMPLED)),
            flags: parent.flags,
        }
    }
}

/// What is current.
#[derive(Clone, Copy)]
pub(super) struct Current {
    pub(super) ambient: Option<Ambient>,
    /// Of whoever made it current; zero if nobody did.
    pub(super) token: u64,
    /// Where it is in the thread's table.
    pub(super) place: Option<Place>,
    /// Whether it is a span of this thread, and not one that came with a context.
    pub(super) is_a_span: bool,
}

const NOTHING: Current = Current {
    ambient: None,
    token: 0,
    place: None,
    is_a_span: false,
};

/// Without a destructor, so that it needs not be asked whether it is still there.
struct Local {
    current: Cell<Current>,
    last_token: Cell<u64>,
    /// Whether something is noted in [`NOTED`].
    noted: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            current: Cell::new(NOTHING),
            last_token: Cell::new(0),
            noted: Cell::new(false),
        }
    };
    /// Who has ended out of order, and what is to be restored instead.
    static NOTED: RefCell<Vec<(u64, Current)>> = const { RefCell::new(Vec::new()) };
}

/// The span that is current, if there is one.
#[inline]
pub(crate) fn ambient() -> Option<Ambient> {
    current().ambient
}

#[inline]
pub(super) fn current() -> Current {
    LOCAL.with(|local| local.current.get())
}

/// Something is current until this is left.
#[derive(Debug)]
pub(crate) struct Entered {
    token: u64,
    before: Current,
}

impl core::fmt::Debug for Current {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Current").field(&self.ambient).finish()
    }
}

/// Makes the span of a context current, or none. `None` if that changes nothing.
#[inline]
pub(crate) fn enter(ambient: Option<Ambient>) -> Option<Entered> {
    LOCAL.with(|local| {
        let before = local.current.get();
        if ambient.is_none() && before.ambient.is_none() {
            return None;
        }
        let current = Current {
            ambient,
            token: local.next_token(),
            ..NOTHING
        };
        Some(local.enter(before, current))
    })
}

/// What is current for the time of a closure.
#[derive(Debug)]
pub(crate) struct Enclosed {
    entered: Option<Entered>,
    /// What was current, if that has not changed …
    before: u64,
    /// … and the last token that had been given out.
    last: u64,
}

/// Makes the span of a context current, or none, for the time of a closure.
#[inline]
pub(crate) fn enclose(ambient: Option<Ambient>) -> Enclosed {
    let entered = enter(ambient);
    LOCAL.with(|local| Enclosed {
        entered,
        before: local.current.get().token,
        last: local.last_token.get(),
    })
}

impl Enclosed {
    /// The closure is over: restores what was current before it, whatever is.
    #[inline]
    pub(crate) fn leave(&self) {
        match &self.entered {
            Some(entered) => entered.leave_with_its_closure(),
            None => LOCAL.with(|local| {
                if local.current.get().token > self.last {
                    count(&MISORDERED);
                    local.current.set(Current {
                        token: self.before,
                        ..NOTHING
                    });
                }
            }),
        }
    }
}

/// A name for something that is about to be current on this thread.
#[inline]
pub(super) fn next_token() -> u64 {
    LOCAL.with(Local::next_token)
}

/// Makes a span of this thread current.
#[inline]
pub(super) fn enter_span(
    before: Current,
    token: u64,
    ambient: Ambient,
    place: Option<Place>,
) -> Entered {
    let current = Current {
        ambient: Some(ambient),
        token,
        place,
        is_a_span: true,
    };
    LOCAL.with(|local| local.enter(before, current))
}

impl Local {
    #[inline]
    fn next_token(&self) -> u64 {
        let token = self.last_token.get() + 1;
        self.last_token.set(token);
        token
    }

    #[inline]
    fn enter(&self, before: Current, current: Current) -> Entered {
        self.current.set(current);
        let token = current.token;
        Entered { token, before }
    }
}

impl Entered {
    /// What was current before.
    pub(super) const fn before(&self) -> Option<Ambient> {
        self.before.ambient
    }

    /// Restores what was current before, unless something newer is; then that will.
    #[inline]
    pub(crate) fn leave(&self) {
        LOCAL.with(|local| {
            if local.current.get().token == self.token {
                local.current.set(resolve(local, self.before));
            } else {
                self.note(local);
            }
        });
    }

    /// Restores what was current before, whatever is.
    #[inline]
    pub(super) fn leave_with_its_closure(&self) {
        LOCAL.with(|local| {
            if local.current.get().token != self.token {
                count(&MISORDERED);
            }
            local.current.set(resolve(local, self.before));
        });
    }

    #[cold]
    fn note(&self, local: &Local) {
        count(&MISORDERED);
        let _destroyed = NOTED.try_with(|noted| {
            let Ok(mut noted) = noted.try_borrow_mut() else {
                return;
            };
            if noted.len() == MOST_NOTED {
                noted.remove(0);
            }
            noted.push((self.token, self.before));
            local.noted.set(true);
        });
    }
}

/// What is to be restored in place of `to`.
#[inline]
fn resolve(local: &Local, to: Current) -> Current {
    if local.noted.get() {
        resolve_noted(local, to)
    } else {
        to
    }
}

#[cold]
fn resolve_noted(local: &Local, mut to: Current) -> Current {
    let _destroyed = NOTED.try_with(|noted| {
        let Ok(mut noted) = noted.try_borrow_mut() else {
            return;
        };
        while let Some(at) = noted.iter().position(|(token, _)| *token == to.token) {
            to = noted.remove(at).1;
        }
        local.noted.set(!noted.is_empty());
    });
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::{NonZeroU64, NonZeroU128};
    use proptest::prelude::*;

    fn span(number: u64) -> Ambient {
        Ambient {
            trace_id: TraceId(NonZeroU128::MIN),
            span_id: SpanId(NonZeroU64::new(number).unwrap()),
            choice: Choice::KEEP,
            flags: TraceFlags::SAMPLED,
        }
    }

    proptest! {
        /// Ends in any order: the newest that has not ended is current.
        #[test]
        fn the_newest_open_one_is_current(operations in prop::collection::vec((any::<bool>(), 0..8_usize), 0..40)) {
            let mut open: Vec<(u64, Entered)> = Vec::new();
            for (number, (begins, which)) in (1..).zip(operations) {
                if begins {
                    open.push((number, enter_span(current(), next_token(), span(number), None)));
                } else if !open.is_empty() {
                    // Counted from the newest, as it mostly is.
                    let at = open.len() - 1 - which % open.len();
                    open.remove(at).1.leave();
                }
                let newest = open.last().map(|(number, _)| span(*number));
                prop_assert_eq!(ambient(), newest);
            }
            while let Some((_, entered)) = open.pop() {
                entered.leave();
            }
            prop_assert_eq!(ambient(), None);
            // Nothing is left that nobody would ever restore.
            NOTED.with(|noted| assert!(noted.borrow().is_empty()));
        }
    }

    #[test]
    fn a_closure_ends_what_was_forgotten_in_it() {
        let outer = enter_span(current(), next_token(), span(1), None);
        for ambient_inside in [None, Some(span(9))] {
            let closure = enclose(ambient_inside);
            assert_eq!(ambient(), ambient_inside);
            // And in it one that changes nothing.
            let inner = enclose(ambient_inside);
            let _never_left = enter_span(current(), next_token(), span(2), None);
            inner.leave();
            assert_eq!(ambient(), ambient_inside);
            closure.leave();
            assert_eq!(ambient(), Some(span(1)));
        }
        outer.leave();
        assert_eq!(ambient(), None);
    }
}

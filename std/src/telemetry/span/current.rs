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
//!
//! What is current is kept in words, and moved word by word: a span begins a moment after the last one wrote them, and a
//! processor hands on what was just stored only to a load that asks for no more than that store. Loads of sixteen bytes,
//! which copying a structure becomes, waited for memory five times in each span.

use super::{MISORDERED, count};
use crate::sync::{AtomicU64, Ordering};
use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent};
use bedplate_core::sample::Choice;
use bedplate_core::span::Place;
use core::cell::{Cell, RefCell};
use core::num::{NonZeroU64, NonZeroU128};

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
    /// Whether it is known from a header only, and so may be another process's.
    pub(super) is_remote: bool,
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
            is_remote: true,
        }
    }
}

/// What is current: a span's identity, whoever made it current, and where it is in the thread's table.
#[derive(Clone, Copy)]
pub(super) struct Current {
    /// The trace.
    high: u64,
    low: u64,
    /// The span; zero if none is current.
    span: u64,
    /// See [`Current::new`].
    about: u64,
    /// Of whoever made it current; zero if nobody did.
    pub(super) token: u64,
}

pub(super) const NOTHING: Current = Current {
    high: 0,
    low: 0,
    span: 0,
    about: 0,
    token: 0,
};

/// That it is a span of this thread.
const OWN: u64 = 1 << 16;
/// That it is known from a header only.
const REMOTE: u64 = 1 << 17;

impl Current {
    /// A span of this thread, in this place of its table.
    #[inline]
    pub(super) const fn span_of_thread(ambient: Ambient, token: u64, place: Option<Place>) -> Self {
        let place = match place {
            Some(place) => place.index() as u64 + 1,
            None => 0,
        };
        Self::new(ambient, token, OWN | place << 8)
    }

    /// What is known about it is kept in a word: the choice, whether it was remote, whether it is a span of this thread,
    /// its place and one, its flags.
    ///
    /// ```text
    /// 63         32       17       16 15     8 7      0
    ///     choice      remote   own     place     flags
    /// ```
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the identity is divided into halves"
    )]
    #[inline]
    const fn new(ambient: Ambient, token: u64, own_and_place: u64) -> Self {
        let remote = if ambient.is_remote { REMOTE } else { 0 };
        let trace = ambient.trace_id.0.get();
        Self {
            high: (trace >> 64) as u64,
            low: trace as u64,
            span: ambient.span_id.0.get(),
            about: (ambient.choice.to_bits() as u64) << 32
                | remote
                | own_and_place
                | ambient.flags.to_byte() as u64,
            token,
        }
    }

    #[inline]
    pub(super) fn ambient(self) -> Option<Ambient> {
        Some(Ambient {
            trace_id: TraceId(NonZeroU128::new(
                u128::from(self.high) << 64 | u128::from(self.low),
            )?),
            span_id: self.span_id()?,
            choice: self.choice(),
            flags: self.flags(),
            is_remote: self.is_remote(),
        })
    }

    #[inline]
    pub(super) fn span_id(self) -> Option<SpanId> {
        NonZeroU64::new(self.span).map(SpanId)
    }

    #[inline]
    fn choice(self) -> Choice {
        Choice::from_bits((self.about >> 32) as u32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a byte of the word")]
    #[inline]
    fn flags(self) -> TraceFlags {
        TraceFlags::from_byte(self.about as u8)
    }

    /// Where it is in the thread's table.
    #[expect(clippy::cast_possible_truncation, reason = "a byte of the word")]
    #[inline]
    pub(super) fn place(self) -> Option<Place> {
        ((self.about >> 8) as u8)
            .checked_sub(1)
            .map(Place::from_index)
    }

    /// Whether it is a span of this thread, and not one that came with a context.
    #[inline]
    pub(super) const fn is_a_span(self) -> bool {
        self.about & OWN != 0
    }

    /// Whether it is known from a header only.
    #[inline]
    pub(super) const fn is_remote(self) -> bool {
        self.about & REMOTE != 0
    }
}

/// [`Current`] in a thread's memory. Atomics, so that the words are not put together into longer ones; see the head of
/// this file.
struct Words([AtomicU64; 5]);

impl Words {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 5])
    }

    #[inline]
    fn get(&self) -> Current {
        // Relaxed: the thread's own.
        let [high, low, span, about, token] =
            self.0.each_ref().map(|word| word.load(Ordering::Relaxed));
        Current {
            high,
            low,
            span,
            about,
            token,
        }
    }

    #[inline]
    fn token(&self) -> u64 {
        // Relaxed: the thread's own.
        self.0[4].load(Ordering::Relaxed)
    }

    /// By reference, so that nothing is copied on the way.
    #[inline]
    fn set(&self, to: &Current) {
        let words = [to.high, to.low, to.span, to.about, to.token];
        for (place, word) in self.0.iter().zip(words) {
            // Relaxed: the thread's own.
            place.store(word, Ordering::Relaxed);
        }
    }
}

/// Without a destructor, so that it needs not be asked whether it is still there.
struct Local {
    current: Words,
    last_token: Cell<u64>,
    /// Whether something is noted in [`NOTED`].
    noted: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            current: Words::new(),
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
    current().ambient()
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
        f.debug_tuple("Current").field(&self.ambient()).finish()
    }
}

/// Makes the span of a context current, or none. `None` if that changes nothing.
#[inline]
pub(crate) fn enter(ambient: Option<Ambient>) -> Option<Entered> {
    LOCAL.with(|local| {
        let before = local.current.get();
        if ambient.is_none() && before.span == 0 {
            return None;
        }
        let token = local.next_token();
        let current = match ambient {
            Some(ambient) => Current::new(ambient, token, 0),
            None => Current { token, ..NOTHING },
        };
        local.current.set(&current);
        Some(Entered { token, before })
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
        before: local.current.token(),
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
                if local.current.token() > self.last {
                    count(&MISORDERED);
                    local.current.set(&Current {
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
pub(super) fn enter_span(current: &Current) {
    LOCAL.with(|local| local.current.set(current));
}

impl Local {
    #[inline]
    fn next_token(&self) -> u64 {
        let token = self.last_token.get() + 1;
        self.last_token.set(token);
        token
    }
}

impl Entered {
    /// Restores what was current before, unless something newer is; then that will.
    #[inline]
    pub(crate) fn leave(&self) {
        leave(self.token, &self.before);
    }

    /// Restores what was current before, whatever is.
    #[inline]
    pub(super) fn leave_with_its_closure(&self) {
        leave_with_its_closure(self.token, &self.before);
    }
}

/// What has this token ends: restores what was current before, unless something newer is; then that will.
#[inline]
pub(super) fn leave(token: u64, before: &Current) {
    LOCAL.with(|local| {
        if local.current.token() == token {
            restore(local, before);
        } else {
            note(local, token, *before);
        }
    });
}

/// The closure ends with which this began: restores what was current before, whatever is.
#[inline]
pub(super) fn leave_with_its_closure(token: u64, before: &Current) {
    LOCAL.with(|local| {
        if local.current.token() != token {
            count(&MISORDERED);
        }
        restore(local, before);
    });
}

#[cold]
fn note(local: &Local, token: u64, before: Current) {
    count(&MISORDERED);
    let _destroyed = NOTED.try_with(|noted| {
        let Ok(mut noted) = noted.try_borrow_mut() else {
            return;
        };
        if noted.len() == MOST_NOTED {
            noted.remove(0);
        }
        noted.push((token, before));
        local.noted.set(true);
    });
}

/// Makes this current again, or what is to be restored in place of it.
#[inline]
fn restore(local: &Local, before: &Current) {
    if local.noted.get() {
        restore_noted(local, *before);
    } else {
        local.current.set(before);
    }
}

#[cold]
fn restore_noted(local: &Local, mut to: Current) {
    let _destroyed = NOTED.try_with(|noted| {
        let Ok(mut noted) = noted.try_borrow_mut() else {
            return;
        };
        while let Some(at) = noted.iter().position(|(token, _)| *token == to.token) {
            to = noted.remove(at).1;
        }
        local.noted.set(!noted.is_empty());
    });
    local.current.set(&to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(number: u64) -> Ambient {
        Ambient {
            trace_id: TraceId(NonZeroU128::MIN),
            span_id: SpanId(NonZeroU64::new(number).unwrap()),
            choice: Choice::KEEP,
            flags: TraceFlags::SAMPLED,
            is_remote: false,
        }
    }

    fn begin(number: u64) -> Entered {
        let (token, before) = (next_token(), current());
        enter_span(&Current::span_of_thread(span(number), token, None));
        Entered { token, before }
    }

    proptest! {
        /// Nothing is lost in the words.
        #[test]
        fn words_say_what_is_current(
            trace in 1..=u128::MAX, id in 1..=u64::MAX, weight: f32, flags: u8, is_remote: bool, place in prop::option::of(0..64_u8), token: u64,
        ) {
            let ambient = Ambient {
                trace_id: TraceId(NonZeroU128::new(trace).unwrap()),
                span_id: SpanId(NonZeroU64::new(id).unwrap()),
                choice: Choice::keep(weight),
                flags: TraceFlags::from_byte(flags),
                is_remote,
            };
            let place = place.map(Place::from_index);
            let words = Words::new();
            words.set(&Current::span_of_thread(ambient, token, place));
            let current = words.get();
            prop_assert_eq!((current.ambient(), current.place()), (Some(ambient), place));
            prop_assert_eq!((current.is_a_span(), current.token, words.token()), (true, token, token));
            words.set(&Current::new(ambient, token, 0));
            let current = words.get();
            prop_assert_eq!((current.ambient(), current.place(), current.is_a_span()), (Some(ambient), None, false));
            words.set(&NOTHING);
            prop_assert_eq!((words.get().ambient(), words.get().place(), words.token()), (None, None, 0));
        }

        /// Ends in any order: the newest that has not ended is current.
        #[test]
        fn the_newest_open_one_is_current(operations in prop::collection::vec((any::<bool>(), 0..8_usize), 0..40)) {
            let mut open: Vec<(u64, Entered)> = Vec::new();
            for (number, (begins, which)) in (1..).zip(operations) {
                if begins {
                    open.push((number, begin(number)));
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
        let outer = begin(1);
        for ambient_inside in [None, Some(span(9))] {
            let closure = enclose(ambient_inside);
            assert_eq!(ambient(), ambient_inside);
            // And in it one that changes nothing.
            let inner = enclose(ambient_inside);
            let _never_left = begin(2);
            inner.leave();
            assert_eq!(ambient(), ambient_inside);
            closure.leave();
            assert_eq!(ambient(), Some(span(1)));
        }
        outer.leave();
        assert_eq!(ambient(), None);
    }
}

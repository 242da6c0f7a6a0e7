//! The table of open spans; its protocol is in the head of the [module](super).

use super::OpenSpan;
use crate::clock::Instant;
use crate::context::{SpanId, TraceFlags, TraceId, TraceParent};
use crate::sync::{AtomicBool, AtomicU64, Ordering, array, const_fn, fence};
use core::fmt;
use core::num::{NonZeroU64, NonZeroU128};

/// The spans that one context has open, at most `N` of them, of 1 to 64: written by who holds the [`Opener`], read by
/// anybody at any time. A slot is a cache line of 64 bytes.
///
/// Here where the target has 64-bit atomics.
///
/// # Concurrency
/// Wait-free, by loads and stores, except the claim. What a reader lists was open at a moment within the call, each for
/// itself; one that stayed open throughout is listed once.
///
/// # From interrupts
/// Reading, yes; opening and closing in the one context that holds the opener.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::span::{OpenSpan, OpenSpans};
///
/// static OPEN: OpenSpans<4> = OpenSpans::new();
///
/// let mut opener = OPEN.claim().expect("nobody else opens spans here");
/// let at = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let span = OpenSpan { at, parent_id: None, started: Instant::from_nanos(5), site: 3 };
/// let place = opener.open(&span).expect("there is room for four");
/// assert_eq!(OPEN.iter().collect::<Vec<_>>(), [span]);
/// opener.close(place);
/// assert_eq!(OPEN.iter().count(), 0);
/// # Ok::<(), bedplate_core::context::TraceParentError>(())
/// ```
pub struct OpenSpans<const N: usize> {
    claimed: AtomicBool,
    slots: [Slot; N],
}

const WORDS: usize = 6;

#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Slot {
    /// Odd while a span is open here.
    stamp: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const N: usize> OpenSpans<N> {
    const_fn! {
        /// No span is open.
        #[must_use]
        pub fn new() -> Self {
            const { assert!(N > 0 && N <= 64, "one to sixty-four spans") };
            Self {
                claimed: AtomicBool::new(false),
                slots: array![Slot::new(); N],
            }
        }
    }

    /// The right to open spans, or `None` while somebody holds it. It is given back when dropped, which closes what is
    /// open.
    pub fn claim(&self) -> Option<Opener<'_, N>> {
        // Acquire: go on with the last holder's stamps; pairs with Release in the opener's end [O3].
        // Relaxed on failure: nothing is read.
        let claimed =
            self.claimed
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        claimed.is_ok().then(|| Opener {
            table: self,
            vacant: u64::MAX >> (64 - N),
        })
    }

    /// The spans that are open, in no order. O(`N`).
    pub fn iter(&self) -> impl Iterator<Item = OpenSpan> {
        self.slots.iter().filter_map(Slot::read)
    }
}

impl<const N: usize> Default for OpenSpans<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for OpenSpans<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where a span is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u8);

impl Place {
    /// The place that has this index. Nothing is wrong with one that no table has: nothing is open there.
    #[inline]
    #[must_use]
    pub const fn from_index(index: u8) -> Self {
        Self(index)
    }

    /// Which of the table's: below `N`.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The right to open spans in a table: see [`OpenSpans::claim`].
pub struct Opener<'t, const N: usize> {
    table: &'t OpenSpans<N>,
    /// A bit for each slot in which no span is open.
    vacant: u64,
}

impl<const N: usize> Opener<'_, N> {
    /// Notes that this span is open, until its place is closed. `None`, and nothing is noted, if as many are open as
    /// there is room for. O(1).
    #[inline]
    pub fn open(&mut self, span: &OpenSpan) -> Option<Place> {
        if self.vacant == 0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let at = self.vacant.trailing_zeros() as u8;
        self.vacant &= self.vacant - 1;
        self.table.slots[usize::from(at)].open(span);
        Some(Place(at))
    }

    /// The span of this place is not open any more. Closing a place where none is open does nothing. O(1).
    #[inline]
    pub fn close(&mut self, Place(at): Place) {
        if let Some(slot) = self.table.slots.get(usize::from(at))
            && self.vacant & (1 << at) == 0
        {
            self.vacant |= 1 << at;
            slot.close();
        }
    }

    /// What is open, and where, in no order. O(`N`).
    pub fn iter(&self) -> impl Iterator<Item = (Place, OpenSpan)> {
        let places = (0..).map(Place).zip(&self.table.slots);
        places.filter_map(|(place, slot)| Some((place, slot.read()?)))
    }

    /// How many are open.
    #[must_use]
    pub const fn len(&self) -> usize {
        N - self.vacant.count_ones() as usize
    }

    /// Whether none is open.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<const N: usize> Drop for Opener<'_, N> {
    fn drop(&mut self) {
        for (at, slot) in self.table.slots.iter().enumerate() {
            if self.vacant & (1 << at) == 0 {
                slot.close();
            }
        }
        // Release: the next holder goes on with these stamps; pairs with Acquire in `claim` [O3].
        self.table.claimed.store(false, Ordering::Release);
    }
}

impl<const N: usize> fmt::Debug for Opener<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

impl Slot {
    const_fn! {
        fn new() -> Self {
            Self {
                stamp: AtomicU64::new(0),
                words: array![AtomicU64::new(0); WORDS],
            }
        }
    }

    #[inline]
    fn open(&self, span: &OpenSpan) {
        let words = encode(span);
        // Relaxed: the holder's own, or the last one's, by [O3].
        let stamp = self.stamp.load(Ordering::Relaxed);
        // Release: whoever reads one of these words sees that the last span was closed; pairs with fence(Acquire) in
        // `read` [O2].
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            // Relaxed: published by the stamp.
            place.store(word, Ordering::Relaxed);
        }
        // Release: the words are there; pairs with Acquire in `read` [O1].
        self.stamp.store(stamp.wrapping_add(1), Ordering::Release);
    }

    #[inline]
    fn close(&self) {
        // Relaxed: the holder's own.
        let stamp = self.stamp.load(Ordering::Relaxed);
        // Relaxed: comes before the words of the next span by the fence in `open`.
        self.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
    }

    #[inline]
    fn read(&self) -> Option<OpenSpan> {
        // Acquire: the words of this stamp or later ones; pairs with Release in `open` [O1].
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp.is_multiple_of(2) {
            return None;
        }
        // Relaxed: validated by the second look at the stamp.
        let words = [0, 1, 2, 3, 4, 5].map(|at: usize| self.words[at].load(Ordering::Relaxed));
        // Acquire: had a word been a later span's, the stamp would not be this one; pairs with fence(Release) in
        // `open` [O2].
        fence(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        (self.stamp.load(Ordering::Relaxed) == stamp)
            .then(|| decode(words))
            .flatten()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the identity is divided")]
#[inline]
fn encode(span: &OpenSpan) -> [u64; WORDS] {
    let trace = span.at.trace_id.0.get();
    [
        (trace >> 64) as u64,
        trace as u64,
        span.at.parent_id.0.get(),
        span.parent_id.map_or(0, |id| id.0.get()),
        span.started.as_nanos(),
        u64::from(span.at.flags.to_byte()) << 32 | u64::from(span.site),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "put together from what was divided"
)]
fn decode([high, low, span, parent, started, rest]: [u64; WORDS]) -> Option<OpenSpan> {
    // Neither was zero when it was encoded.
    let trace = NonZeroU128::new(u128::from(high) << 64 | u128::from(low))?;
    Some(OpenSpan {
        at: TraceParent {
            trace_id: TraceId(trace),
            parent_id: SpanId(NonZeroU64::new(span)?),
            flags: TraceFlags::from_byte((rest >> 32) as u8),
        },
        parent_id: NonZeroU64::new(parent).map(SpanId),
        started: Instant::from_nanos(started),
        site: rest as u32,
    })
}

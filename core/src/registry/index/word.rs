//! The two words of the index: what is in a lane, and what a bucket knows of itself.
//!
//! ```text
//! lane, taken   ┌───────┬────────────────────────────────┬────────┬──────────────────────────┐
//!               │   1   │ hash: 34 bits                  │ moving │ slot: 28 bits            │
//!               ├───────┼──────────┬─────────────────────┼────────┼──────────────────────────┤
//! lane, free    │   0   │ level: 6 │ sequence: 28 bits   │   0    │ slot that was here       │
//!               └───────┴──────────┴─────────────────────┴────────┴──────────────────────────┘
//! bucket        ┌──────────────────────┬──────────┬───────────┬───────┬──────────────────────┐
//!               │ version: 40 bits     │ level: 6 │ splitting │ ready │ cursor: 16 bits      │
//!               └──────────────────────┴──────────┴───────────┴───────┴──────────────────────┘
//! ```
//!
//! A free lane's word tells which registration it held last, so that a lane that was used in between does not look
//! untouched; unless the same slot was used 2²⁸ times meanwhile, on a 32-bit target a thousand times, and whoever
//! looked goes on at the end of just such a round. Zero is a lane that was never used, and a bucket that nothing was moved to
//! yet. On a 32-bit target the fields are smaller: see the constants. What is compared when a lane is
//! visited lies above what is not: one comparison tells.

use super::steps::Spot;
use core::hint::select_unpredictable;

const WIDE: bool = usize::BITS == 64;

/// Bits of a slot's number.
pub(super) const SLOT_BITS: u32 = Spot::BITS;
/// Bits of the hash that are kept; as many doublings can there be.
pub(super) const HASH_BITS: u32 = if WIDE { 34 } else { 14 };

const SLOT: usize = (1 << SLOT_BITS) - 1;
const MOVING: usize = 1 << SLOT_BITS;
const TAKEN: usize = 1 << (usize::BITS - 1);
const PLACE_AT: u32 = SLOT_BITS + 1;

const LEVEL_BITS: u32 = if WIDE { 6 } else { 4 };
const LEVEL: usize = (1 << LEVEL_BITS) - 1;
const FREED_LEVEL_AT: u32 = usize::BITS - 1 - LEVEL_BITS;
const SEQUENCE: usize = (1 << (FREED_LEVEL_AT - PLACE_AT)) - 1;

/// With few factors low bits are good for all strides and shifts. Of 500 that were made at random this is the one that is
/// best where it is worst: of 300 to a million integers with 24 strides or 10 shifts, hashed by nothing, FNV, Fx or Fibonacci, no
/// more than 2.6 % are beyond the first six of their bucket (0.6 % of random ones).
const SPREAD: u64 = 0x340f_5859_d592_9ad9;

/// The same for a 32-bit target, up to 10,000 integers, of 10,000 factors: no more than 1 %.
const SPREAD_NARROW: u32 = 0x76d4_d03b;

/// The part of a hash that the index works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(in crate::registry) struct Place(usize);

impl Place {
    /// Spread, since the hasher may be one that leaves bits as they were: buckets are told by the lowest ones.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "half by half, and by the word"
    )]
    pub(in crate::registry) const fn of_hash(hash: u64) -> Self {
        // A half of the product alone has nothing of some bits in its lowest ones.
        let folded = if WIDE {
            let product = hash as u128 * SPREAD as u128;
            (product >> 64) as usize ^ product as usize
        } else {
            let hash = (hash >> 32) as u32 ^ hash as u32;
            let product = hash as u64 * SPREAD_NARROW as u64;
            (product >> 32) as usize ^ product as u32 as usize
        };
        Self(folded & ((1 << HASH_BITS) - 1))
    }

    /// The bucket it belongs to: by as many low bits as there are buckets for, and one fewer if that one
    /// is not there yet.
    #[inline]
    pub(super) fn bucket(self, size: Size) -> usize {
        let bucket = self.0 & size.mask();
        // Neither waits for the other.
        let parent = self.0 & (size.mask() >> 1);
        select_unpredictable(bucket < size.buckets(), bucket, parent)
    }

    /// The bucket it will belong to when there are as many as the next power of two.
    #[inline]
    pub(super) const fn bucket_or_later(self, size: Size) -> usize {
        self.0 & size.mask()
    }

    /// Whether a bucket of this level is its own.
    pub(super) const fn belongs_to(self, bucket: usize, level: u32) -> bool {
        self.0 & ((1 << level) - 1) == bucket
    }

    /// Whether it goes to the new bucket when one of this level splits.
    pub(super) const fn moves_at(self, level: u32) -> bool {
        self.0 >> level & 1 == 1
    }
}

/// Half of a word.
const HALF: u32 = usize::BITS / 2;

/// How many buckets there are, in the upper half; in the lower one the mask of as many bits as number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl Size {
    pub(super) const fn of(buckets: usize) -> Self {
        let mask = buckets.next_power_of_two() - 1;
        Self(buckets << HALF | mask)
    }

    #[inline]
    pub(super) const fn buckets(self) -> usize {
        self.0 >> HALF
    }

    #[inline]
    const fn mask(self) -> usize {
        self.0 & ((1 << HALF) - 1)
    }

    /// As many buckets as were there before the youngest level began.
    #[inline]
    const fn half(self) -> usize {
        1 << self.buckets().ilog2()
    }

    /// The level of one of the buckets.
    pub(super) const fn level_of(self, bucket: usize) -> u32 {
        let half = self.half();
        let is_split = bucket >= half || bucket + half < self.buckets();
        half.ilog2() + is_split as u32
    }

    /// The first bucket behind this one that has another level, or is not there.
    #[inline]
    pub(super) const fn level_end(self, bucket: usize) -> usize {
        let half = self.half();
        let split = self.buckets() - half;
        if bucket < split {
            split
        } else if bucket < half {
            half
        } else {
            self.buckets()
        }
    }
}

/// What is in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Lane(pub(super) usize);

impl Lane {
    pub(super) const PRISTINE: Self = Self(0);

    #[inline]
    pub(in crate::registry) const fn taken(place: Place, slot: Spot) -> Self {
        Self(TAKEN | place.0 << PLACE_AT | slot.to_bits())
    }

    /// What stays when the registration `sequence` of its slot goes: never zero, which is a lane that was not used.
    pub(super) const fn freed(self, sequence: usize) -> Self {
        Self((1 + sequence % SEQUENCE) << PLACE_AT | self.0 & SLOT)
    }

    /// What stays when it has moved in the split of this level: as if by sequence zero, and once.
    pub(super) const fn moved(self, level: u32) -> Self {
        Self((level as usize + 1) << FREED_LEVEL_AT | self.0 & SLOT)
    }

    /// The same free lane, but another word: for the split of this level. `None` if it is that already.
    pub(super) const fn restamped(self, level: u32) -> Option<Self> {
        let stamp = level as usize + 1;
        if self.0 >> FREED_LEVEL_AT & LEVEL >= stamp {
            return None;
        }
        Some(Self(
            self.0 & !(LEVEL << FREED_LEVEL_AT) | stamp << FREED_LEVEL_AT,
        ))
    }

    pub(super) const fn is_taken(self) -> bool {
        self.0 & TAKEN != 0
    }

    pub(super) const fn is_moving(self) -> bool {
        self.0 & MOVING != 0
    }

    pub(super) const fn moving(self) -> Self {
        Self(self.0 | MOVING)
    }

    pub(super) const fn settled(self) -> Self {
        Self(self.0 & !MOVING)
    }

    /// Whether it is taken by an entry with this place.
    #[inline]
    pub(super) const fn is_at(self, place: Place) -> bool {
        self.0 ^ (TAKEN | place.0 << PLACE_AT) < 1 << PLACE_AT
    }

    #[inline]
    pub(in crate::registry) const fn slot(self) -> Spot {
        Spot::from_bits(self.0 & SLOT)
    }

    pub(in crate::registry) const fn place(self) -> Place {
        Place((self.0 & !TAKEN) >> PLACE_AT)
    }
}

const CURSOR_BITS: u32 = if WIDE { 16 } else { 8 };
const READY: usize = 1 << CURSOR_BITS;
const SPLITTING: usize = READY << 1;
const META_LEVEL_AT: u32 = CURSOR_BITS + 2;
const VERSION: usize = 1 << (META_LEVEL_AT + LEVEL_BITS);

/// What a bucket knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(pub(super) usize);

impl Meta {
    /// No lane is the next to be taken.
    pub(super) const NOWHERE: usize = (1 << CURSOR_BITS) - 1;

    pub(super) const UNREADY: Self = Self(0);

    pub(super) const fn ready(level: u32, cursor: usize) -> Self {
        Self(VERSION | (level as usize) << META_LEVEL_AT | READY | cursor)
    }

    pub(super) const fn is_ready(self) -> bool {
        self.0 & READY != 0
    }

    pub(super) const fn is_splitting(self) -> bool {
        self.0 & SPLITTING != 0
    }

    /// Whether the bucket has this level, and is not being split.
    pub(super) const fn is_quiet_at(self, level: u32) -> bool {
        self.is_same_split(Self::ready(level, 0))
    }

    /// Whether no split has begun or ended in between.
    pub(super) const fn is_same_split(self, other: Self) -> bool {
        (self.0 ^ other.0) & (VERSION - READY) == 0
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    pub(super) const fn level(self) -> u32 {
        (self.0 >> META_LEVEL_AT & LEVEL) as u32
    }

    /// The lane that is the next to be taken, counted through the chain; or [`NOWHERE`](Self::NOWHERE).
    pub(super) const fn cursor(self) -> usize {
        self.0 & Self::NOWHERE
    }

    const fn next_version(self) -> Self {
        Self(self.0.wrapping_add(VERSION))
    }

    pub(super) const fn with_cursor(self, cursor: usize) -> Self {
        Self(self.0 & !Self::NOWHERE | cursor).next_version()
    }

    pub(super) const fn begin_split(self) -> Self {
        Self(self.0 | SPLITTING).next_version()
    }

    pub(super) const fn end_split(self, cursor: usize) -> Self {
        let next = self.0 & !SPLITTING & !Self::NOWHERE | cursor;
        Self(next.wrapping_add(1 << META_LEVEL_AT)).next_version()
    }
}

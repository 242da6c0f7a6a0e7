//! The index under [`EpochRegistry`](super::EpochRegistry): from a hash to the slots of its entries.
//!
//! It holds no keys. Slots are the caller's: memory that stays what it is while the index lives, is
//! written while no lane refers to it, and carries a *sequence* by which a reader notices that it was
//! written meanwhile. Reading takes no pin, no lock and no store.
//!
//! # Picture
//! ```text
//! size = 6       bucket 0   1   2   3   4   5            linear hashing: bucket 6 comes next, and takes
//!                                                         its entries from 2 (the parent: without the
//!               ┌──────┬──────┬─────────────────────────┐   highest bit)
//! bucket        │ meta │ link │ lane lane lane lane …   │   one cache line
//!               └──────┴──┬───┴─────────────────────────┘
//!                         └─► overflow bucket: the same, without a meta of its own
//! ```
//! Lanes of a chain are counted through. `meta` has the *cursor*: which lane is the next to be taken.
//!
//! Buckets are reached through a table of groups of some that lie side by side, as long as a power of two. A cell whose group
//! is not there yet leads to that of its parents. So who looks for something takes as many bits of the hash as number the
//! cells, and compares with nothing; only where a group is there in part it may come to a bucket that was not added. The first
//! bucket is alone until it is full; from then on buckets are added by the group.
//!
//! # Paths
//! *Find.* Visit the lanes of the chain; where the hash agrees, read the slot, and then the lane and
//! the slot's sequence again: unchanged, the slot held this entry all the while, and the entry was in the
//! index (the linearization point). Absent everywhere: at some moment it was, since entries change
//! lanes only through being absent, except by a split; therefore the number of buckets is read
//! once more. While a new bucket is not *ready*, its parent's chain is visited before its own. What was found is
//! there whichever bucket that was in; who found nothing in the bucket to which the table led knows that it was the right one
//! if it is ready and the number of buckets is what it was.
//!
//! *Insert.* Read `meta`, the lane under the cursor (free), `meta` again (unchanged); look for the key
//! in the whole chain; then CAS the lane from what it was to the entry: the linearization point. Then
//! move the cursor to another free lane; whoever finds it on a taken lane does that first.
//!
//! *Remove.* CAS the lane to free. If the cursor is still on that lane, move it first.
//!
//! *Replace.* CAS the lane from one slot to another. A reader finds one of them.
//!
//! *Split* of parent `p` of level `k` into `p` and `c = p + 2^k`, by anybody who comes by: (0) mark
//! `meta` *splitting*, so that nobody inserts; (1) change the free word under the cursor, so that nobody
//! who read it before inserts; (2) for each lane with bit `k`: mark it *moving*, so that nobody
//! removes or replaces it; copy it to the same lane of `c`'s chain, from zero; free it; (3) make `c`
//! ready; (4) raise `p`'s level. Every step may be done by several at once, and late.
//!
//! # Why it holds
//! * **One key, one lane.** An insertion can only take the lane under the cursor, and the cursor leaves
//!   a lane only when that is taken (so: it is not freed under the cursor). Reading it free between
//!   two equal `meta`s and later changing it from that very word proves that no insertion into the
//!   chain came in between, so what was not there when the chain was visited is not there now. Words
//!   of free lanes do not come back: see [`word`].
//! * **No late step of a split does harm.** An entry with bit `k` never comes to `p` again, so neither
//!   do the words that (2) exchanges; a lane of `c` is zero only once; `meta` has a version.
//! * **Nothing is hidden while it moves**: copied before it is freed, read in that order.
//! * **Nothing is removed twice or from another**: slots are used again only by who owned them, and
//!   not while a lane refers to them.
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | I1 | a step of an array is set, CAS Release | its load, Acquire | the array is initialised |
//! | I2 | a lane is taken or replaced, CAS Release | load of a lane, Acquire | the slot's content is visible |
//! | I3 | a lane is freed or moved, CAS Release | load of a lane, Acquire | what the holder did before; that the copy is in its place; that the buckets are more |
//! | I4 | `meta` changes, CAS Release | its load, Acquire | lanes and levels are at least as they were then |
//! | I5 | `size` grows, CAS Release | its load, Acquire | the bucket's step is there |
//! | I6 | a link is set, CAS Release | its load, Acquire | the overflow bucket's step is there |
//! | I7 | a flat table and its length are set, Release | their loads, Acquire | the table is initialised and as long as said |
//! | I8 | a group is put into its cell, Release | load of a cell, Acquire | the group's step is there |
//!
//! # Limits
//! A chain has no more lanes than a cursor can name, and there are only so many overflow buckets: an insertion
//! that needs one more is refused. A split must not be refused once it has begun; it may need as many overflow
//! buckets as its parent has. Therefore insertions get half of them only, and when these are used up no bucket
//! is split any more that has one: all splits under way together need no more than there are in their
//! parents' chains, which are the other half.
//!
//! Literature: W. Litwin, *Linear hashing* (VLDB 1980). The protocol is our own.

mod compare;
mod direct;
mod find;
mod split;
mod steps;
mod walk;
mod witness;
mod word;

use crate::sync::zeroed::Zeroed;
use crate::sync::{AtomicUsize, BUCKET_LANES, Ordering};
use compare::Masks;
pub(in crate::registry) use direct::{Fetched, LaneRef, fetch};
use find::look;
pub(in crate::registry) use find::{Found, Pending, Sequence, Slots};
use steps::{Flat, GROUP};
pub(in crate::registry) use steps::{LONGEST, Spot, Steps};
pub(in crate::registry) use walk::Walk;
pub(in crate::registry) use witness::Witness;
use word::{HASH_BITS, Meta, Size};
pub(in crate::registry) use word::{Lane, Place};

/// How many overflow buckets there are for insertions. Splits may have as many again.
const MOST_OVERFLOW: usize = LONGEST / 2;

/// Entries for each bucket, before there are more buckets. Overflow is what nobody can predict; where memory is dearer than
/// that, there is more of it.
const LOAD: usize = if BUCKET_LANES > 2 && usize::BITS == 32 {
    3
} else {
    2
};

/// As long as a cache line, or half of one where words are half as long.
#[repr(C)]
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(32)))]
struct Bucket {
    meta: AtomicUsize,
    /// The overflow bucket's spot plus one, or zero. Set once.
    link: AtomicUsize,
    lanes: [AtomicUsize; BUCKET_LANES],
}

// SAFETY: three fields of atomics.
unsafe impl Zeroed for Bucket {
    fn zeroed() -> Self {
        Self {
            meta: AtomicUsize::zeroed(),
            link: AtomicUsize::zeroed(),
            lanes: Zeroed::zeroed(),
        }
    }
}

/// Why nothing was inserted.
pub(in crate::registry) enum Refused<T> {
    /// There is one that matches.
    Present(Found<T>),
    /// There are too many entries of almost the same hash: the chain is as long as it may be, or there are no
    /// overflow buckets left.
    Crowded,
}

pub(in crate::registry) struct Index {
    /// How many buckets there are. Only grows.
    size: AtomicUsize,
    buckets: Flat<Bucket>,
    overflow: Steps<Bucket>,
    /// How many overflow buckets were ever handed out.
    overflowed: AtomicUsize,
    /// One that was handed out and not linked, plus one.
    unlinked: AtomicUsize,
}

impl Index {
    pub(in crate::registry) fn new() -> Self {
        let buckets = Flat::<Bucket>::new();
        // Relaxed: not shared yet.
        buckets
            .ensure(0)
            .meta
            .store(Meta::ready(0, 0).0, Ordering::Relaxed);
        Self {
            size: AtomicUsize::new(Size::of(1).0),
            buckets,
            overflow: Steps::new(),
            overflowed: AtomicUsize::new(0),
            unlinked: AtomicUsize::new(0),
        }
    }

    /// Puts `slot` at `place`, unless there is an entry that matches. Returns whether the bucket is
    /// full, so that [`grow`](Self::grow) is advisable.
    pub(in crate::registry) fn insert<S: Slots>(
        &self,
        place: Place,
        slot: Spot,
        slots: S,
        witness: &mut impl Witness,
    ) -> Result<bool, Refused<S::Seen>> {
        loop {
            let (number, head, seen) = self.head_to_change(place);
            if seen.is_splitting() {
                self.split(number, seen.level());
                continue;
            }
            let cursor = seen.cursor();
            let open = match cursor {
                Meta::NOWHERE => None,
                cursor => {
                    let Some(lane) = self.lane(head, cursor) else {
                        unreachable!("a cursor points into the chain")
                    };
                    let word = load(lane);
                    if meta(head) != seen {
                        continue;
                    }
                    (!word.is_taken()).then_some((lane, word))
                }
            };
            let survey = match self.survey(head, place, cursor, slots) {
                Ok(survey) => survey,
                Err(found) => return Err(Refused::Present(found)),
            };
            let Some((lane, word)) = open else {
                // Nobody can insert until the cursor has moved on.
                let spare = match survey.spare {
                    Some(spare) => spare,
                    None if survey.length >= Meta::NOWHERE - BUCKET_LANES => {
                        return Err(Refused::Crowded);
                    }
                    None if !self.append(survey.last, MOST_OVERFLOW) => {
                        return Err(Refused::Crowded);
                    }
                    None => survey.length,
                };
                Self::exchange_meta(head, seen, seen.with_cursor(spare));
                continue;
            };
            witness.changing();
            // Release: publish the slot; pairs with Acquire in `load` [I2].
            // Relaxed on failure: everything is read afresh.
            let taken = lane.compare_exchange(
                word.0,
                Lane::taken(place, slot).0,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                let next = survey.spare.unwrap_or(Meta::NOWHERE);
                Self::exchange_meta(head, seen, seen.with_cursor(next));
                return Ok(survey.spare.is_none() || cursor >= BUCKET_LANES);
            }
        }
    }

    /// Frees the lane of an entry, the registration `sequence` of its slot. Returns whether it was still
    /// there; another slot may have replaced it.
    pub(in crate::registry) fn remove(
        &self,
        entry: Lane,
        sequence: usize,
        witness: &mut impl Witness,
    ) -> bool {
        self.exchange(entry, entry.freed(sequence), witness)
    }

    /// Puts another slot in the place of an entry. Returns whether that was still there.
    pub(in crate::registry) fn replace(
        &self,
        entry: Lane,
        slot: Spot,
        witness: &mut impl Witness,
    ) -> bool {
        self.exchange(entry, Lane::taken(entry.place(), slot), witness)
    }

    /// Exchanges the lane of an entry for itself, so that whoever changes it afterwards sees what was done
    /// before. Returns whether it was still there.
    pub(in crate::registry) fn confirm(&self, entry: Lane) -> bool {
        self.exchange(entry, entry, &mut ())
    }

    /// Whether the lane of an entry still refers to its slot.
    pub(in crate::registry) fn contains(&self, entry: Lane) -> bool {
        let there = self.in_chain(entry.place(), |head| self.position(head, entry));
        there.is_some()
    }

    /// Bytes of the buckets there are, overflow included.
    pub(in crate::registry) fn bytes(&self) -> usize {
        // Relaxed: counts.
        let buckets = Size(self.size.load(Ordering::Relaxed)).buckets()
            + self.overflowed.load(Ordering::Relaxed);
        buckets * size_of::<Bucket>()
    }

    #[inline]
    fn size(&self) -> Size {
        // Acquire: the buckets' steps are there; pairs with Release in `add_bucket` [I5].
        Size(self.size.load(Ordering::Acquire))
    }

    /// Whether a place still belongs to a bucket, judged after its lanes were read.
    #[inline]
    fn is_still(&self, number: usize, place: Place) -> bool {
        // Relaxed: the lanes were loaded with Acquire; whoever moved an entry out of them had seen the
        // size grow [I3].
        place.bucket(Size(self.size.load(Ordering::Relaxed))) == number
    }

    fn exchange(&self, entry: Lane, next: Lane, witness: &mut impl Witness) -> bool {
        loop {
            let (number, head, _) = self.head_to_change(entry.place());
            let Some((position, lane)) = self.position(head, entry) else {
                if self.is_still(number, entry.place()) {
                    return false;
                }
                continue;
            };
            let seen = meta(head);
            if load(lane).is_moving() {
                // If the split is over by now, its level is not the next one's.
                if seen.is_splitting() {
                    self.split(number, seen.level());
                }
                continue;
            }
            if !next.is_taken() && !seen.is_splitting() && seen.cursor() == position {
                // A lane is not freed under the cursor.
                let spare = self.spare(head, position);
                Self::exchange_meta(head, seen, seen.with_cursor(spare));
                continue;
            }
            witness.changing();
            // Release: publish the slot [I2], or hand on what was done before [I3]; pairs with Acquire
            // in `load`. Acquire: whoever claimed the slot before has marked it; pairs with Release of an
            // exchange of a lane for itself [S4]. Relaxed on failure: it is read afresh.
            let done = lane.compare_exchange(entry.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
            if done.is_ok() {
                return true;
            }
        }
    }

    /// Where an entry is in its chain, if it is; it may be moving.
    #[inline]
    fn position<'i>(&'i self, head: &'i Bucket, entry: Lane) -> Option<(usize, &'i AtomicUsize)> {
        head.guess(entry).or_else(|| {
            let mut lanes = self.lanes(head).enumerate();
            lanes.find(|(_, lane)| load(lane).settled() == entry)
        })
    }

    /// The bucket of `place`, ready to be changed, and what it knew of itself.
    #[inline(always)]
    fn head_to_change(&self, place: Place) -> (usize, &Bucket, Meta) {
        loop {
            let number = place.bucket(self.size());
            let head = self.bucket(number);
            let seen = meta(head);
            if !seen.is_ready() {
                self.split(parent(number), number.ilog2());
            } else if place.belongs_to(number, seen.level()) {
                return (number, head, seen);
            }
        }
    }

    /// Visits the whole chain: for an entry that matches, and for a free lane beside the cursor.
    fn survey<'i, S: Slots>(
        &'i self,
        head: &'i Bucket,
        place: Place,
        cursor: usize,
        slots: S,
    ) -> Result<Survey<'i>, Found<S::Seen>> {
        let mut survey = Survey {
            spare: None,
            length: 0,
            last: head,
        };
        for bucket in self.chain(head) {
            let Masks {
                mut free,
                mut matching,
            } = bucket.masks(place);
            while let Some(lane) = bucket.lanes.get(matching.trailing_zeros() as usize) {
                if let Some(found) = look(lane, |word| word.is_at(place), slots) {
                    return Err(found);
                }
                matching &= matching - 1;
            }
            if survey.spare.is_none() {
                let under_cursor = cursor.wrapping_sub(survey.length);
                if under_cursor < BUCKET_LANES {
                    free &= !(1 << under_cursor);
                }
                survey.spare = (free != 0).then(|| survey.length + free.trailing_zeros() as usize);
            }
            survey.length += BUCKET_LANES;
            survey.last = bucket;
        }
        Ok(survey)
    }

    /// A free lane of the chain that is not `except`.
    fn spare(&self, head: &Bucket, except: usize) -> usize {
        let mut lanes = self.lanes(head).enumerate();
        let spare = lanes.find(|&(position, lane)| position != except && !load(lane).is_taken());
        spare.map_or(Meta::NOWHERE, |(position, _)| position)
    }

    /// A bucket with a number below the size, or one that was added on this thread.
    #[inline]
    fn bucket(&self, number: usize) -> &Bucket {
        // SAFETY: buckets are ensured before `size` says that they are there [I5], which says so of one after
        // another, and of none again that is not.
        unsafe { self.buckets.at(number) }
    }

    /// The bucket of a place when there were so many, told without a comparison; or one behind the last, in its group,
    /// which was not ready then.
    #[inline(always)]
    fn bucket_or_parent(&self, place: Place, size: Size) -> &Bucket {
        // SAFETY: as in `bucket`; what a mask leaves is less than the next power of two.
        unsafe { self.buckets.near(place.bucket_or_later(size)) }
    }

    /// As [`bucket`](Self::bucket), with those that lie behind it, a few.
    #[inline]
    fn run(&self, number: usize) -> &[Bucket] {
        // SAFETY: as in `bucket`.
        unsafe { self.buckets.run(number) }
    }

    /// The overflow bucket behind this one.
    #[inline]
    fn next(&self, bucket: &Bucket) -> Option<&Bucket> {
        // Acquire: the bucket's step is there; pairs with Release in `append` [I6].
        let spot = bucket.link.load(Ordering::Acquire).checked_sub(1)?;
        self.overflow.at(Spot::from_bits(spot))
    }

    /// The buckets of a chain; each link is read after what the caller does with the bucket before.
    fn chain<'i>(&'i self, head: &'i Bucket) -> impl Iterator<Item = &'i Bucket> {
        let mut last: Option<&Bucket> = None;
        core::iter::from_fn(move || {
            last = match last {
                None => Some(head),
                Some(bucket) => self.next(bucket),
            };
            last
        })
        .fuse()
    }

    /// The lanes of a chain.
    fn lanes<'i>(&'i self, head: &'i Bucket) -> impl Iterator<Item = &'i AtomicUsize> {
        self.chain(head).flat_map(|bucket| &bucket.lanes)
    }

    /// A lane of the chain, by its number.
    fn lane<'i>(&'i self, head: &'i Bucket, number: usize) -> Option<&'i AtomicUsize> {
        let bucket = self.chain(head).nth(number / BUCKET_LANES)?;
        Some(&bucket.lanes[number % BUCKET_LANES])
    }

    /// Links an overflow bucket behind `last`, unless somebody else does. Returns whether there was one left, if
    /// there may be `most`.
    fn append(&self, last: &Bucket, most: usize) -> bool {
        // Relaxed, here and below: a number; its bucket is reached through `ensure` [I1].
        let number = match self.unlinked.swap(0, Ordering::Relaxed) {
            0 => {
                let next = |number| (number < most).then_some(number + 1);
                self.overflowed
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            }
            number => Ok(number - 1),
        };
        let Ok(number) = number else {
            return false;
        };
        self.overflow.ensure(number);
        // Release: the bucket's step is there; pairs with Acquire in `next` [I6].
        // Relaxed on failure: the chain is visited afresh.
        let linked = last.link.compare_exchange(
            0,
            Spot::of(number).to_bits() + 1,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if linked.is_err() {
            // Relaxed: as above. Should another be waiting there, that one stays unused.
            self.unlinked.swap(number + 1, Ordering::Relaxed);
        }
        true
    }

    /// Whether there are no overflow buckets left but for the splits under way.
    fn is_used_up(&self) -> bool {
        // Relaxed: a count.
        self.overflowed.load(Ordering::Relaxed) >= MOST_OVERFLOW
    }

    /// Changes `meta` from what it was; otherwise somebody else has changed it, which is as good.
    fn exchange_meta(bucket: &Bucket, from: Meta, to: Meta) {
        // Release: lanes and levels are as they are now; pairs with Acquire in `meta` [I4].
        // Relaxed on failure: it is read afresh.
        let _ = bucket
            .meta
            .compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed);
    }
}

struct Survey<'i> {
    /// A free lane that is not under the cursor.
    spare: Option<usize>,
    /// How many lanes there are.
    length: usize,
    last: &'i Bucket,
}

fn meta(bucket: &Bucket) -> Meta {
    // Acquire: lanes and levels are at least as they were then; pairs with Release in
    // `exchange_meta` [I4].
    Meta(bucket.meta.load(Ordering::Acquire))
}

#[inline]
fn load(lane: &AtomicUsize) -> Lane {
    // Acquire: the slot's content is visible [I2], and what was done before the lane was freed [I3];
    // pairs with Release where a lane is exchanged.
    Lane(lane.load(Ordering::Acquire))
}

/// Where the entries of a bucket are until it is split off: the number without its highest bit.
const fn parent(bucket: usize) -> usize {
    bucket & !(1 << bucket.ilog2())
}

#[cfg(test)]
mod tests;

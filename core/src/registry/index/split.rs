//! How the index grows: one bucket at a time, by whoever comes by. See [`index`](super).

use super::{Bucket, GROUP, HASH_BITS, Index, LOAD, LONGEST, Lane, Meta, Size, load, meta, parent};
use crate::sync::{AtomicUsize, Ordering};

/// How many buckets there can be at most: each is a hash's low bits. Where words are wide, some are left
/// over to tell the entries of a bucket apart.
const MOST_BUCKETS: usize = 1
    << if usize::BITS == 64 {
        HASH_BITS - 6
    } else {
        HASH_BITS - 1
    };

impl Index {
    /// Adds buckets, a few at most and whole groups, if `entries` are too many for those there are.
    pub(in crate::registry) fn grow(&self, entries: usize) {
        for _ in 0..16 {
            let size = self.size().buckets();
            // By the group: who comes to a bucket beside the last one, that was not added, has to look further.
            let is_enough = entries / LOAD <= size && size.is_multiple_of(GROUP);
            if is_enough || size >= MOST_BUCKETS {
                return;
            }
            let is_long = self.next(self.bucket(parent(size))).is_some();
            if is_long && self.is_used_up() {
                return; // The split could need more.
            }
            self.add_bucket(size);
        }
    }

    /// Adds bucket number `new`, unless there is one already or something has to be done first, which
    /// is then done.
    pub(super) fn add_bucket(&self, new: usize) {
        let (level, old) = (new.ilog2(), parent(new));
        let seen = meta(self.bucket(old));
        if !seen.is_ready() {
            return self.split(parent(old), old.ilog2());
        }
        if seen.level() < level {
            return self.split(old, seen.level());
        }
        self.buckets.ensure(new);
        // Release: the bucket's step is there; pairs with Acquire where `size` is loaded [I5].
        // Relaxed on failure: somebody else added it.
        let added = self.size.compare_exchange(
            Size::of(new).0,
            Size::of(new + 1).0,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if added.is_ok() {
            self.split(old, level);
        }
    }

    /// Splits bucket `old` of this level, or helps, or finds that it is done. The new bucket has been
    /// added.
    pub(super) fn split(&self, old: usize, level: u32) {
        let new = old | 1 << level;
        debug_assert!(new < self.size().buckets(), "split before it was added");
        let (from, to) = (self.bucket(old), self.bucket(new));
        let seen = loop {
            let seen = meta(from);
            if seen.level() != level {
                return;
            }
            if seen.is_splitting() {
                break seen;
            }
            Self::exchange_meta(from, seen, seen.begin_split());
        };
        if seen.cursor() != Meta::NOWHERE
            && let Some(lane) = self.lane(from, seen.cursor())
        {
            restamp(lane, level);
        }
        for (position, lane) in self.lanes(from).enumerate() {
            self.move_lane(lane, to, position, level);
        }
        if !meta(to).is_ready() {
            let cursor = self.spare(to, Meta::NOWHERE);
            Self::exchange_meta(to, Meta::UNREADY, Meta::ready(level + 1, cursor));
        }
        let seen = meta(from);
        if seen.level() == level && seen.is_splitting() {
            let cursor = self.spare(from, Meta::NOWHERE);
            Self::exchange_meta(from, seen, seen.end_split(cursor));
        }
    }

    /// Moves what is in a lane to the same lane of the new bucket, if that is where it belongs.
    fn move_lane(&self, lane: &AtomicUsize, to: &Bucket, position: usize, level: u32) {
        loop {
            let word = load(lane);
            if !word.is_taken() || !word.place().moves_at(level) {
                return;
            }
            if !word.is_moving() {
                exchange(lane, word, word.moving());
                continue;
            }
            let target = loop {
                match self.lane(to, position) {
                    Some(target) => break target,
                    None => {
                        let last = self.chain(to).last().unwrap_or(to);
                        assert!(self.append(last, LONGEST), "kept for splits; see `Limits`");
                    }
                }
            };
            exchange(target, Lane::PRISTINE, word.settled());
            exchange(lane, word, word.moved(level));
            return;
        }
    }
}

/// Changes the word of a free lane, so that no insertion that read it before succeeds.
fn restamp(lane: &AtomicUsize, level: u32) {
    loop {
        let word = load(lane);
        if word.is_taken() {
            return;
        }
        let Some(stamped) = word.restamped(level) else {
            return;
        };
        exchange(lane, word, stamped);
    }
}

/// Changes a lane from what it was; otherwise somebody else has changed it, which is as good.
fn exchange(lane: &AtomicUsize, from: Lane, to: Lane) {
    // Acquire and Release: hand on the slot's content, which came with `from` [I2], and that the copy
    // is in its place and the buckets are more [I3]; pairs with Acquire in `load`.
    // Relaxed on failure: it is read afresh.
    let _ = lane.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed);
}

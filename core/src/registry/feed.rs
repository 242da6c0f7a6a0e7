//! The feed: the latest changes of a registry, in a ring, for whoever follows them.
//!
//! ```text
//!            number 9    10    11    12                   capacity 4
//! slots      ┌─────┐┌─────┐┌─────┐┌─────┐
//!            │  ·  ││  ·  ││  ·  ││  ·  │                 pointers to nodes: swapped in,
//!            └──┬──┘└──┬──┘└──┬──┘└──┬──┘                 and the older one retired
//!               9     10      7     12
//!                             │      └─ "nothing": the attempt failed
//!                             └─ number 11 is taken, and its change may or may not have been made
//! ```
//!
//! A node goes into the slot of its number, after its change took effect, over whatever is older. If there
//! is a younger one, or numbers a ring further on have been taken meanwhile, it comes *too late*: followers
//! may have given it up, and listed the registry before the change took effect. All it can do is to say
//! so, in a node with a new number: whoever lists the registry after having been told so sees the change.
//!
//! Nobody waits. A number whose slot has an older node is *pending*: a follower comes to it again later; or,
//! if numbers a ring further on have been taken, the follower gives it up and goes on with the oldest one
//! that is left. Of a writer that finds itself in time and a follower that finds it too late, the
//! follower sees the change when it lists the registry afterwards [F2].
//!
//! # Where a follower begins
//! With the first number that is pending, or the next one. Of what came before, everything took effect
//! before it looked [F1, F2], so that a list made afterwards has it; and what comes too late will be told
//! as lost, under a later number.
//!
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | F1 | a node is exchanged into its slot, AcqRel | a slot, Acquire | the node's content; that its change took effect |
//! | F2 | the change, fence(SeqCst), the last number | the last number, fence(SeqCst), the registry | too late for the writer, or seen by the follower |

use super::epoch::{Guard, Shared};
use super::stored::sealed;
use super::tally::Retired;
use super::watch::{Change, Draft, Watch};
use super::{Key, Stored};
use crate::sync::epoch;
use crate::sync::{AtomicPtr, Ordering, exclusively, fence};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ptr;

/// What a follower is told.
#[non_exhaustive]
pub enum News<'g, K: Stored, V: Stored> {
    /// A name has changed.
    Change(Change<'g, K, V>),
    /// Whatever had these numbers cannot be told: it was overwritten before this follower came to it, or
    /// had to be left out because whoever made the change was suspended for so long, or was unwinding after a
    /// panic in an audit or a `clone`. All of it took effect before a list that is made now, unless it will be told again, as a change or as a loss.
    Lost {
        /// The first number.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// Somebody is in the middle of a change. What comes after it will be told when it was made, or a
    /// capacity of changes later. Asking again at once is of little use.
    Pending,
}

impl<K, V> fmt::Debug for News<'_, K, V>
where
    K: Stored<Borrowed: fmt::Debug>,
    V: Stored<Borrowed: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => f.debug_tuple("Change").field(change).finish(),
            Self::Lost { from, to } => f
                .debug_struct("Lost")
                .field("from", from)
                .field("to", to)
                .finish(),
            Self::Pending => f.write_str("Pending"),
        }
    }
}

/// A follower of a registry's changes; see [`Guard::changes`].
///
/// # Concurrency
/// Lock-free: it skips numbers that stand for nothing, each of which is an attempt that failed because
/// another succeeded. Followers do not know of each other, and no change waits for them.
///
/// To have a copy of a registry and keep it, follow first and list then:
///
/// ```
/// use bedplate_core::id::{Pid, PidAllocator};
/// use bedplate_core::registry::{Changes, EpochRegistry, Guard, News};
/// use std::collections::HashMap;
/// use std::hash::RandomState;
///
/// type Copy = HashMap<String, (Pid, u32)>;
///
/// fn list(guard: &Guard<'_, String, u32, RandomState>) -> Copy {
///     guard.iter().map(|entry| (entry.key().to_owned(), (entry.owner(), *entry.value()))).collect()
/// }
///
/// /// Call it again and again.
/// fn follow(
///     changes: &mut Changes<String, u32, RandomState>,
///     guard: &Guard<'_, String, u32, RandomState>,
///     copy: &mut Copy,
/// ) {
///     while let Some(news) = changes.next(guard) {
///         match news {
///             News::Change(change) if change.reason.is_end() => {
///                 copy.remove(change.key);
///             }
///             News::Change(change) => {
///                 copy.insert(change.key.to_owned(), (change.owner, *change.value));
///             }
///             News::Lost { .. } => {
///                 changes.skip(guard);
///                 *copy = list(guard);
///             }
///             _ => break, // pending
///         }
///     }
/// }
///
/// let registry = EpochRegistry::<String, u32, _>::builder(RandomState::new()).feed(64)?.build();
/// let mut pids = PidAllocator::new(10);
/// let handle = registry.handle();
/// let (mut db, mut web) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
/// db.register(&handle.pin(), "db".to_owned(), 1)?;
///
/// let guard = handle.pin();
/// let mut changes = guard.changes().expect("there is a feed");
/// let mut copy = list(&guard);
/// assert_eq!(copy["db"], (db.pid(), 1));
/// web.register(&guard, "web".to_owned(), 2)?;
/// db.update(&guard, "db", |value| value + 10)?;
/// follow(&mut changes, &guard, &mut copy);
/// assert_eq!((copy["web"], copy["db"]), ((web.pid(), 2), (db.pid(), 11)));
/// drop(db);
/// follow(&mut changes, &guard, &mut copy);
/// assert!(!copy.contains_key("db"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Changes<K: Stored, V: Stored, S> {
    shared: Arc<Shared<K, V, S>>,
    /// The number to look at next.
    next: usize,
}

impl<K: Key, V: Stored, S> Guard<'_, K, V, S> {
    /// Follows the registry's changes from now on; `None` if it was built without a
    /// [`feed`](super::Builder::feed). What took effect before is in a list made afterwards; of what
    /// happens meanwhile, some may be in both. O(capacity).
    #[must_use]
    pub fn changes(&self) -> Option<Changes<K, V, S>> {
        let (watch, feed) = self.shared.feed()?;
        Some(Changes {
            next: feed.first_open(watch, self.epoch()),
            shared: Arc::clone(self.shared),
        })
    }
}

impl<K: Key, V: Stored, S> Changes<K, V, S> {
    /// What happened next; `None` if nothing did.
    ///
    /// # Panics
    /// If the guard is another registry's.
    pub fn next<'g>(&mut self, guard: &'g Guard<'_, K, V, S>) -> Option<News<'g, K, V>> {
        let (watch, feed) = self.checked(guard)?;
        feed.next(watch, guard.epoch(), &mut self.next)
    }

    /// Leaves out what has happened so far; of what is happening now, some may still be told. O(capacity).
    ///
    /// # Panics
    /// If the guard is another registry's.
    pub fn skip(&mut self, guard: &Guard<'_, K, V, S>) {
        if let Some((watch, feed)) = self.checked(guard) {
            self.next = feed.first_open(watch, guard.epoch());
        }
    }

    fn checked<'g>(&self, guard: &'g Guard<'_, K, V, S>) -> Option<Watched<'g, K, V>> {
        assert!(
            Arc::ptr_eq(&self.shared, guard.shared),
            "a guard was used with the follower of another registry"
        );
        guard.shared.feed()
    }
}

impl<K: Stored, V: Stored, S> fmt::Debug for Changes<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

pub(super) type Watched<'w, K, V> = (&'w Watch<K, V>, &'w Feed<K, V>);

impl<K: Stored, V: Stored, S> Shared<K, V, S> {
    pub(super) fn feed(&self) -> Option<Watched<'_, K, V>> {
        let watch = self.watch.as_deref()?;
        Some((watch, watch.feed.as_ref()?))
    }
}

/// What is in a slot.
pub(super) struct Node<K: Stored, V: Stored> {
    number: usize,
    what: What<K, V>,
}

enum What<K: Stored, V: Stored> {
    Change(Copied<K, V>),
    /// The attempt failed.
    Nothing,
    /// The change of this number came too late for its slot, or cannot be told.
    Lost(usize),
}

/// A change with words of its own.
struct Copied<K: Stored, V: Stored>(Draft<K, V>);

impl<K: Stored, V: Stored> Drop for Copied<K, V> {
    fn drop(&mut self) {
        let Draft { key, value, .. } = self.0;
        // So that the one is freed if the other's destructor panics.
        let _value = Owned::<V>(value);
        drop(Owned::<K>(key));
    }
}

/// Words that belong to nobody else.
struct Owned<T: Stored>(T::Words);

impl<T: Stored> Owned<T> {
    /// Where the words are, for whoever keeps them.
    fn into_words(self) -> T::Words {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl<T: Stored> Drop for Owned<T> {
    fn drop(&mut self) {
        if <T as sealed::Stored>::words_own(&self.0) {
            // SAFETY: made by `clone_words`, owned by this alone, and dropped once.
            drop(unsafe { <T as sealed::Stored>::from_words(self.0) });
        }
    }
}

fn copy<T: Stored + Clone>(words: &T::Words) -> T::Words {
    // SAFETY: whoever makes a node is pinned since before it read the words, or owns them.
    unsafe { <T as sealed::Stored>::clone_words(words) }
}

pub(super) struct Feed<K: Stored, V: Stored> {
    /// As many as a power of two.
    slots: Box<[AtomicPtr<Node<K, V>>]>,
    copy_key: fn(&K::Words) -> K::Words,
    copy_value: fn(&V::Words) -> V::Words,
}

impl<K: Stored, V: Stored> Feed<K, V> {
    /// The capacity is no more than [`LARGEST_FEED`](super::LARGEST_FEED).
    pub(super) fn new(capacity: usize) -> Self
    where
        K: Clone,
        V: Clone,
    {
        Self {
            slots: (0..capacity.next_power_of_two())
                .map(|_| AtomicPtr::new(ptr::null_mut()))
                .collect(),
            copy_key: copy::<K>,
            copy_value: copy::<V>,
        }
    }

    /// How much it may be, without what changes own.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * (size_of::<AtomicPtr<Node<K, V>>>() + size_of::<Node<K, V>>())
    }

    /// A node for a change, to be given a number.
    pub(super) fn node(&self, draft: &Draft<K, V>) -> Box<Node<K, V>> {
        let key = Owned::<K>((self.copy_key)(&draft.key));
        let value = Owned::<V>((self.copy_value)(&draft.value));
        let draft = Draft {
            key: key.into_words(),
            value: value.into_words(),
            ..*draft
        };
        Box::new(Node {
            number: 0,
            what: What::Change(Copied(draft)),
        })
    }

    /// A node for a change of which nothing is told but that it was made.
    pub(super) fn loss() -> Box<Node<K, V>> {
        let what = What::Lost(0);
        Box::new(Node { number: 0, what })
    }

    /// Tells of a change that was made.
    pub(super) fn publish(
        &self,
        watch: &Watch<K, V>,
        pin: &epoch::Guard,
        retired: &Arc<Retired>,
        mut number: usize,
        mut node: Box<Node<K, V>>,
    ) {
        if let What::Lost(lost) = &mut node.what {
            *lost = number;
        }
        loop {
            node.number = number;
            let is_put = self.put(pin, retired, node);
            // SeqCst: either this sees that it is too late, or whoever gives the number up sees the change;
            // pairs with the fence in `give_up_before` [F2].
            fence(Ordering::SeqCst);
            if is_put && !is_before(number, self.oldest(watch.newest())) {
                return;
            }
            node = Box::new(Node {
                number,
                what: What::Lost(number),
            });
            number = watch.take_number();
        }
    }

    /// Tells that a number stands for nothing.
    pub(super) fn publish_nothing(
        &self,
        pin: &epoch::Guard,
        retired: &Arc<Retired>,
        number: usize,
    ) {
        let what = What::Nothing;
        self.put(pin, retired, Box::new(Node { number, what }));
    }

    /// Puts a node into its slot, unless there is a younger one.
    fn put(&self, pin: &epoch::Guard, retired: &Arc<Retired>, node: Box<Node<K, V>>) -> bool {
        let number = node.number;
        let slot = self.slot(number);
        let node = Box::into_raw(node);
        // Acquire: the node's content; pairs with Release below [F1].
        let mut there = slot.load(Ordering::Acquire);
        loop {
            // SAFETY: a node in a slot is retired after it was taken out of it, and one is pinned.
            if unsafe { there.as_ref() }.is_some_and(|there| is_before(number, there.number)) {
                // SAFETY: just made from a box, and nobody has seen it.
                drop(unsafe { Box::from_raw(node) });
                return false;
            }
            // Release: publish the node, and what its change did; pairs with Acquire where a slot is
            // loaded. Acquire: the content of what is retired; pairs with this [F1].
            match slot.compare_exchange(there, node, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    retire(pin, retired, there);
                    return true;
                }
                Err(now) => there = now,
            }
        }
    }

    fn slot(&self, number: usize) -> &AtomicPtr<Node<K, V>> {
        &self.slots[number & (self.slots.len() - 1)]
    }

    fn look<'g>(&self, number: usize, _: &'g epoch::Guard) -> Option<&'g Node<K, V>> {
        // Acquire: the node's content, and what its change did; pairs with Release in `put` [F1].
        let node = self.slot(number).load(Ordering::Acquire);
        // SAFETY: retired after it was taken out of the slot, and one is pinned as long as it is seen.
        unsafe { node.as_ref() }
    }

    /// The oldest number that is not too late, if `newest` is taken.
    const fn oldest(&self, newest: usize) -> usize {
        newest.wrapping_sub(self.slots.len()).wrapping_add(1)
    }

    /// The first number of which it is not known that its change was made, if one was.
    fn first_open(&self, watch: &Watch<K, V>, pin: &epoch::Guard) -> usize {
        let newest = watch.newest();
        let oldest = self.give_up_before(newest);
        let mut numbers = (0..self.slots.len()).map(|at| oldest.wrapping_add(at));
        let is_open = |&number: &usize| match self.look(number, pin) {
            Some(there) => is_before(there.number, number),
            // Before the first one there was none.
            None => number != 0 && number <= newest,
        };
        numbers.find(is_open).unwrap_or(newest.wrapping_add(1))
    }

    /// The oldest number that is not too late.
    fn give_up_before(&self, newest: usize) -> usize {
        // SeqCst: either this follower sees what had a number before, or whoever has it sees that it is too
        // late; pairs with the fence in `publish` [F2].
        fence(Ordering::SeqCst);
        self.oldest(newest)
    }

    /// What is at or behind `next`, which is moved on.
    fn next<'g>(
        &self,
        watch: &Watch<K, V>,
        pin: &'g epoch::Guard,
        next: &mut usize,
    ) -> Option<News<'g, K, V>>
    where
        K: 'g,
        V: 'g,
    {
        loop {
            let number = *next;
            if let Some(node) = self.look(number, pin)
                && node.number == number
            {
                *next = number.wrapping_add(1);
                return Some(match &node.what {
                    What::Change(copied) => News::Change(copied.0.change(number as u64)),
                    What::Nothing => continue,
                    What::Lost(lost) => News::Lost {
                        from: *lost as u64,
                        to: *lost as u64,
                    },
                });
            }
            let newest = watch.newest();
            if is_before(newest, number) {
                return None;
            }
            if !is_before(number, self.oldest(newest)) {
                return Some(News::Pending);
            }
            let oldest = self.give_up_before(newest);
            *next = oldest;
            return Some(News::Lost {
                from: number as u64,
                to: oldest.wrapping_sub(1) as u64,
            });
        }
    }
}

/// Whether one number comes before another, also where they begin again.
const fn is_before(one: usize, other: usize) -> bool {
    one != other && other.wrapping_sub(one) <= isize::MAX as usize
}

/// Drops a node that was taken out of its slot, once nobody can see it.
fn retire<K: Stored, V: Stored>(pin: &epoch::Guard, retired: &Arc<Retired>, node: *mut Node<K, V>) {
    // SAFETY: it was in a slot until now, and one is pinned since before.
    let Some(there) = (unsafe { node.as_ref() }) else {
        return;
    };
    let owned = match &there.what {
        What::Change(Copied(Draft { key, value, .. })) => {
            <K as sealed::Stored>::bytes_owned(key) + <V as sealed::Stored>::bytes_owned(value)
        }
        What::Nothing | What::Lost(_) => 0,
    };
    let bytes = size_of::<Node<K, V>>() + owned;
    retired.add(bytes);
    let retired = Arc::clone(retired);
    let free = move || {
        retired.subtract(bytes);
        // SAFETY: made from a box, and taken out of its slot once.
        drop(unsafe { Box::from_raw(node) });
    };
    // SAFETY: the closure may run on any thread (keys and values are `Send` wherever a registry is
    // shared), and only uses what it owns.
    unsafe { pin.defer_unchecked(free) };
}

impl<K: Stored, V: Stored> Drop for Feed<K, V> {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            let node = exclusively(slot);
            if !node.is_null() {
                // SAFETY: made from a box, and in no other slot; exclusively held.
                drop(unsafe { Box::from_raw(node) });
            }
        }
    }
}

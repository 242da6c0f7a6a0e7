//! The lock-free hash table under [`EpochRegistry`](super::EpochRegistry): a split-ordered list.
//!
//! # Picture
//! All entries form *one* list, sorted by their hash with the bits reversed. The buckets are only
//! short cuts into it: a bucket points to a *sentinel* node that stands before all entries of the
//! bucket. Because bits are reversed, doubling the number of buckets moves no entry: the entries
//! of bucket `b` that belong to the new bucket `b + size` are already at the end of `b`'s run, and
//! all it takes is another sentinel between them.
//!
//! ```text
//! buckets   0           1 (of 2)              now 4: bucket 2 splits 0's run
//!           ▼           ▼                     0       2       1
//!          [S0]─►e─►e─►[S1]─►e─►e─►∎         [S0]─►e─►[S2]─►e─►[S1]─►e─►e─►∎
//!
//! node     ┌───────┬──────────────┬───────────────────────────────────┐
//!          │ order │ next ⋮ mark  │ entry: owner, serial, key, value  │  (a sentinel has none)
//!          └───────┴──────────────┴───────────────────────────────────┘
//! ```
//!
//! # Paths
//! *Find*: from the bucket's sentinel along the list until `order` is passed. Readers step over
//! marked nodes and write nothing. A bucket without a sentinel is read through its parent's.
//!
//! *Insert*: search, unlinking marked nodes on the way; an entry of the same key refuses; else CAS
//! the new node in **behind all nodes of the same order**. Two inserts of one key therefore CAS the
//! same link, and one of them fails and searches again. The CAS is the linearization point.
//!
//! *Remove*: set the mark in the node's own `next` (the linearization point; it also freezes the
//! link, so that nothing can be inserted behind a removed node), then search once, which unlinks it
//! unless somebody else has.
//!
//! *Replace*: give the new node the old one's successor, then CAS the old one's `next` from that to the
//! new node *with the mark*. One word removes the old and links the new behind it, so a reader finds
//! one of them and never neither or both (the linearization point).
//!
//! ```text
//!  ─►[old]─►[behind]      ─►[old]⋮─►[new]─►[behind]      ─►[new]─►[behind]
//!                            marked                         unlinked
//! ```
//!
//! Whoever's CAS unlinks a node retires it, exactly once; it is freed when no guard that could have
//! seen it is left. Sentinels and bucket arrays stay until the table goes.
//!
//! # Invariants
//! * N1: a node reached through the table under a guard of the table's collector is not freed while
//!   the guard lives.
//! * N2: a marked node's `next` never changes again.
//! * N3: of several unmarked nodes with one key at most one is in the list.
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | R1 | a link is set, CAS Release | every load of a link, Acquire | the node behind it is initialised |
//! | R2 | a bucket or segment is set, CAS Release | its load, Acquire | the sentinel or array is initialised |
//! | R3 | mark, fetch_or or CAS Release | load of `next`, Acquire | what the remover did before is visible to whoever sees the key free |
//!
//! Literature: O. Shalev, N. Shavit, *Split-ordered lists: lock-free extensible hash tables* (JACM
//! 2006); M. Michael, *High performance dynamic lock-free hash tables and list-based sets* (SPAA
//! 2002) for the list; T. Harris (DISC 2001) for the mark.

mod buckets;

use super::Serial;
use crate::id::Pid;
use crate::sync::epoch::{Atomic, Guard, Owned, Shared, unprotected};
use crate::sync::{AtomicUsize, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use buckets::{INITIAL_BUCKETS, SEGMENTS, Segment};
use core::mem;

/// The mark in a node's `next`: the node is removed.
const REMOVED: usize = 1;

/// What a registration is, as far as the table is concerned.
pub(super) struct Content<K, V> {
    pub(super) owner: Pid,
    pub(super) serial: Serial,
    pub(super) key: K,
    pub(super) value: V,
}

struct Node<K, V> {
    order: usize,
    next: Atomic<Node<K, V>>,
    content: Option<Content<K, V>>,
}

/// Where a key belongs: its bucket (by the low bits) and its place in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    hash: usize,
}

impl Place {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is as good a hash"
    )]
    pub(super) const fn of_hash(hash: u64) -> Self {
        Self {
            hash: hash as usize,
        }
    }

    /// The place of an entry with this order. The order does not keep the highest bit of the hash,
    /// and the place does not need it.
    const fn of_order(order: usize) -> Self {
        Self {
            hash: (order & !1).reverse_bits(),
        }
    }

    /// Odd, so that it lies strictly between sentinels.
    const fn order(self) -> usize {
        self.hash.reverse_bits() | 1
    }
}

pub(super) struct Table<K, V> {
    segments: [Atomic<Segment<K, V>>; SEGMENTS],
    /// How many buckets are in use: a power of two that only grows.
    buckets: AtomicUsize,
    len: AtomicUsize,
    /// Nodes that were unlinked and not yet freed. In an allocation of its own, since what was deferred
    /// counts here while the table is being dropped.
    retired: Arc<AtomicUsize>,
}

/// An insertion that did not take place: its content, and the entry it conflicts with, unless the
/// table was full.
pub(super) struct Refused<'g, K, V> {
    pub(super) content: Content<K, V>,
    pub(super) conflict: Option<&'g Content<K, V>>,
}

impl<K, V> Node<K, V> {
    fn with(place: Place, content: Content<K, V>) -> Owned<Self> {
        Owned::new(Self {
            order: place.order(),
            next: Atomic::null(),
            content: Some(content),
        })
    }

    fn key(&self) -> Option<&K> {
        self.content.as_ref().map(|content| &content.key)
    }

    /// The content of a node made [`with`](Self::with) one, which did not come into the list.
    fn content(node: Owned<Self>) -> Content<K, V> {
        match node.into_box().content {
            Some(content) => content,
            None => unreachable!("only sentinels are without"),
        }
    }
}

/// Where a search ended: the link in which a new node belongs, and what is in it now.
struct Gap<'g, K, V> {
    link: &'g Atomic<Node<K, V>>,
    current: Shared<'g, Node<K, V>>,
}

enum Found<'g, K, V> {
    Present(&'g Node<K, V>, &'g Content<K, V>),
    Absent(Gap<'g, K, V>),
}

impl<K, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self {
            segments: core::array::from_fn(|_| Atomic::null()),
            buckets: AtomicUsize::new(INITIAL_BUCKETS),
            len: AtomicUsize::new(0),
            retired: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// How many entries there are: those whose insertion was counted and whose removal was not.
    pub(super) fn len(&self) -> usize {
        // Relaxed: a count, nothing is read through it.
        self.len.load(Ordering::Relaxed)
    }

    /// Nodes that were removed and wait until no guard can see them.
    pub(super) fn retired(&self) -> usize {
        // Relaxed: a count, nothing is read through it.
        self.retired.load(Ordering::Relaxed)
    }

    /// Bytes of one node.
    pub(super) const fn node_size() -> usize {
        size_of::<Node<K, V>>()
    }

    /// The entry at `place` that `matches`.
    pub(super) fn find<'g>(
        &'g self,
        place: Place,
        guard: &'g Guard,
        mut matches: impl FnMut(&Content<K, V>) -> bool,
    ) -> Option<&'g Content<K, V>> {
        let mut next = &self.nearest_sentinel(place.hash, guard)?.next;
        loop {
            // Acquire: the node behind the link is initialised; pairs with Release where a link is
            // set [R1]. And if the node before it was removed, what its holder did before is
            // visible; pairs with Release in `remove` [R3].
            let node = deref(next.load(Ordering::Acquire, guard))?;
            if node.order > place.order() {
                return None;
            }
            if node.order == place.order()
                && let Some(content) = &node.content
                && matches(content)
                // Relaxed: for an entry that is there, this is the linearization point of the
                // look-up, and R1 has made it visible. One that is marked is stepped over, and the
                // load that does so is an Acquire [R3].
                && node.next.load(Ordering::Relaxed, guard).tag() != REMOVED
            {
                return Some(content);
            }
            next = &node.next;
        }
    }

    /// Puts `content` at `place` unless an entry there `conflicts`, or the table has `limit` entries.
    pub(super) fn insert<'g>(
        &'g self,
        place: Place,
        content: Content<K, V>,
        limit: usize,
        guard: &'g Guard,
        mut conflicts: impl FnMut(&Content<K, V>, &K) -> bool,
    ) -> Result<&'g Content<K, V>, Refused<'g, K, V>> {
        // Looked for first without an allocation and without counting: a refusal leaves no trace.
        if let Some(other) = self.find(place, guard, |other| conflicts(other, &content.key)) {
            return Err(Refused {
                content,
                conflict: Some(other),
            });
        }
        let counted = Counted::new(&self.len);
        if counted.before >= limit {
            return Err(Refused {
                content,
                conflict: None,
            });
        }
        let start = self.sentinel(place.hash, guard);
        let mut node = Node::with(place, content);
        loop {
            let gap = match self.search(start, place.order(), guard, |other| {
                node.key().is_some_and(|key| conflicts(other, key))
            }) {
                Found::Present(_, other) => {
                    return Err(Refused {
                        content: Node::content(node),
                        conflict: Some(other),
                    });
                }
                Found::Absent(gap) => gap,
            };
            // Relaxed: nobody else sees the node yet; published by the exchange below.
            node.next.store(gap.current, Ordering::Relaxed);
            // Release: publish the node; pairs with Acquire where a link is loaded [R1].
            // Relaxed on failure: the search starts again and loads afresh.
            match gap.link.compare_exchange(
                gap.current,
                node,
                Ordering::Release,
                Ordering::Relaxed,
                guard,
            ) {
                Ok(made) => {
                    self.grow_if_crowded(counted.keep());
                    match deref(made).and_then(|node| node.content.as_ref()) {
                        Some(content) => return Ok(content),
                        None => unreachable!("made with a content"),
                    }
                }
                Err(failed) => node = failed.new,
            }
        }
    }

    /// Puts `content` in the place of the entry at `place` that `matches`, and returns that one; or
    /// gives the content back if there is none.
    pub(super) fn replace<'g>(
        &'g self,
        place: Place,
        content: Content<K, V>,
        guard: &'g Guard,
        mut matches: impl FnMut(&Content<K, V>, &K) -> bool,
    ) -> Result<&'g Content<K, V>, Content<K, V>> {
        let start = self.sentinel(place.hash, guard);
        let mut node = Node::with(place, content);
        loop {
            let mut search = || {
                self.search(start, place.order(), guard, |other| {
                    node.key().is_some_and(|key| matches(other, key))
                })
            };
            let Found::Present(old, replaced) = search() else {
                return Err(Node::content(node));
            };
            // Acquire: the node behind is initialised, since the new one will lead to it; pairs
            // with Release where a link is set [R1].
            let behind = old.next.load(Ordering::Acquire, guard);
            if behind.tag() == REMOVED {
                continue; // It has just been removed or replaced; look again.
            }
            // Relaxed: nobody else sees the node yet; published by the exchange below.
            node.next.store(behind, Ordering::Relaxed);
            // Release: publish the node [R1], and hand on what was done under this name; pairs with
            // Acquire where a link is loaded [R3].
            // Relaxed on failure: the search starts again and loads afresh.
            match old.next.compare_exchange(
                behind,
                node.with_tag(REMOVED),
                Ordering::Release,
                Ordering::Relaxed,
                guard,
            ) {
                Ok(_) => {
                    // Unlinks the old one, unless somebody else has: the first look stops at the
                    // new one, which is behind it.
                    let _ = self.search(start, place.order(), guard, |_| false);
                    return Ok(replaced);
                }
                Err(failed) => node = failed.new.with_tag(0),
            }
        }
    }

    /// Removes the entry at `place` that `matches`; whether there was one.
    pub(super) fn remove(
        &self,
        place: Place,
        guard: &Guard,
        mut matches: impl FnMut(&Content<K, V>) -> bool,
    ) -> bool {
        let start = self.sentinel(place.hash, guard);
        let Found::Present(node, _) = self.search(start, place.order(), guard, &mut matches) else {
            return false;
        };
        // Release: hand on what was done under this name; pairs with Acquire where a key is found
        // free [R3]. Acquire is not needed: nothing is read through the old value.
        if node.next.fetch_or(REMOVED, Ordering::Release, guard).tag() == REMOVED {
            return false; // Somebody else removed it in between.
        }
        // Relaxed: a count.
        self.len.fetch_sub(1, Ordering::Relaxed);
        // Unlinks it, unless somebody else did.
        let _ = self.search(start, place.order(), guard, matches);
        true
    }

    /// All entries, in the order of the list.
    pub(super) fn iter<'g>(&'g self, guard: &'g Guard) -> Contents<'g, K, V> {
        let first = self.nearest_sentinel(0, guard);
        Contents {
            next: first.map(|sentinel| &sentinel.next),
            guard,
        }
    }

    /// Walks from `start` to the end of `order`, unlinking removed nodes on the way.
    fn search<'g>(
        &'g self,
        start: &'g Node<K, V>,
        order: usize,
        guard: &'g Guard,
        mut matches: impl FnMut(&Content<K, V>) -> bool,
    ) -> Found<'g, K, V> {
        'restart: loop {
            let mut link = &start.next;
            // Acquire: the node behind the link is initialised; pairs with Release where a link is
            // set [R1].
            let mut current = link.load(Ordering::Acquire, guard);
            loop {
                let Some(node) = deref(current) else {
                    return Found::Absent(Gap { link, current });
                };
                // Acquire: as above [R1]; and if it is marked, what the remover did before is
                // visible; pairs with Release in `remove` [R3].
                let next = node.next.load(Ordering::Acquire, guard);
                if next.tag() == REMOVED {
                    let next = next.with_tag(0);
                    // Release: publish the node behind, which `next` names, anew from this link;
                    // pairs with Acquire where a link is loaded [R1].
                    // Relaxed on failure: the link changed, or its node was removed; start again.
                    if link
                        .compare_exchange(
                            current,
                            next,
                            Ordering::Release,
                            Ordering::Relaxed,
                            guard,
                        )
                        .is_err()
                    {
                        continue 'restart;
                    }
                    self.retire(current, guard);
                    current = next;
                    continue;
                }
                if node.order > order {
                    return Found::Absent(Gap { link, current });
                }
                if node.order == order
                    && let Some(content) = &node.content
                    && matches(content)
                {
                    return Found::Present(node, content);
                }
                link = &node.next;
                current = next;
            }
        }
    }

    /// Hands an unlinked node to the collector.
    fn retire(&self, node: Shared<'_, Node<K, V>>, guard: &Guard) {
        // Relaxed: a count.
        self.retired.fetch_add(1, Ordering::Relaxed);
        let retired = Arc::as_ptr(&self.retired);
        let node = node.as_raw().cast_mut();
        let free = move || {
            // SAFETY: the collector is dropped, and with it the last deferred call run, before the
            // table that owns the counter (the order of the fields of `Shared` in `epoch.rs`).
            let retired = unsafe { &*retired };
            // Relaxed: a count. Before the node is dropped, since a destructor may panic.
            retired.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: made by `Owned::new`, a `Box`; unlinked and retired exactly once, by the one
            // thread whose exchange unlinked it; and no guard that could have seen it is left.
            drop(unsafe { Box::from_raw(node) });
        };
        // SAFETY: the closure may run on any thread (keys and values are `Send` wherever a table
        // is shared), and only uses what outlives the collector, as said within.
        unsafe { guard.defer_unchecked(free) };
    }
}

impl<K, V> Drop for Table<K, V> {
    fn drop(&mut self) {
        // SAFETY: nobody else reaches the table any more, and no guard of it is left.
        let guard = unsafe { unprotected() };
        // Relaxed, here and below: exclusive access, acquired by whoever drops the table.
        let mut next = self.segments[0].load(Ordering::Relaxed, guard);
        // SAFETY: exclusive access; a segment that is set is initialised.
        let head = unsafe { next.as_ref() }.map(|segment| &segment.buckets[0]);
        let mut node = head.map_or(Shared::null(), |cell| cell.load(Ordering::Relaxed, guard));
        while !node.is_null() {
            // SAFETY: every node still in the list, marked or not, was made by `Owned::new`, is
            // linked from exactly one node, and was not retired: retired nodes are unlinked.
            let owned = unsafe { node.into_owned() };
            // Relaxed: as above.
            node = owned.next.load(Ordering::Relaxed, guard).with_tag(0);
        }
        for slot in &mut self.segments {
            next = mem::replace(slot, Atomic::null()).load(Ordering::Relaxed, guard);
            if !next.is_null() {
                // SAFETY: exclusive access; a segment is made by `Owned::new` and freed only here.
                drop(unsafe { next.into_owned() });
            }
        }
    }
}

/// One entry counted before it is visible, so that their number never exceeds the limit and every
/// entry that is found was counted. Not counted after all if dropped, also by a key that panics.
struct Counted<'a> {
    len: &'a AtomicUsize,
    before: usize,
}

impl<'a> Counted<'a> {
    fn new(len: &'a AtomicUsize) -> Self {
        // Relaxed: a count.
        Self {
            len,
            before: len.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The entry is there to stay; how many there are with it.
    fn keep(self) -> usize {
        mem::ManuallyDrop::new(self).before + 1
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // Relaxed: a count.
        self.len.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The entries of a table; see [`Table::iter`].
pub(super) struct Contents<'g, K, V> {
    next: Option<&'g Atomic<Node<K, V>>>,
    guard: &'g Guard,
}

impl<'g, K, V> Iterator for Contents<'g, K, V> {
    type Item = (Place, &'g Content<K, V>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Acquire: the node behind the link is initialised; pairs with Release where a link is
            // set [R1].
            let node = deref(self.next?.load(Ordering::Acquire, self.guard));
            self.next = node.map(|node| &node.next);
            let node = node?;
            if let Some(content) = &node.content
                // Relaxed: as in `find`.
                && node.next.load(Ordering::Relaxed, self.guard).tag() != REMOVED
            {
                return Some((Place::of_order(node.order), content));
            }
        }
    }
}

/// The node or segment behind a pointer loaded from the table under the guard of `'g`.
fn deref<'g, T>(pointer: Shared<'g, T>) -> Option<&'g T> {
    // SAFETY: the pointer was loaded with Acquire from a link, cell or slot, so what it points to is
    // initialised [R1, R2]; the guard keeps it from being freed (N1); nobody has it mutably.
    unsafe { pointer.with_tag(0).as_ref() }
}

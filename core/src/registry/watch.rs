//! What a registry tells of its changes, if anybody wants to know: numbers, the audit, the feed.
//!
//! # Numbers
//! Every change takes a number *between* reading the lane it is about to exchange and exchanging it. That
//! the exchange succeeds proves that nothing came in between, so the numbers of one key are in the order
//! of its changes: whoever changes a key later has read what the earlier one left, and then takes its
//! number. For that, words of lanes must not come back between the two: those of free lanes never do, one's
//! own registration is changed by nobody else but by being replaced, and another's is claimed first
//! (see [`slab`](super::slab)). Changes of different keys are numbered in some order.
//!
//! If the exchange fails, the number stands for nothing, and the next attempt takes another one.
//!
//! Entries that are registered together take effect by the exchange of their leader's word (see
//! [`slab::pending`](super::slab)), and take their numbers directly before that, when all of them have their lanes:
//! whoever changes one of the keys afterwards has read that word first.
//!
//! ```text
//! read the lane ─► copy key and value ─► take a number ─► exchange the lane ─┬─► feed, then audit
//!                                              ▲                            │
//!                                              └──── "nothing" ◄── it failed ┘
//! ```
//!
//! # What it costs
//! Where nothing is watched, one branch for each change, on a plain word that never changes. Otherwise a
//! pin, a counter that all changes share, a copy, and an exchange of a pointer.

use super::epoch::Shared;
use super::feed::{Feed, Node};
use super::index::Witness;
use super::stored::sealed;
use super::tally::Retired;
use super::{Registration, Stored};
use crate::id::Pid;
use crate::sync::epoch::{Guard, LazyPin};
use crate::sync::{AtomicUsize, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

/// Something that happened to a name in an [`EpochRegistry`](super::EpochRegistry).
#[non_exhaustive]
pub struct Change<'c, K: Stored, V: Stored> {
    /// Which one it is. Numbers begin with 1 and grow; those of one key are in the order in which its
    /// changes took effect. Some stand for nothing.
    ///
    /// On a 32-bit target, they begin again after four thousand million.
    pub number: u64,
    /// What happened.
    pub reason: Reason,
    /// The key.
    pub key: &'c K::Borrowed,
    /// The value that it has now, or had last.
    pub value: &'c V::Borrowed,
    /// Who holds it now, or held it last.
    pub owner: Pid,
    /// The registration that there is now, or was last.
    pub registration: Registration,
}

/// What happened to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was free.
    Registered,
    /// Its holder has given it another value.
    Updated,
    /// Its holder has given it up.
    Unregistered,
    /// Its holder is gone.
    OwnerDied,
    /// Another took it.
    TakenOver {
        /// From this one.
        from: Pid,
    },
    /// Its holder has given it to another.
    GivenAway {
        /// This was the holder.
        from: Pid,
    },
}

impl Reason {
    /// Whether the name is free afterwards.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Unregistered | Self::OwnerDied)
    }
}

impl<K: Stored, V: Stored> Clone for Change<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Change<'_, K, V> {}

impl<K, V> fmt::Debug for Change<'_, K, V>
where
    K: Stored<Borrowed: fmt::Debug>,
    V: Stored<Borrowed: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("number", &self.number)
            .field("reason", &self.reason)
            .field("key", &self.key)
            .field("value", &self.value)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Called for every change by whoever made it.
pub(super) type Audit<K, V> = Box<dyn Fn(&Change<'_, K, V>) + Send + Sync>;

/// Whoever wants to know.
pub(super) struct Watch<K: Stored, V: Stored> {
    /// The last number taken.
    numbers: AtomicUsize,
    audit: Option<Audit<K, V>>,
    pub(super) feed: Option<Feed<K, V>>,
}

impl<K: Stored, V: Stored> Watch<K, V> {
    /// `None` if nobody wants to know.
    pub(super) fn new(audit: Option<Audit<K, V>>, feed: Option<Feed<K, V>>) -> Option<Box<Self>> {
        if audit.is_none() && feed.is_none() {
            return None;
        }
        Some(Box::new(Self {
            numbers: AtomicUsize::new(0),
            audit,
            feed,
        }))
    }

    /// The last number taken.
    pub(super) fn newest(&self) -> usize {
        // Relaxed: whoever knows of a change, by a lane or by the feed, comes after it took its number.
        self.numbers.load(Ordering::Relaxed)
    }

    pub(super) fn take_number(&self) -> usize {
        // Relaxed: of two changes of one key, the lane orders the second behind the first [I2, I3].
        self.numbers.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

impl<K: Stored, V: Stored, S> Shared<K, V, S> {
    /// Makes a change that somebody wants to know of, and tells the feed. Returns what the audit is to be
    /// told, when whoever made it has noted it.
    #[cold]
    pub(super) fn watched<T, E>(
        &self,
        watch: &Watch<K, V>,
        pin: &LazyPin<'_>,
        draft: Draft<K, V>,
        telling: Telling,
        change: impl FnOnce(&mut Ticket<'_, K, V>) -> Result<T, E>,
    ) -> Result<(T, ToTell<K, V>), E> {
        let mut ticket = self.ticket(watch, pin.guard(), draft, telling);
        let changed = change(&mut ticket)?;
        Ok((changed, ticket.done()))
    }

    /// For a change that takes effect together with others.
    pub(super) fn ticket<'w>(
        &'w self,
        watch: &'w Watch<K, V>,
        pin: &'w Guard,
        draft: Draft<K, V>,
        telling: Telling,
    ) -> Ticket<'w, K, V> {
        Ticket {
            watch,
            pin,
            retired: &self.retired,
            draft,
            telling,
            number: None,
            is_made: false,
            node: None,
        }
    }

    /// Tells the audit of a change that was made, and has been noted by whoever made it.
    #[inline]
    pub(super) fn tell(&self, told: ToTell<K, V>) {
        if let Some(told) = told {
            self.tell_audit(&told);
        }
    }

    #[cold]
    fn tell_audit(&self, told: &Told<K, V>) {
        if let Some(watch) = &self.watch
            && let Some(audit) = &watch.audit
        {
            audit(&told.draft.change(told.number));
        }
    }
}

/// How much of a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    All,
    /// That something is lost, and to the feed alone: no code of a user is called, since some of it has panicked
    /// and the thread is unwinding.
    Loss,
}

/// A change that somebody is about to make, of words that are somebody else's.
pub(super) struct Draft<K: Stored, V: Stored> {
    pub(super) reason: Reason,
    pub(super) owner: Pid,
    pub(super) registration: Registration,
    pub(super) key: K::Words,
    pub(super) value: V::Words,
}

impl<K: Stored, V: Stored> Draft<K, V> {
    /// The words are an entry's, seen under a pin that lasts, or those of a copy.
    pub(super) fn change(&self, number: u64) -> Change<'_, K, V> {
        Change {
            number,
            reason: self.reason,
            // SAFETY: made by `into_words`; whatever it owns outlives the pin, or the copy.
            key: unsafe { <K as sealed::Stored>::see(&self.key) },
            // SAFETY: as above.
            value: unsafe { <V as sealed::Stored>::see(&self.value) },
            owner: self.owner,
            registration: self.registration,
        }
    }
}

impl<K: Stored, V: Stored> Clone for Draft<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Draft<K, V> {}

/// A change that was made, for the audit.
pub(super) struct Told<K: Stored, V: Stored> {
    number: u64,
    draft: Draft<K, V>,
}

/// In a box, so that where nobody wants to know there is nothing but a null pointer.
pub(super) type ToTell<K, V> = Option<Box<Told<K, V>>>;

/// The right to number one change.
pub(super) struct Ticket<'w, K: Stored, V: Stored> {
    watch: &'w Watch<K, V>,
    pin: &'w Guard,
    retired: &'w Arc<Retired>,
    draft: Draft<K, V>,
    telling: Telling,
    /// The number of the present attempt.
    number: Option<usize>,
    /// The change was made, and is to be told.
    is_made: bool,
    /// For the feed; made before the first attempt, so that nothing can fail after it.
    node: Option<Box<Node<K, V>>>,
}

impl<K: Stored, V: Stored> Ticket<'_, K, V> {
    /// Copies what the feed is to be told, so that nothing can fail after that.
    pub(super) fn prepare(&mut self) {
        if let (None, Some(feed)) = (&self.node, &self.watch.feed) {
            self.node = Some(match self.telling {
                Telling::All => feed.node(&self.draft),
                Telling::Loss => Feed::loss(),
            });
        }
    }

    /// The change was made. It is told as lost, should something panic before it is told otherwise.
    pub(super) const fn made(&mut self) {
        self.is_made = true;
    }

    /// The change was made. Returns what the audit is to be told.
    pub(super) fn done(mut self) -> ToTell<K, V> {
        let Some(number) = self.number.take() else {
            unreachable!("a number is taken before every exchange")
        };
        if let (Some(feed), Some(node)) = (&self.watch.feed, self.node.take()) {
            feed.publish(self.watch, self.pin, self.retired, number, node);
        }
        if self.watch.audit.is_none() || self.telling == Telling::Loss {
            return None;
        }
        Some(Box::new(Told {
            number: number as u64,
            draft: self.draft,
        }))
    }

    /// The number stands for nothing.
    fn give_up(&mut self) {
        if let (Some(number), Some(feed)) = (self.number.take(), &self.watch.feed) {
            feed.publish_nothing(self.pin, self.retired, number);
        }
    }
}

impl<K: Stored, V: Stored> Drop for Ticket<'_, K, V> {
    fn drop(&mut self) {
        if self.is_made
            && let (Some(number), Some(feed)) = (self.number.take(), &self.watch.feed)
        {
            feed.publish(self.watch, self.pin, self.retired, number, Feed::loss());
        }
        self.give_up();
    }
}

impl<K: Stored, V: Stored> Witness for Ticket<'_, K, V> {
    fn changing(&mut self) {
        self.give_up();
        self.prepare();
        self.number = Some(self.watch.take_number());
    }
}

//! Who is in which place, who may take it, and who is told of it.
//!
//! # Who may take a seat
//! A supervisor is abandoned with all that is below it, and its successor comes while the threads that build what is below the
//! old one may still be on their way. So a seat is taken under its lock only by who is *present* then: it, and each supervisor above
//! it, is the present incarnation of its child.
//!
//! ```text
//! the old one looks, is present, takes the seat ── is abandoned ── the new one is started, takes the seat
//! the old one is abandoned ── the new one is started ── the old one looks, is not present
//! ```
//!
//! The new one is only started when the old one is not present any more, and both look under the lock of the seat: so the old one
//! never comes after the new one.
//!
//! # Who waits
//! Each place counts its news, and who waits looks at everything and then waits for the next:
//!
//! ```text
//! which place? ── its news so far ── still that place? ── is it up? is all over? ── wait for other news ──┐
//!      ▲                                                                                                 │
//!      └─────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! It is news in a place that its seat was taken, that who is in it is up, or has ended; and in all of them that the number in
//! service has changed, or that the outermost supervisor above the layer has ended, since then nobody is left who would start
//! a partition. News of all are told only if somebody waits: who waits says so under the lock of the layer before it looks.
//!
//! # Locks
//! Nobody who has the lock of a supervisor takes one of these. Under that of a [`Seats`] those of places and of the layer
//! are taken, under each of these those of supervisors, one at a time.

use super::super::tree::Tree;
use super::Partitions;
use crate::process::panic::discard;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, Weak};
use bedplate_core::supervision::IncarnationId;
use core::fmt;
use core::time::Duration;

pub(super) struct Table {
    places: Box<[Place]>,
    /// How many of them keys go to, from the first on; written under the lock of `layer`.
    in_service: AtomicUsize,
    layer: Mutex<Layer>,
    /// Whether somebody is changing how many there are.
    is_resizing: AtomicBool,
}

/// The supervisor of the partitions.
#[derive(Default)]
struct Layer {
    /// Its present incarnation, or the last one.
    tree: Weak<Tree>,
    /// The outermost supervisor above it, or it itself; nothing if it was never built.
    outermost: Option<Weak<Tree>>,
    /// How many wait for a partition.
    waiting: usize,
}

/// Where a partition is found.
#[derive(Default)]
pub(super) struct Place {
    seat: Mutex<Occupant>,
    /// There is news.
    changed: Condvar,
}

#[derive(Default)]
struct Occupant {
    /// The present incarnation, or the last one.
    tree: Weak<Tree>,
    /// How often something has happened that somebody may wait for.
    news: u64,
}

impl Table {
    pub(super) fn new(count: usize) -> Self {
        Self {
            places: (0..count).map(|_| Place::default()).collect(),
            in_service: AtomicUsize::new(count),
            layer: Mutex::default(),
            is_resizing: AtomicBool::new(false),
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn in_service(&self) -> usize {
        // Relaxed: a number through which nothing is read; what it leads to is under a lock of its own.
        self.in_service.load(Ordering::Relaxed)
    }

    pub(super) fn place(&self, number: usize) -> Option<&Place> {
        self.places.get(number)
    }

    pub(super) fn layer(&self) -> Option<Arc<Tree>> {
        self.layer.lock().tree.upgrade()
    }

    /// Whether nobody is left who would start a partition. Not before there was somebody.
    pub(super) fn is_over(&self) -> bool {
        let Some(outermost) = self.layer.lock().outermost.clone() else {
            return false;
        };
        let Some(outermost) = outermost.upgrade() else {
            return true;
        };
        let is_over = outermost.is_over();
        // It may be the last to hold how its children ended.
        discard(outermost);
        is_over
    }

    /// Changes how many are in service of this layer; not if there is another one meanwhile. Whether it did.
    pub(super) fn change(&self, layer: &Arc<Tree>, change: impl FnOnce(usize) -> usize) -> bool {
        {
            let present = self.layer.lock();
            if !core::ptr::eq(present.tree.as_ptr(), Arc::as_ptr(layer)) {
                return false;
            }
            // Relaxed, both: as in `in_service`; who changes it holds the lock.
            let now = self.in_service.load(Ordering::Relaxed);
            self.in_service.store(change(now), Ordering::Relaxed);
        }
        self.tell_all();
        true
    }

    /// Whoever waits for a partition looks again.
    fn tell_all(&self) {
        if self.layer.lock().waiting > 0 {
            self.places.iter().for_each(Place::tell);
        }
    }
}

impl Place {
    /// Who is in it, or was last, and how much news there has been.
    pub(super) fn look(&self) -> (Weak<Tree>, u64) {
        let seat = self.seat.lock();
        (seat.tree.clone(), seat.news)
    }

    /// Waits for other news than these, at most so long. Whether there is any.
    pub(super) fn wait(&self, news: u64, at_most: Duration) -> bool {
        let seat = self.seat.lock();
        let seat = self
            .changed
            .wait_while_for(seat, at_most, |seat| seat.news == news);
        seat.news != news
    }

    fn tell(&self) {
        self.seat.lock().news += 1;
        self.changed.notify_all();
    }
}

/// While it is there, somebody waits for a partition.
pub(super) struct Waiting<'t>(&'t Table);

impl<'t> Waiting<'t> {
    pub(super) fn begin(table: &'t Table) -> Self {
        table.layer.lock().waiting += 1;
        Self(table)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.layer.lock().waiting -= 1;
    }
}

/// While it is there, nobody else resizes.
pub(super) struct Resizing<'t>(&'t Table);

impl<'t> Resizing<'t> {
    pub(super) fn begin(table: &'t Table) -> Option<Self> {
        // Relaxed: it only keeps others out; what is changed is under locks of its own.
        let is_resizing = table.is_resizing.swap(true, Ordering::Relaxed);
        (!is_resizing).then_some(Self(table))
    }
}

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.0.is_resizing.store(false, Ordering::Relaxed);
    }
}

/// Where a supervisor that is being built is to be found.
#[derive(Clone)]
pub(in super::super) enum Seat {
    /// It is the one whose children are the partitions.
    Layer(Partitions),
    /// It is the partition of this number.
    Partition(Partitions, usize),
}

impl Seat {
    /// This is the supervisor; it has not started. Without effect unless it is present.
    fn take(&self, tree: &Arc<Tree>, lineage: &Lineage) {
        match self {
            Self::Layer(Partitions(table)) => {
                let outermost = lineage.outermost().unwrap_or(tree);
                // Before it can be found, so that no end of it is missed.
                outermost.seats().tell_too(table);
                {
                    let mut layer = table.layer.lock();
                    if !lineage.is_present() {
                        return;
                    }
                    layer.tree = Arc::downgrade(tree);
                    layer.outermost = Some(Arc::downgrade(outermost));
                    // Relaxed: as in `in_service`.
                    table
                        .in_service
                        .store(table.places.len(), Ordering::Relaxed);
                }
                table.tell_all();
            }
            Self::Partition(Partitions(table), number) => {
                let Some(place) = table.places.get(*number) else {
                    return;
                };
                {
                    let mut seat = place.seat.lock();
                    if !lineage.is_present() {
                        return;
                    }
                    seat.tree = Arc::downgrade(tree);
                }
                place.tell();
            }
        }
    }

    /// There is news of the supervisor.
    fn tell(&self) {
        if let Self::Partition(Partitions(table), number) = self
            && let Some(place) = table.places.get(*number)
        {
            place.tell();
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(partitions) => partitions.fmt(f),
            Self::Partition(_, number) => number.fmt(f),
        }
    }
}

/// Who finds a supervisor, and who else is told of it. Most have neither.
pub(in super::super) struct Seats {
    own: Vec<Seat>,
    /// The tables whose layers are below it, if it is the outermost one.
    below: Mutex<Vec<Weak<Table>>>,
}

impl Seats {
    pub(in super::super) const fn new(own: Vec<Seat>) -> Self {
        Self {
            own,
            below: Mutex::new(Vec::new()),
        }
    }

    /// Has the supervisor `tree`, whose seats these are, found in them from now on. `above` says which child of whom it is. Called
    /// before it starts, without a lock.
    pub(in super::super) fn take(
        &self,
        tree: &Arc<Tree>,
        above: Option<(&Arc<Tree>, IncarnationId)>,
    ) {
        if !self.own.is_empty() {
            let lineage = Lineage::of(above);
            self.own.iter().for_each(|seat| seat.take(tree, &lineage));
            lineage.let_go();
        }
    }

    /// All children of the supervisor have been started, or it has ended.
    pub(in super::super) fn tell(&self) {
        self.own.iter().for_each(Seat::tell);
        let below = self.below.lock();
        for table in below.iter().filter_map(Weak::upgrade) {
            table.tell_all();
        }
    }

    /// Has this table told, too.
    fn tell_too(&self, table: &Arc<Table>) {
        let table = Arc::downgrade(table);
        let mut below = self.below.lock();
        below.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&table));
        below.push(table);
    }
}

/// The supervisors above one, from its own on, and which incarnations of their children lead to it.
struct Lineage(Vec<(Arc<Tree>, IncarnationId)>);

impl Lineage {
    /// If one of them has ended it may lack those above; then it is not present, since who has ended has no children.
    fn of(above: Option<(&Arc<Tree>, IncarnationId)>) -> Self {
        let mut lineage = Vec::new();
        let mut next = above.map(|(tree, id)| (tree.clone(), id));
        while let Some((tree, id)) = next {
            next = tree.above();
            lineage.push((tree, id));
        }
        Self(lineage)
    }

    fn outermost(&self) -> Option<&Arc<Tree>> {
        self.0.last().map(|(tree, _)| tree)
    }

    /// Whether no incarnation of these is over or abandoned.
    fn is_present(&self) -> bool {
        self.0.iter().all(|(tree, id)| tree.is_present(*id))
    }

    /// Drops it; not under a lock, since it may be the last to hold how the children of these ended.
    fn let_go(self) {
        self.0.into_iter().for_each(|(tree, _)| discard(tree));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{ChildSpec, Supervisor, SupervisorBuilder};
    use super::*;

    fn partition(_number: usize) -> SupervisorBuilder {
        Supervisor::builder("unused")
    }

    fn in_place(partitions: &Partitions) -> Arc<Tree> {
        let (tree, _news) = partitions.0.place(0).unwrap().look();
        tree.upgrade().unwrap()
    }

    #[test]
    fn only_who_is_present_takes_a_seat() {
        let partitions = Partitions::new(1).unwrap();
        let described = partitions.clone();
        let layer = ChildSpec::supervisor("layer", move || {
            Supervisor::builder("unused").partitions(&described, partition)
        });
        let supervisor = Supervisor::builder("app").child(layer).start().unwrap();
        let old = in_place(&partitions);
        let (layer, old_id) = old.above().unwrap();
        let (app, layer_id) = layer.above().unwrap();
        layer.terminate("0").unwrap();
        layer.restart("0").unwrap();
        let new = in_place(&partitions);
        let (_, new_id) = new.above().unwrap();
        assert_eq!(new_id.number, old_id.number + 1);

        old.seats().take(&old, Some((&layer, old_id)));
        assert!(Arc::ptr_eq(&in_place(&partitions), &new), "it is over");
        let other = IncarnationId {
            number: layer_id.number + 1,
            ..layer_id
        };
        let lineage = |layer_id| Lineage(vec![(layer.clone(), new_id), (app.clone(), layer_id)]);
        let seat = Seat::Partition(partitions.clone(), 0);
        seat.take(&old, &lineage(other));
        assert!(
            Arc::ptr_eq(&in_place(&partitions), &new),
            "its supervisor is over"
        );
        let of_layer = Seat::Layer(partitions.clone());
        of_layer.take(&old, &Lineage(vec![(app.clone(), other)]));
        assert!(Arc::ptr_eq(&partitions.0.layer().unwrap(), &layer));

        // As the present one it would have taken them.
        seat.take(&old, &lineage(layer_id));
        assert!(Arc::ptr_eq(&in_place(&partitions), &old));
        of_layer.take(&old, &Lineage(vec![(app, layer_id)]));
        assert!(Arc::ptr_eq(&partitions.0.layer().unwrap(), &old));
        drop(supervisor);
    }

    #[test]
    fn tables_that_are_gone_are_not_told() {
        let seats = Seats::new(Vec::new());
        let stays = Partitions::new(1).unwrap();
        for _ in 0..3 {
            seats.tell_too(&stays.0);
            seats.tell_too(&Partitions::new(1).unwrap().0);
        }
        assert_eq!(
            seats.below.lock().len(),
            2,
            "and the last one is not known to be gone"
        );
        seats.tell_too(&stays.0);
        assert_eq!(seats.below.lock().len(), 1);
        seats.tell();
    }
}

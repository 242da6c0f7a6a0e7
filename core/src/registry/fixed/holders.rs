//! A record of each owner that holds something, and of no other.
//!
//! There are as many records as places, and whoever has a record has a place: while a place is free,
//! so is a record. An owner enters with its first place and leaves with its last one, whoever takes
//! that away. It finds out by the serial, which no two owners share. All zero at first.

use super::link::Link;
use crate::id::Pid;

/// An owner, as it knows itself.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) pid: Pid,
    /// Which owner of the registry; never zero.
    pub(super) serial: u64,
    /// The record it entered last, which may be another's by now.
    record: Link,
}

impl Holder {
    pub(super) const fn new(pid: Pid, serial: u64) -> Self {
        Self {
            pid,
            serial,
            record: Link::NONE,
        }
    }
}

pub(super) struct Record {
    /// Whose it is; zero for nobody's.
    serial: u64,
    /// The place its holder got last. Of nobody's record, the next one that is nobody's.
    pub(super) newest: Link,
    /// Where a walk over the holder's places goes on.
    pub(super) cursor: Link,
}

pub(super) struct Holders<const N: usize> {
    records: [Record; N],
    /// The first record that is nobody's any more.
    free: Link,
    /// Records from here on were never anybody's.
    untouched: usize,
}

impl<const N: usize> Holders<N> {
    pub(super) const fn new() -> Self {
        Self {
            records: [const {
                Record {
                    serial: 0,
                    newest: Link::NONE,
                    cursor: Link::NONE,
                }
            }; N],
            free: Link::NONE,
            untouched: 0,
        }
    }

    /// The record of `holder`, if it has one.
    pub(super) fn find(&self, holder: &Holder) -> Option<Link> {
        let record = self.records.get(holder.record.index())?;
        (record.serial == holder.serial).then_some(holder.record)
    }

    /// The record of `holder`, which enters if it has none.
    ///
    /// # Panics
    /// When no record is free, which cannot be while a place is.
    pub(super) fn find_or_enter(&mut self, holder: &mut Holder) -> Link {
        if let Some(record) = self.find(holder) {
            return record;
        }
        if self.free == Link::NONE {
            holder.record = Link::to(self.untouched);
            self.untouched += 1;
        } else {
            holder.record = self.free;
            self.free = self[holder.record].newest;
        }
        self[holder.record] = Record {
            serial: holder.serial,
            newest: Link::NONE,
            cursor: Link::NONE,
        };
        holder.record
    }

    /// Makes the record nobody's; its holder has no place any more.
    pub(super) fn leave(&mut self, record: Link) {
        self[record] = Record {
            serial: 0,
            newest: self.free,
            cursor: Link::NONE,
        };
        self.free = record;
    }

    /// How many records are somebody's.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let records = self.records.iter();
        records.filter(|record| record.serial != 0).count()
    }
}

impl<const N: usize> core::ops::Index<Link> for Holders<N> {
    type Output = Record;

    fn index(&self, record: Link) -> &Record {
        &self.records[record.index()]
    }
}

impl<const N: usize> core::ops::IndexMut<Link> for Holders<N> {
    fn index_mut(&mut self, record: Link) -> &mut Record {
        &mut self.records[record.index()]
    }
}

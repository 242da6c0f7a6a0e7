//! A list that may become long, and is never moved as a whole: adding to it takes O(1) each time, and not on average only.
//!
//! ```text
//! first    [■ ■ ■ ■ ■ ■ ■ ■]      grows by doubling, up to a piece
//! pieces   [■ ■ ■ ■ ■ ■ ■ ■] [■ ■ ■ · · · · ·] [· · · · · · · ·]
//!           full               the last           at most one for later
//! ```

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// How many elements a piece has.
pub(super) const PIECE: usize = 512;

pub(super) struct List<T> {
    first: Vec<T>,
    pieces: Vec<Vec<T>>,
    length: usize,
    /// How long it may become before something is allocated.
    capacity: usize,
}

impl<T> List<T> {
    pub(super) const fn new() -> Self {
        Self {
            first: Vec::new(),
            pieces: Vec::new(),
            length: 0,
            capacity: 0,
        }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// How many more can be added without an allocation.
    #[inline]
    pub(super) const fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Makes room for so many more.
    #[cold]
    pub(super) fn reserve(&mut self, more: usize) {
        let wanted = self.length + more;
        let first = self.first.capacity();
        if first < PIECE && wanted > first {
            let capacity = wanted.max(2 * first).clamp(4, PIECE);
            self.first.reserve_exact(capacity - self.first.len());
        }
        self.count_capacity();
        while self.capacity < wanted {
            self.pieces.push(Vec::with_capacity(PIECE));
            self.count_capacity();
        }
    }

    fn count_capacity(&mut self) {
        self.capacity = self.first.capacity().min(PIECE) + self.pieces.len() * PIECE;
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.room() == 0 {
            self.reserve(1);
        }
        self.piece_mut(self.length).push(value);
        self.length += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.length.checked_sub(1)?;
        let value = self.piece_mut(last).pop();
        self.length = last;
        if last >= PIECE && last.is_multiple_of(PIECE) {
            // This one is for later.
            self.pieces.truncate(last / PIECE);
            self.count_capacity();
        }
        value
    }

    #[inline]
    pub(super) fn swap_remove(&mut self, position: usize) {
        debug_assert!(position < self.length);
        if let Some(last) = self.pop()
            && position < self.length
        {
            self[position] = last;
        }
    }

    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<&T> {
        if position < PIECE {
            self.first.get(position)
        } else {
            let piece = self.pieces.get(position / PIECE - 1)?;
            piece.get(position % PIECE)
        }
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.get(self.length.checked_sub(1)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.pieces.iter().flatten())
    }

    /// The piece of a position that there is room for.
    #[inline]
    fn piece_mut(&mut self, position: usize) -> &mut Vec<T> {
        if position < PIECE {
            &mut self.first
        } else {
            &mut self.pieces[position / PIECE - 1]
        }
    }
}

impl<T> Index<usize> for List<T> {
    type Output = T;

    #[inline]
    fn index(&self, position: usize) -> &T {
        if position < PIECE {
            &self.first[position]
        } else {
            &self.pieces[position / PIECE - 1][position % PIECE]
        }
    }
}

impl<T> IndexMut<usize> for List<T> {
    #[inline]
    fn index_mut(&mut self, position: usize) -> &mut T {
        &mut self.piece_mut(position)[position % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::{List, PIECE};
    use alloc::vec::Vec;

    /// Whatever is done to it, it is what a vector is, and no element lies elsewhere than before.
    #[test]
    fn it_is_a_vector_in_pieces() {
        let (mut list, mut plain) = (List::new(), Vec::new());
        let mut random = 0x9e37_79b9_u64;
        let mut longest = 0;
        for step in 0..40_000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step | 1);
            let position = (random >> 33) as usize % (plain.len() + 1);
            // Grows, shrinks to nothing, and grows again.
            let grows = (step / 8_000).is_multiple_of(2);
            match random >> 60 {
                0 => {
                    list.reserve(position % 700);
                    assert!(list.room() >= position % 700);
                }
                1 | 2 if position < plain.len() => {
                    list.swap_remove(position);
                    plain.swap_remove(position);
                }
                kind if grows == (kind < 13) => {
                    list.push(step);
                    plain.push(step);
                }
                _ => assert_eq!(list.pop(), plain.pop()),
            }
            assert_eq!(list.len(), plain.len());
            assert_eq!(list.last(), plain.last());
            assert_eq!(list.get(position), plain.get(position));
            if position < plain.len() {
                (list[position], plain[position]) = (step, step);
            }
            longest = longest.max(plain.len());
        }
        assert!(longest > 3 * PIECE, "{longest}");
        assert!(list.iter().eq(&plain));
        while list.pop().is_some() {}
        assert_eq!((list.len(), list.iter().count()), (0, 0));
    }

    #[test]
    fn a_short_one_takes_little_and_a_long_one_one_piece_more_at_most() {
        let mut list = List::new();
        assert_eq!(list.room(), 0);
        list.push(1_u64);
        assert_eq!(list.room(), 3);
        for _ in 0..10 * PIECE {
            list.push(1);
            assert!(list.room() <= list.len().min(PIECE), "{}", list.len());
        }
        while list.pop().is_some() {
            assert!(list.room() <= 2 * PIECE);
        }
    }
}

//! So many of any number.

use super::RandomNumbers;
use heapless::Vec;

/// Keeps `K` of any number of items, each with the same probability, however many there are.
///
/// Algorithm R (Waterman, in Knuth, *The art of computer programming*, volume 2, 3.4.2): the i-th item takes the place of a
/// random one with probability `K`/i. O(1) an item.
///
/// ```
/// use bedplate_core::sample::Reservoir;
///
/// let mut reservoir = Reservoir::<u32, 10>::new(7);
/// (0..1000).for_each(|number| _ = reservoir.offer(number));
/// assert_eq!((reservoir.items().len(), reservoir.weight()), (10, 100.0));
/// ```
#[derive(Clone, Debug)]
pub struct Reservoir<T, const K: usize> {
    items: Vec<T, K>,
    offered: u64,
    numbers: RandomNumbers,
}

impl<T, const K: usize> Reservoir<T, K> {
    /// Empty.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            items: Vec::new(),
            offered: 0,
            numbers: RandomNumbers::new(seed),
        }
    }

    /// Offers an item; gives back the one that is not kept, if one is not: this one, or one that was.
    pub fn offer(&mut self, item: T) -> Option<T> {
        self.offered = self.offered.saturating_add(1);
        let item = match self.items.push(item) {
            Ok(()) => return None,
            Err(item) => item,
        };
        let place = self.numbers.below(self.offered);
        match usize::try_from(place)
            .ok()
            .and_then(|at| self.items.get_mut(at))
        {
            Some(kept) => Some(core::mem::replace(kept, item)),
            None => Some(item),
        }
    }

    /// What is kept, in no order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// How many were offered.
    #[must_use]
    pub const fn offered(&self) -> u64 {
        self.offered
    }

    /// For how many each that is kept stands; zero if none is.
    #[must_use]
    pub fn weight(&self) -> f64 {
        if self.items.is_empty() {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a weight is this exact")]
        let (offered, kept) = (self.offered as f64, self.items.len() as f64);
        offered / kept
    }

    /// Gives what is kept to `sink` and begins anew.
    pub fn drain(&mut self, sink: impl FnMut(T)) {
        self.offered = 0;
        core::mem::take(&mut self.items).into_iter().for_each(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_item_is_equally_likely() {
        let mut kept = vec![0_u32; 40];
        for seed in 0..10_000 {
            let mut reservoir = Reservoir::<usize, 4>::new(seed);
            (0..40).for_each(|number| _ = reservoir.offer(number));
            reservoir.drain(|number| kept[number] += 1);
        }
        // Each is expected a thousand times, give or take thirty.
        assert!(
            kept.iter().all(|&times| times.abs_diff(1_000) < 150),
            "{kept:?}"
        );
    }

    #[test]
    fn nothing_offered_disappears() {
        let mut reservoir = Reservoir::<u64, 3>::new(1);
        let mut sum = 0;
        for number in 0..100 {
            sum += reservoir.offer(number).unwrap_or(0);
        }
        assert_eq!(reservoir.offered(), 100);
        reservoir.drain(|number| sum += number);
        assert_eq!(sum, 99 * 100 / 2);
        assert_eq!((reservoir.offered(), reservoir.weight()), (0, 0.0));
    }
}

//! Breadcrumbs: what was done on the way, newest first, and no more of it than is worth reading.
//!
//! A chain as that of the frames, shared by whoever holds the context. It cannot lose its oldest crumb without
//! being copied, so it may grow to twice what is shown, and is then copied once: adding one is O(1) on average.

use alloc::sync::Arc;
use core::{fmt, iter};

use super::key::Value;

/// How many breadcrumbs of a context are kept.
pub const MAX_BREADCRUMBS: usize = 16;

#[derive(Clone, Default)]
pub(super) struct Trail(Option<Arc<Crumb>>);

struct Crumb {
    value: Value,
    /// Which it is, counted from 1.
    number: u64,
    /// How many there are in the chain.
    length: usize,
    older: Option<Arc<Crumb>>,
}

impl Trail {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn push(&mut self, value: Value) {
        let number = self.0.as_ref().map_or(0, |newest| newest.number);
        if self
            .0
            .as_ref()
            .is_some_and(|newest| newest.length == 2 * MAX_BREADCRUMBS)
        {
            let kept: Vec<_> = self.crumbs().take(MAX_BREADCRUMBS - 1).collect();
            let copied = kept.into_iter().rev().fold(None, |older, crumb| {
                Some(Crumb::on(older, crumb.value.clone(), crumb.number))
            });
            self.0 = copied;
        }
        self.0 = Some(Crumb::on(self.0.take(), value, number + 1));
    }

    fn crumbs(&self) -> impl Iterator<Item = &Crumb> {
        iter::successors(self.0.as_deref(), |crumb| crumb.older.as_deref())
    }
}

impl Crumb {
    fn on(older: Option<Arc<Self>>, value: Value, number: u64) -> Arc<Self> {
        let length = older.as_ref().map_or(0, |crumb| crumb.length) + 1;
        Arc::new(Self {
            value,
            number,
            length,
            older,
        })
    }
}

/// The breadcrumbs of a [`Context`](super::Context), newest first: at most [`MAX_BREADCRUMBS`].
///
/// They print as `b, a`, the newest first.
#[derive(Clone)]
pub struct Breadcrumbs<'a> {
    next: Option<&'a Arc<Crumb>>,
    left: usize,
}

impl<'a> Breadcrumbs<'a> {
    pub(super) fn of(trail: Option<&'a Trail>) -> Self {
        Self {
            next: trail.and_then(|trail| trail.0.as_ref()),
            left: MAX_BREADCRUMBS,
        }
    }

    /// How many older ones were forgotten. Before the first call of `next`, that is of all that were left.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        let left = u64::try_from(self.left).unwrap_or(u64::MAX);
        self.next
            .map_or(0, |crumb| crumb.number.saturating_sub(left))
    }
}

impl<'a> Iterator for Breadcrumbs<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        self.left = self.left.checked_sub(1)?;
        let crumb = self.next?;
        self.next = crumb.older.as_ref();
        Some(&crumb.value)
    }
}

impl iter::FusedIterator for Breadcrumbs<'_> {}

impl fmt::Display for Breadcrumbs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for crumb in self.clone() {
            write!(f, "{separator}{crumb}")?;
            separator = ", ";
        }
        match self.forgotten() {
            0 => Ok(()),
            forgotten => write!(f, ", and {forgotten} before"),
        }
    }
}

impl fmt::Debug for Breadcrumbs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_others_counted() {
        let mut trail = Trail::default();
        for number in 1..=1000_u64 {
            trail.push(Value::Unsigned(number));
            assert!(trail.crumbs().count() <= 2 * MAX_BREADCRUMBS);
            let kept: Vec<_> = Breadcrumbs::of(Some(&trail)).cloned().collect();
            let from = number.saturating_sub(15).max(1);
            let expected: Vec<_> = (from..=number).rev().map(Value::Unsigned).collect();
            assert_eq!(kept, expected);
            assert_eq!(Breadcrumbs::of(Some(&trail)).forgotten(), from - 1);
        }
        let mut crumbs = Breadcrumbs::of(Some(&trail));
        assert!(crumbs.by_ref().count() == 16 && crumbs.next().is_none());
    }
}

//! Is a recorded history of concurrent operations one that a sequential object could have had?
//!
//! A history is linearizable if every operation can be given a moment between its call and its return
//! such that, in the order of these moments, the object's sequential truth gives the same answers.
//! The search is Wing and Gong's: among the operations none of which must come after another that is
//! left, try each one whose answer the present state gives, and go on with the rest. States already
//! known to lead nowhere are remembered, as Lowe proposed.
//!
//! Literature: J. Wing, C. Gong, *Testing and verifying concurrent objects* (JPDC 1993); G. Lowe,
//! *Testing for linearizability* (2017).

use std::collections::HashSet;
use std::hash::Hash;

/// The most operations a history may have.
pub const MOST: usize = 64;

/// One operation as it was observed.
#[derive(Clone, Debug)]
pub struct Observed<O, A> {
    /// When it was called, on a clock all threads share.
    pub called: u64,
    /// When it had returned.
    pub returned: u64,
    /// What was asked.
    pub operation: O,
    /// What was answered.
    pub answer: A,
}

/// A sequential object, as the truth about a concurrent one.
pub trait Sequential: Clone + Eq + Hash {
    /// What can be asked.
    type Operation;
    /// What can be answered.
    type Answer: PartialEq;
    /// Does what is asked and answers.
    fn apply(&mut self, operation: &Self::Operation) -> Self::Answer;
    /// Does what is asked; whether this is an answer to it. There may be several where the truth leaves a choice.
    fn may_answer(&mut self, operation: &Self::Operation, answer: &Self::Answer) -> bool {
        self.apply(operation) == *answer
    }
}

/// Whether `history` is linearizable for an object that begins as `start`.
///
/// # Panics
/// If it has more than [`MOST`] operations, or one that returned before it was called.
pub fn is_linearizable<S: Sequential>(
    start: S,
    history: &[Observed<S::Operation, S::Answer>],
) -> bool {
    assert!(
        history.len() <= MOST,
        "a history of at most {MOST} operations"
    );
    assert!(history.iter().all(|one| one.called <= one.returned));
    let all = if history.len() == MOST {
        u64::MAX
    } else {
        (1 << history.len()) - 1
    };
    search(start, history, all, &mut HashSet::new())
}

/// Whether the operations of the set `left` can follow in some order.
fn search<S: Sequential>(
    state: S,
    history: &[Observed<S::Operation, S::Answer>],
    left: u64,
    hopeless: &mut HashSet<(u64, S)>,
) -> bool {
    if left == 0 {
        return true;
    }
    if hopeless.contains(&(left, state.clone())) {
        return false;
    }
    let is_left = |index: usize| left & (1 << index) != 0;
    let first_return = (0..history.len())
        .filter(|&i| is_left(i))
        .map(|i| history[i].returned)
        .min();
    for (index, one) in history.iter().enumerate() {
        // Whatever was called after another had returned comes after it.
        if !is_left(index) || first_return.is_some_and(|returned| one.called > returned) {
            continue;
        }
        let mut next = state.clone();
        if next.may_answer(&one.operation, &one.answer)
            && search(next, history, left & !(1 << index), hopeless)
        {
            return true;
        }
    }
    hopeless.insert((left, state));
    false
}

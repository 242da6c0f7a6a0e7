//! How a supervisor is, and all below it.
//!
//! Only what is known anyway is looked at, under each supervisor's lock for itself; nobody is asked, and nothing is waited for.
//!
//! Who was abandoned is remembered until its thread ends, also when its supervisor is over before: then that, which nobody
//! else holds but its threads, is remembered by the one above ([`State::left`]).

use super::super::health::{Checked, Findings, Found, Health};
use super::super::timer;
use super::Tree;
use super::entry::{Current, Entry};
use super::state::State;
use crate::clock;
use crate::sync::{Arc, Weak};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{ChildState, IncarnationId};

/// An incarnation that was abandoned and has not ended.
pub(super) struct Lost {
    id: IncarnationId,
    child: String,
    critical: bool,
}

impl State {
    /// Remembers an incarnation that was abandoned.
    pub(super) fn lose(&mut self, id: IncarnationId) {
        if let Some(entry) = self.entries.get(&id.child) {
            self.lost.push(Lost {
                id,
                child: entry.spec.id.clone(),
                critical: entry.spec.is_critical_within(),
            });
        }
    }

    /// An incarnation has ended that was abandoned, if it was.
    pub(super) fn find_again(&mut self, id: IncarnationId) {
        self.lost.retain(|lost| lost.id != id);
    }

    /// Remembers supervisors that are over and have left somebody behind.
    pub(super) fn keep_in_mind(&mut self, left: Vec<Weak<Tree>>) {
        self.left.retain(|tree| tree.strong_count() > 0);
        self.left.extend(left);
    }
}

impl Entry {
    fn find(&self, state: ChildState, now: Instant) -> Found {
        let current = self.current.as_ref();
        let checked = current.and_then(|current| current.checked.as_deref());
        Found {
            state,
            stuck: current.is_some_and(Current::is_stuck),
            critical: self.spec.critical,
            missed: self.spec.critical || self.critical_below,
            check: checked.map(|checked: &Checked| checked.answer(now)),
        }
    }
}

impl Tree {
    pub(in super::super) fn health(&self) -> Health {
        let mut found = Findings::default();
        found.timer(timer::is_late());
        let phase = self.state.lock().machine.phase();
        found.supervisor(self.name(), phase);
        // Not by calling itself: a tree may be as deep as it likes.
        let mut waiting = self.look(&mut found);
        while let Some(tree) = waiting.pop() {
            waiting.extend(tree.look(&mut found));
        }
        found.into_health()
    }

    /// Looks at its own children. The supervisors below it, the last one first.
    fn look(&self, found: &mut Findings) -> Vec<Arc<Self>> {
        let state = self.state.lock();
        let now = clock::now();
        let path = |id: &str| format!("{}/{id}", self.name);
        let mut below = Vec::new();
        for (&key, entry) in &state.entries {
            let Some(child) = state.machine.child(key) else {
                continue;
            };
            found.child(|| path(&entry.spec.id), entry.find(child.state(), now));
            below.extend(entry.current.iter().flat_map(Current::below));
        }
        for lost in &state.lost {
            found.abandoned(|| path(&lost.child), lost.id.number, lost.critical);
        }
        below.extend(state.left.iter().filter_map(Weak::upgrade));
        below.reverse();
        below
    }

    /// Who is critical, or has somebody critical below, is new here: those above miss this supervisor from now on if it is away.
    pub(in super::super) fn note_critical(self: &Arc<Self>) {
        let mut above = self.above();
        while let Some((tree, id)) = above {
            if let Some(entry) = tree.state.lock().entries.get_mut(&id.child) {
                entry.critical_below = true;
            }
            above = tree.above();
        }
    }

    /// Whether there is a critical child.
    pub(in super::super) fn has_critical(&self) -> bool {
        let state = self.state.lock();
        state.entries.values().any(|entry| entry.spec.critical)
    }

    /// The supervisor of which it is a part, that is no part of another one.
    pub(in super::super) fn outermost(self: &Arc<Self>) -> Arc<Self> {
        let mut outermost = self.clone();
        while let Some((above, _)) = outermost.above() {
            outermost = above;
        }
        outermost
    }
}

/// Supervisors that are over and have left somebody behind: this one, and those that it remembers.
pub(super) fn left_by(tree: &Arc<Tree>, state: &mut State) -> Vec<Weak<Tree>> {
    let mut left = core::mem::take(&mut state.left);
    if !state.lost.is_empty() {
        left.push(Arc::downgrade(tree));
    }
    left
}

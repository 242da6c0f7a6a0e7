//! How it stands with a child that has reserved its name; see `registry/reserved.rs`.

use super::Tree;
use crate::registry::{Claimant, Standing};
use bedplate_core::supervision::{ChildKey, ChildState, Restart};

impl Claimant for Tree {
    fn standing(&self, child: ChildKey, name: &str) -> Standing {
        let state = self.state.lock();
        let (Some(entry), Some(known)) = (state.entries.get(&child), state.machine.child(child))
        else {
            return Standing::Gone;
        };
        let current = entry.current.as_ref();
        if current.is_some_and(|current| current.child.is_alive()) {
            return Standing::Here;
        }
        if entry.spec.name.as_deref() != Some(name) || state.is_stopping() {
            return Standing::Gone;
        }
        // That an incarnation is over is known to others before it is to the machine.
        let over = current.and_then(|current| current.child.exit_reason());
        let comes = match (known.state(), over) {
            (ChildState::Stopped, _) => false,
            (ChildState::Running, Some(reason)) => match known.plan().restart {
                Restart::Permanent => true,
                Restart::Transient => !reason.is_clean(),
                _ => false,
            },
            // Whoever was asked to stop may be told of as stopped for good.
            (ChildState::Stopping { .. }, Some(_)) => false,
            _ => true,
        };
        if comes {
            Standing::Away
        } else {
            Standing::Gone
        }
    }
}

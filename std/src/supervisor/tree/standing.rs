//! How it stands with a child that has reserved its name; see `registry/reserved.rs`.

use super::Tree;
use super::entry::Current;
use crate::process::ExitReason;
use crate::registry::{Claimant, Standing};
use bedplate_core::supervision::{ChildKey, ChildState, Restart};

impl Claimant for Tree {
    fn standing(&self, child: ChildKey, name: &str) -> Standing {
        let state = self.state.lock();
        let (Some(entry), Some(known)) = (state.entries.get(&child), state.machine.child(child))
        else {
            return Standing::Gone;
        };
        if entry.spec.name.as_deref() != Some(name) {
            return Standing::Gone;
        }
        let present = entry.current.as_ref().map(|current| &current.child);
        let past = match present {
            Some(child) => match child.fence().past() {
                // Its end begins with this.
                None => return Standing::Here(child.pid()),
                past => past,
            },
            None => None,
        };
        // Others know that an incarnation is over before the machine does.
        let comes = match (known.state(), past) {
            _ if state.is_stopping() => false,
            (ChildState::Stopped, _) => false,
            (ChildState::Stopping { .. }, Some(_)) => known.is_stopped_to_return(),
            (_, Some(_)) if known.plan().restart == Restart::Temporary => false,
            (ChildState::Starting, Some(_)) => !entry.current.as_ref().is_some_and(has_declined),
            (ChildState::Running, Some(past)) => {
                known.plan().restart == Restart::Permanent || past.crashed
            }
            _ => true,
        };
        if comes {
            Standing::Away
        } else {
            Standing::Gone
        }
    }
}

fn has_declined(current: &Current) -> bool {
    matches!(current.child.exit_reason(), Some(ExitReason::Declined))
}

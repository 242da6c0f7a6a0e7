//! What a driver reads in its machine, and what it makes of an end: the same on threads and in a simulation.

use super::StartError;
use super::tree::{Decisions, News};
use crate::process::ExitReason;
use crate::sync::Arc;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, ChildState, End, Event, IncarnationId, Phase, Ready,
};
use core::time::Duration;

/// Tells the machine what happened, and says what it decides. `None` if that came too late for anything to follow: a confirmation
/// that its own exit has overtaken, or of an abandoned incarnation that it has ended, or never begun.
pub(super) fn tell(machine: &mut Decisions, now: Instant, news: &News) -> Option<Vec<Action>> {
    let event = match news {
        News::ShutdownBy(by) => return Some(machine.shutdown_by(now, *by).collect()),
        News::Exited(id, ExitReason::Declined) if is_getting_ready(machine, *id) => {
            Event::Declined(*id)
        }
        _ => news.event(),
    };
    let actions: Vec<_> = machine.step(now, event).ok()?.collect();
    (!matches!(actions[..], [Action::LateExit(_)])).then_some(actions)
}

pub(super) fn is_stopping(machine: &Decisions) -> bool {
    matches!(machine.phase(), Phase::Stopping(_) | Phase::Ended(_))
}

/// Whether this incarnation has yet to say that it is ready.
pub(super) fn is_getting_ready(machine: &Decisions, id: IncarnationId) -> bool {
    machine.child(id.child).is_some_and(|child| {
        let signals = matches!(child.plan().ready, Ready::Signalled { .. });
        child.state() == ChildState::Starting && signals
    })
}

/// Until when a child has to have stopped, if it is being stopped; and the time it had to become ready, if it is for that.
pub(super) fn stopping(machine: &Decisions, key: ChildKey) -> Option<(Instant, Option<Duration>)> {
    let child = machine.child(key)?;
    let ChildState::Stopping { deadline } = child.state() else {
        return None;
    };
    let late = match child.plan().ready {
        Ready::Signalled { within } if child.is_late() => Some(within),
        _ => None,
    };
    Some((deadline, late))
}

/// Why a machine stops, if that is for a child: which, and whether too many were restarted.
pub(super) fn why(machine: &Decisions) -> Option<(ChildKey, bool)> {
    let (Phase::Stopping(end) | Phase::Ended(end)) = machine.phase() else {
        return None;
    };
    match end {
        End::GaveUp(key) => Some((key, true)),
        End::StartFailed(key) | End::Overrun(key) => Some((key, false)),
        _ => None,
    }
}

/// Why the start of one has failed that ended before it was ready, or was too `late`; and what is told of its end. It did not
/// start, however cleanly it ended, unless it declined in time: then nothing has failed.
pub(super) fn not_ready(
    reason: ExitReason,
    late: Option<Duration>,
) -> (Option<Arc<StartError>>, ExitReason) {
    if matches!((&reason, late), (ExitReason::Declined, None)) {
        return (None, reason);
    }
    let error = Arc::new(match late {
        Some(within) => StartError::NotReady { within },
        None => StartError::Exited(reason.clone()),
    });
    if reason.is_clean() {
        (Some(error.clone()), ExitReason::NotStarted(error))
    } else {
        (Some(error), reason)
    }
}

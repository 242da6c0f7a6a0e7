//! What a checkpoint keeps, and who may change it: everything that happens under its lock.
//!
//! ```text
//!  opened by an incarnation          its fence                     a later one of the same child opens, or
//!        (none) ─────► held by it ──── closes ────► held by nobody ──► any other: how the holder ended is counted
//!                        │  ▲                            ▲
//!                 save, forget: under the lock,          ╰── nothing is changed any more, by whomever
//!                 if the fence is open
//! ```
//!
//! Which version counts is decided by [`Versions`]; the values lie in two places beside it. The lock of the slot is taken
//! before that of a [`Fence`], and never the reverse. A change asks the fence under the slot's lock. So whoever has seen anything
//! of an incarnation's end, and then looks here, has the lock after the change, which it sees, or before it, and then the change
//! finds the fence closed and is refused.
//!
//! Values are made, cloned and dropped outside of the lock, since that is a user's code.

use super::{ForgetError, OpenError, SaveError};
use crate::process::panic::discard;
use crate::process::{Fence, Lineage, Pid};
use crate::supervisor::ChildRef;
use crate::sync::{Arc, Mutex};
use bedplate_core::checkpoint::{CrashLimit, Ending, FellBack, Kept, Opening, Versions};
use bedplate_core::clock::Instant;

pub(super) struct Slot<T>(Mutex<State<T>>);

/// What the incarnation has that has opened it. Nothing of a user's is in it, as its reason would be.
#[derive(Clone)]
pub(super) struct Claim {
    fence: Arc<Fence>,
    opening: Opening,
}

struct State<T> {
    versions: Versions,
    places: [Option<Arc<T>>; 2],
    /// Who has opened it last.
    holder: Option<Holder>,
    fallbacks: u64,
    refused: u64,
}

struct Holder {
    /// Which child it is an incarnation of.
    child: (Arc<str>, Lineage),
    pid: Pid,
    claim: Claim,
}

/// What opening it has brought.
struct Change<T> {
    claim: Claim,
    fell: Option<FellBack>,
    given_up: Option<Arc<T>>,
}

impl<T> Slot<T> {
    pub(super) const fn new(limit: CrashLimit) -> Self {
        Self(Mutex::new(State {
            versions: Versions::new(limit),
            places: [None, None],
            holder: None,
            fallbacks: 0,
            refused: 0,
        }))
    }

    /// Opens it for `me`. Which version was given up, if one was, is to be told.
    pub(super) fn open(&self, me: &ChildRef) -> Result<(Claim, Option<FellBack>), OpenError> {
        let child = (Arc::from(me.path()), me.lineage());
        let change = self.0.lock().open(child, me)?;
        discard(change.given_up);
        Ok((change.claim, change.fell))
    }

    pub(super) fn restore(&self, claim: &Claim, now: Instant) -> Option<Arc<T>> {
        let mut state = self.0.lock();
        let kept = state.versions.restore(claim.opening, now);
        state.value(kept)
    }

    pub(super) fn save(&self, claim: &Claim, value: T) -> Result<u64, SaveError<T>> {
        let value = Arc::new(value);
        let mut before = None;
        let saved = self.change(claim, |state| {
            let saved = state.versions.save(claim.opening).ok()?;
            let place = &mut state.places[saved.place.index()];
            before = place.replace(value.clone());
            Some(saved.version)
        });
        discard(before);
        let refusal = match saved {
            Ok(version) => {
                // Others may have saved meanwhile, so that this is the last handle.
                discard(value);
                return Ok(version);
            }
            Err(refusal) => refusal,
        };
        let Some(value) = Arc::into_inner(value) else {
            unreachable!("nobody else was given it");
        };
        Err(match refusal {
            ForgetError::Replaced => SaveError::Replaced { value },
            ForgetError::Over => SaveError::Over { value },
        })
    }

    pub(super) fn forget(&self, claim: &Claim) -> Result<(), ForgetError> {
        let mut before = [None, None];
        self.change(claim, |state| {
            state.versions.forget(claim.opening).ok()?;
            before = core::mem::take(&mut state.places);
            Some(())
        })?;
        before.into_iter().for_each(discard);
        Ok(())
    }

    pub(super) fn latest(&self) -> Option<Arc<T>> {
        let state = self.0.lock();
        state.value(state.versions.current())
    }

    pub(super) fn info(&self) -> CheckpointInfo {
        let state = self.0.lock();
        let number = |kept: Option<Kept>| kept.map(|kept| kept.version);
        let holder = state.holder.as_ref();
        CheckpointInfo {
            version: number(state.versions.current()),
            older: number(state.versions.older()),
            crashes: state.versions.crashes(),
            fallbacks: state.fallbacks,
            refused: state.refused,
            holder: holder
                .filter(|holder| !holder.claim.fence.is_closed())
                .map(|holder| holder.pid),
        }
    }

    /// Does something that only who has opened it last may do, unless that is over.
    fn change<R>(
        &self,
        claim: &Claim,
        act: impl FnOnce(&mut State<T>) -> Option<R>,
    ) -> Result<R, ForgetError> {
        let mut state = self.0.lock();
        let refusal = if claim.fence.is_closed() {
            ForgetError::Over
        } else if let Some(result) = act(&mut state) {
            return Ok(result);
        } else {
            ForgetError::Replaced
        };
        state.refused += 1;
        Err(refusal)
    }
}

/// The values die one by one: the destructor of each may panic.
impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let places = core::mem::take(&mut self.0.lock().places);
        places.into_iter().for_each(discard);
    }
}

impl<T> State<T> {
    /// The value of a version.
    fn value(&self, kept: Option<Kept>) -> Option<Arc<T>> {
        self.places[kept?.place.index()].clone()
    }

    fn open(&mut self, child: (Arc<str>, Lineage), me: &ChildRef) -> Result<Change<T>, OpenError> {
        let mut again = None;
        if let Some(holder) = &self.holder {
            let (pid, fence) = (holder.pid, &holder.claim.fence);
            if pid == me.pid() {
                again = Some(holder.claim.clone());
            } else if holder.child == child {
                if !me.fence().is_younger_than(fence) {
                    return Err(OpenError::Replaced);
                }
            } else if !fence.is_closed() {
                return Err(OpenError::Held { holder: pid });
            }
        }
        if me.fence().is_closed() {
            return Err(OpenError::Over);
        }
        Ok(match again {
            Some(claim) => Change {
                claim,
                fell: None,
                given_up: None,
            },
            None => self.change_hands(child, me),
        })
    }

    fn change_hands(&mut self, child: (Arc<str>, Lineage), me: &ChildRef) -> Change<T> {
        let before = self.holder.take();
        // Who is not over as yet is replaced, which is not its fault.
        let fell = before.and_then(|before| {
            let past = before.claim.fence.past()?;
            let how = if past.crashed {
                Ending::Crashed
            } else {
                Ending::Otherwise
            };
            self.versions.ended(before.claim.opening, how, past.at)
        });
        let given_up = fell.and_then(|fell| {
            self.fallbacks += 1;
            self.places[fell.given_up.place.index()].take()
        });
        let claim = Claim {
            fence: me.fence().clone(),
            opening: self.versions.open(),
        };
        self.holder = Some(Holder {
            child,
            pid: me.pid(),
            claim: claim.clone(),
        });
        Change {
            claim,
            fell,
            given_up,
        }
    }
}

/// What is known of a [`Checkpoint`](super::Checkpoint), at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The version that would be restored.
    pub version: Option<u64>,
    /// The version that would be restored if that one were given up.
    pub older: Option<u64>,
    /// How many incarnations in a row are known to have crashed soon after they had restored it. The last one's end becomes known
    /// when the next one opens the checkpoint.
    pub crashes: u32,
    /// How many versions were given up.
    pub fallbacks: u64,
    /// How many changes were refused because whoever wanted them was over or replaced.
    pub refused: u64,
    /// The incarnation that may save; `None` if nobody may.
    pub holder: Option<Pid>,
}

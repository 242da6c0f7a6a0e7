//! Names that are kept for a child while it is being restarted.
//!
//! ```text
//!            its child registers it              another one asks for it, or its child is forgotten
//!   (none) ─────────────────────────► reserved ─────────────────────────────────────────────────────► reserved, or (none)
//!                                                 whoever reserved it is asked how it stands with the child
//! ```
//!
//! A name is given up before anybody can learn that its holder has ended, and whether the child will come back is known only
//! afterwards. So its reservation is made before it is first held, and says nothing by itself: whoever wants the name asks, outside
//! of all locks of this file, and what no longer stands is removed by that. Nobody has to notice every way in which a
//! child can come to rest.
//!
//! Between the question and the registration that follows, the name may have been reserved, held and given up by its child. Therefore
//! everybody asks again when it is registered. Whoever finds a name free that its child had to the end finds the child's fence
//! closed, since that is done before.

use crate::process::Pid;
use crate::process::panic::discard;
use crate::sync::{Mutex, MutexGuard, Weak};
use alloc::collections::BTreeMap;
use bedplate_core::supervision::ChildKey;

/// How it stands with a child that has reserved a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This incarnation of it runs, or is about to. If it has had the name, it has it unless it gave that up.
    Here(Pid),
    /// It does not run, and will be started again.
    Away,
    /// It does not come back by itself, or not under this name.
    Gone,
}

/// Who knows how it stands.
pub(crate) trait Claimant: Send + Sync {
    fn standing(&self, child: ChildKey, name: &str) -> Standing;
}

/// A child, and who knows about it.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) claimant: Weak<dyn Claimant>,
    pub(crate) child: ChildKey,
}

impl Claim {
    fn is(&self, other: &Self) -> bool {
        self.child == other.child
            && core::ptr::addr_eq(self.claimant.as_ptr(), other.claimant.as_ptr())
    }

    fn standing(&self, name: &str) -> Standing {
        let Some(claimant) = self.claimant.upgrade() else {
            return Standing::Gone;
        };
        let standing = claimant.standing(self.child, name);
        // It may be the last to hold what is a user's.
        discard(claimant);
        standing
    }
}

#[derive(Clone)]
struct Reservation {
    claim: Claim,
    /// The last incarnation for which it was made …
    last: Pid,
    /// … and the last one that came to hold the name.
    held: Option<Pid>,
}

/// Somebody else has reserved a name, and is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    pub(super) last: Pid,
    /// Whether it runs and has had the name: if nobody has it now, it was given up.
    pub(super) is_here: bool,
}

/// Reserves `name` for the child of `claim`, whose incarnation is `pid`; without a claim, only looks.
pub(super) fn admit(name: &str, pid: Pid, claim: Option<&Claim>) -> Result<(), Reserved> {
    loop {
        let mut all = reservations();
        let other = match (all.get_mut(name), claim) {
            (Some(present), Some(claim)) if present.claim.is(claim) => {
                present.last = pid;
                return Ok(());
            }
            (Some(present), _) => present.clone(),
            (None, Some(claim)) => {
                let fresh = Reservation {
                    claim: claim.clone(),
                    last: pid,
                    held: None,
                };
                all.insert(Box::from(name), fresh);
                return Ok(());
            }
            (None, None) => return Ok(()),
        };
        drop(all);
        match other.claim.standing(name) {
            Standing::Gone => remove(name, &other.claim),
            standing => {
                let is_here = matches!(standing, Standing::Here(it) if Some(it) == other.held);
                return Err(Reserved {
                    last: other.last,
                    is_here,
                });
            }
        }
    }
}

/// The incarnation `pid` of the child of `claim` has come to hold `name`.
pub(super) fn is_held(name: &str, pid: Pid, claim: &Claim) {
    if let Some(reservation) = reservations().get_mut(name)
        && reservation.claim.is(claim)
    {
        reservation.held = Some(pid);
    }
}

/// A specification with this name is gone: removes its reservation, if that no longer stands.
pub(crate) fn reconsider(name: &str) {
    let reservation = reservations().get(name).cloned();
    if let Some(Reservation { claim, .. }) = reservation
        && claim.standing(name) == Standing::Gone
    {
        remove(name, &claim);
    }
}

/// Removes that reservation and no later one. (Another incarnation's of the same child is the same.)
fn remove(name: &str, claim: &Claim) {
    let mut all = reservations();
    if all.get(name).is_some_and(|it| it.claim.is(claim)) {
        all.remove(name);
    }
}

fn reservations() -> MutexGuard<'static, BTreeMap<Box<str>, Reservation>> {
    static RESERVATIONS: Mutex<BTreeMap<Box<str>, Reservation>> = Mutex::new(BTreeMap::new());
    RESERVATIONS.lock()
}

/// Whether a name is reserved, for whomever.
#[cfg(test)]
pub(super) fn is(name: &str) -> bool {
    reservations().contains_key(name)
}

//! What becomes of the thread of an incarnation that is over, and on which thread the next one of the same child begins.
//!
//! ```text
//!                            ╭ none at once ───────────────── other jobs ────────────────────────────────────╮
//! Exited ── machine.step ── next one                                     ╭ begun on another thread ──────────┤ a spare? ── waits
//!                            ╰ is kept back for this thread ─ other jobs ┤                                   ╰──────────── gone
//!                                                                        ╰ there is none, or none is wanted ── runs here
//! ```
//!
//! The thread does not count any more when a replacement is started: the right to be there is the replacement's.

use super::super::life::{self, Launch, Next};
use super::super::reuse::Seat;
use super::{Job, News, Tree};
use crate::process::{ExitReason, ThreadPermit};
use crate::sync::Arc;
use bedplate_core::supervision::IncarnationId;

impl Tree {
    /// Tells the machine of the end of an incarnation, does what follows, and says what its thread does next.
    pub(in super::super) fn go_on(
        self: &Arc<Self>,
        over: IncarnationId,
        reason: ExitReason,
        mut seat: Seat,
    ) -> Next {
        super::request::working(|| {
            let own = seat.own.take();
            let leaves = own.is_some();
            let ((older, was_present, here), jobs) = self.decide(|state, now, jobs| {
                let was_present = state.has_present(over);
                let older = state.leave_thread(over, own);
                state.step(now, &self.name, News::Exited(over, reason), jobs);
                let here = jobs.iter().position(|job| match job {
                    Job::Launch(id, launch) => {
                        let spec = &launch.spec;
                        id.child == over.child && (seat.suits(spec) || seat.would_do(spec))
                    }
                    _ => false,
                });
                if here.is_some() && leaves {
                    // Nobody is to wait for it: it stays, and may be abandoned.
                    seat.own = state.take_thread(over);
                }
                (older, was_present, here.map(|here| jobs.remove(here)))
            });
            drop(older);
            // Whose incarnation was abandoned, nobody counts on.
            let waits = was_present && seat.is_spare();
            let Some(Job::Launch(id, launch)) = here else {
                drop(seat);
                self.work(jobs);
                return self.wait_as_spare(waits);
            };
            self.work(jobs);
            self.succeed(id, launch, seat, waits)
        })
    }

    /// The next incarnation begins, on this thread if it is to have that, or if there is no other.
    fn succeed(
        self: &Arc<Self>,
        id: IncarnationId,
        launch: Launch,
        seat: Seat,
        waits: bool,
    ) -> Next {
        let begun = if seat.suits(&launch.spec) {
            life::begin_here(self, id, launch, seat).map(Some)
        } else {
            life::begin_beside(self, id, launch, seat)
        };
        match begun {
            Ok(Some((launch, seat))) => {
                self.drive(News::Started(id));
                Next::Run(id, launch, seat)
            }
            Ok(None) => {
                self.drive(News::Started(id));
                self.wait_as_spare(waits)
            }
            Err(news) => {
                self.drive(news);
                self.wait_as_spare(waits)
            }
        }
    }

    /// This thread has nothing more to do: it waits as a spare, if it is one, and there is room and another thread may be.
    fn wait_as_spare(&self, is_spare: bool) -> Next {
        let keep = || Some(Seat::spare(ThreadPermit::claim().ok()?));
        let parked = is_spare.then(|| self.spares.park(keep)).flatten();
        parked.map_or(Next::End, Next::Wait)
    }
}

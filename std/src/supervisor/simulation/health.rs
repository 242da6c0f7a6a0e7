//! How a simulated supervisor is, and all below it.

use super::super::health::{Answer, Findings, Found, Health};
use super::branch::{Branch, BranchIndex};
use super::{ROOT, Simulation, SimulationError};
use bedplate_core::clock::Instant;
use bedplate_core::health::Verdict;
use bedplate_core::supervision::Ready;
use core::time::Duration;

impl Simulation {
    /// Whether all is alive, may be given work, and what is wrong, as [`SupRef::health`](super::super::SupRef::health) tells of it;
    /// children are called by their paths here. Who is stuck is who was [found](Self::is_found_stuck) to be and has not been started
    /// again since, and a check stands as the test has [said](Self::check_answers) last. The thread that watches deadlines is never late.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut found = Findings::default();
        let root = &self.branches[ROOT];
        found.supervisor(root.name(), root.phase());
        for branch in &self.branches {
            branch.look(self.now, &mut found);
        }
        found.into_health()
    }

    /// The check `path` has been made, in time, and this was found.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, or is no check.
    pub fn check_answers(
        &mut self,
        path: &str,
        found: Result<(), &str>,
    ) -> Result<(), SimulationError> {
        let (branch, id, spec) = self.actor(path)?;
        if spec.checks.is_none() {
            return Err(SimulationError::IsNoCheck {
                path: path.to_owned(),
            });
        }
        let signals = matches!(spec.plan.ready, Ready::Signalled { .. });
        let now = self.now;
        let found = found.map_err(str::to_owned);
        self.branches[branch].answered(id, now, found.clone());
        if signals && found.is_ok() {
            self.becomes_ready(path)?;
        }
        Ok(())
    }

    /// There is a critical child below this supervisor: those above miss it from now on if it is away.
    pub(super) fn note_critical(&mut self, below: BranchIndex) {
        let mut above = self.branches[below].above;
        while let Some((branch, id)) = above {
            self.branches[branch].note_critical_below(id);
            above = self.branches[branch].above;
        }
    }
}

impl Branch {
    fn look(&self, now: Instant, found: &mut Findings) {
        for (state, actor) in self.actors() {
            let spec = &actor.spec;
            let answer = spec.checks.map(|_| match &actor.answer {
                None => Answer {
                    verdict: Verdict::Unanswered,
                    why: String::new(),
                    age: Duration::ZERO,
                    limit: Duration::ZERO,
                },
                Some((at, answer)) => Answer {
                    verdict: match answer {
                        Ok(()) => Verdict::Passed,
                        Err(_) => Verdict::Failed,
                    },
                    why: answer.as_ref().err().cloned().unwrap_or_default(),
                    age: now.saturating_duration_since(*at),
                    limit: Duration::ZERO,
                },
            });
            let known = Found {
                state,
                stuck: actor.stuck,
                critical: spec.critical,
                missed: spec.critical || actor.critical_below,
                check: answer,
            };
            found.child(|| self.path_of(&spec.id), known);
        }
        for lost in self.lost() {
            let critical = lost.critical;
            found.abandoned(|| self.path_of(&lost.child), lost.id.number, critical);
        }
    }
}

//! The rounds in which a supervisor looks whether its children are stuck.
//!
//! They are a deadline of the supervisor like any other: the timer's thread comes when one is due. There are none unless a
//! child that is watched has been started, and none any more when the last one is over. A round looks at those only, and
//! calls nobody: what is to be told goes out as a job.

use super::super::report;
use super::super::watch::Observed;
use super::state::State;
use super::{Job, News};
use alloc::collections::BTreeSet;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    ChildKey, ChildState, IncarnationId, Look, OnStuck, Round, Rounds,
};
use core::time::Duration;

/// So long whoever is told has before the process ends; longer only until the next round.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Who is looked at, and when.
#[derive(Default)]
pub(super) struct Patrol {
    rounds: Option<Rounds>,
    /// At least those that run and are watched.
    keys: BTreeSet<ChildKey>,
}

impl Patrol {
    /// When the next round is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rounds.as_ref().map(Rounds::due)
    }

    /// A child begins that is to be looked at this often.
    pub(super) fn add(&mut self, now: Instant, key: ChildKey, every: Duration) {
        self.keys.insert(key);
        match &mut self.rounds {
            Some(rounds) if rounds.interval() <= every => {}
            Some(rounds) => rounds.set_interval(now, every),
            None => self.rounds = Some(Rounds::new(now, every)),
        }
    }

    /// From when on silence counts, if there is to be a round.
    fn begin(&mut self, now: Instant) -> Option<Instant> {
        match self.rounds.as_mut()?.begin(now) {
            Round::Look { since } => Some(since),
            _ => None,
        }
    }
}

impl State {
    /// Looks at the children, if a round is due.
    pub(super) fn look_around(&mut self, now: Instant, name: &str, jobs: &mut Vec<Job>) {
        let Some(since) = self.patrol.begin(now) else {
            return;
        };
        let Self {
            patrol,
            entries,
            machine,
            ..
        } = self;
        let mut every = None::<Duration>;
        let mut to_restart = Vec::new();
        patrol.keys.retain(|&key| {
            let Some(entry) = entries.get_mut(&key) else {
                return false;
            };
            let Some(current) = &mut entry.current else {
                return false;
            };
            let Some(observed) = &mut current.observed else {
                return false;
            };
            let interval = observed.watch.interval();
            every = Some(every.map_or(interval, |every| every.min(interval)));
            // Who starts, or stops, has a limit for that.
            let state = machine.child(key).map(|child| child.state());
            if state != Some(ChildState::Running) {
                return true;
            }
            let number = current.child.incarnation();
            let whom = report::Whom {
                supervisor: name,
                child: &entry.spec.id,
                incarnation: number,
                context: &entry.spec.context,
            };
            match look(observed, since, now, &whom) {
                Seen::Nothing => {}
                Seen::Told(job) => jobs.push(job),
                Seen::ToRestart(job) => {
                    jobs.push(job);
                    let child = key;
                    to_restart.push(IncarnationId { child, number });
                }
            }
            true
        });
        match (every, &mut patrol.rounds) {
            (Some(every), Some(rounds)) if rounds.interval() != every => {
                rounds.set_interval(now, every);
            }
            (Some(_), _) => {}
            (None, rounds) => *rounds = None,
        }
        for id in to_restart {
            self.step(now, name, News::Stuck(id), jobs);
        }
    }
}

enum Seen {
    Nothing,
    Told(Job),
    ToRestart(Job),
}

fn look(observed: &mut Observed, since: Instant, now: Instant, whom: &report::Whom<'_>) -> Seen {
    let on_stuck = observed.watch.on_stuck;
    match observed.look(since, now) {
        Look::Stuck { activity, silent } => {
            let tell = report::stuck(whom, activity, silent, on_stuck);
            match on_stuck {
                OnStuck::Restart => Seen::ToRestart(Job::Report(tell)),
                _ => Seen::Told(Job::Report(tell)),
            }
        }
        // Whoever is told should have ended it.
        Look::StillStuck { told }
            if on_stuck == OnStuck::AbortProcess
                && now.saturating_duration_since(told) >= LAST_WORDS =>
        {
            Seen::Told(Job::Abort)
        }
        Look::Recovered { silent } => Seen::Told(Job::Report(report::recovered(whom, silent))),
        _ => Seen::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::supervision::{
        ChildPlan, Config, FixedChildren, Machine, RestartIntensity, Strategy,
    };

    #[test]
    fn the_shortest_interval_decides_when_to_look() {
        let limit = RestartIntensity::<1>::new(1, Duration::from_secs(1)).unwrap();
        let config = Config::new(Strategy::OneForOne, limit);
        let mut machine = Machine::new(config, FixedChildren::<(), 2>::new()).unwrap();
        let [a, b] = [(); 2].map(|()| machine.add(None, ChildPlan::default()).unwrap());
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut patrol = Patrol::default();
        assert_eq!(patrol.due(), None);
        patrol.add(at(0), a, Duration::from_secs(1));
        assert_eq!(patrol.due(), Some(at(1_000)));
        patrol.add(at(100), b, Duration::from_millis(50));
        assert_eq!(patrol.due(), Some(at(150)));
        patrol.add(at(100), a, Duration::from_secs(1));
        assert_eq!(patrol.due(), Some(at(150)));
        assert_eq!(patrol.begin(at(149)), None);
        assert_eq!(patrol.begin(at(150)), Some(at(0)));
        assert_eq!(patrol.due(), Some(at(200)));
    }
}

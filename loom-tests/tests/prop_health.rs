//! Checks stand as their whole history says, and no fact about what is outside ends anything.

use bedplate_core::clock::Instant;
use bedplate_core::health::{Check, LEAST_INTERVAL, Status, Verdict};
use bedplate_core::supervision::ChildState;
use core::time::Duration;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Begin,
    Finish(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u64..80).prop_map(Step::Pass),
        2 => Just(Step::Begin),
        2 => any::<bool>().prop_map(Step::Finish),
    ]
}

/// A run: when it began, and when it was over and what it found.
#[derive(Clone, Copy, Debug)]
struct Run {
    began: u64,
    over: Option<(u64, bool)>,
}

/// All that ever happened to one check, in milliseconds.
#[derive(Debug)]
struct History {
    every: u64,
    limit: u64,
    runs: Vec<Run>,
}

impl History {
    /// When the run of this index is or was due, if the one before it is over.
    fn due(&self, index: usize) -> Option<u64> {
        let Some(before) = index.checked_sub(1) else {
            return Some(0);
        };
        Some(self.runs[before].over?.0 + self.every)
    }

    fn missed(&self, due: u64, now: u64) -> bool {
        now > due + self.every + self.limit
    }

    fn verdict(&self, now: u64) -> Verdict {
        let latest = self.runs.len();
        if let Some(due) = self.due(latest) {
            return if self.missed(due, now) {
                Verdict::Stale
            } else {
                self.found(latest)
            };
        }
        let running = self.runs[latest - 1];
        let due = self.due(latest - 1).expect("the one before is over");
        if now > running.began + self.limit {
            Verdict::TimedOut
        } else if self.missed(due, running.began) {
            Verdict::Stale
        } else {
            self.found(latest - 1)
        }
    }

    /// What was found by the run before the one of this index.
    fn found(&self, index: usize) -> Verdict {
        let Some(run) = index.checked_sub(1).map(|before| self.runs[before]) else {
            return Verdict::Unanswered;
        };
        match run.over {
            Some((over, _)) if over > run.began + self.limit => Verdict::TimedOut,
            Some((_, true)) => Verdict::Passed,
            Some((_, false)) => Verdict::Failed,
            None => Verdict::Unanswered,
        }
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn fact() -> impl Strategy<Value = (bool, bool, Status)> {
    let state = prop_oneof![
        Just(ChildState::Waiting),
        Just(ChildState::Starting),
        Just(ChildState::Running),
        Just(ChildState::Stopping { deadline: at(9) }),
        Just(ChildState::Backoff { until: at(9) }),
        Just(ChildState::Stopped),
    ];
    let verdict = prop_oneof![
        Just(Verdict::Unanswered),
        Just(Verdict::Passed),
        Just(Verdict::Failed),
        Just(Verdict::TimedOut),
        Just(Verdict::Stale),
    ];
    let critical = any::<bool>();
    prop_oneof![
        (state, any::<bool>(), critical).prop_map(|(state, stuck, critical)| {
            (false, critical, Status::of_child(state, stuck, critical))
        }),
        critical.prop_map(|critical| (false, critical, Status::of_abandoned(critical))),
        (verdict, critical).prop_map(|(verdict, critical)| {
            (true, critical, Status::of_check(verdict, critical))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_check_stands_as_its_history_says(
        every in 0_u64..60,
        limit in 0_u64..40,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut now = 0;
        let mut check = Check::new(at(0), Duration::from_millis(every), Duration::from_millis(limit));
        let least = u64::try_from(LEAST_INTERVAL.as_millis()).unwrap();
        let mut history = History { every: every.max(least), limit, runs: Vec::new() };
        for step in steps {
            match step {
                Step::Pass(millis) => now += millis,
                Step::Begin => {
                    let due = history.due(history.runs.len()).is_some_and(|due| due <= now);
                    prop_assert_eq!(check.begin(at(now)), due);
                    if due {
                        history.runs.push(Run { began: now, over: None });
                    }
                }
                Step::Finish(passed) => {
                    let runs = history.runs.last_mut().filter(|run| run.over.is_none());
                    let in_time = runs.is_some_and(|run| {
                        run.over = Some((now, passed));
                        now <= run.began + limit
                    });
                    prop_assert_eq!(check.finish(at(now), passed), in_time);
                }
            }
            prop_assert_eq!(check.verdict(at(now)), history.verdict(now), "at {}", now);
            let due = history.due(history.runs.len());
            prop_assert_eq!(check.due(), due.map(at));
            let over = history.runs.iter().rev().find_map(|run| run.over);
            let age = over.map(|(over, _)| Duration::from_millis(now - over));
            prop_assert_eq!(check.age(at(now)), age);
        }
    }

    #[test]
    fn only_what_is_critical_and_within_ends_it(facts in prop::collection::vec(fact(), 0..12)) {
        let sum = |facts: &[(bool, bool, Status)]| {
            facts.iter().fold(Status::WELL, |sum, &(_, _, status)| sum.and(status))
        };
        let whole = sum(&facts);
        prop_assert!(whole.degraded || (whole.live && whole.ready), "a reason is told");
        let reversed: Vec<_> = facts.iter().rev().copied().collect();
        prop_assert_eq!(sum(&reversed), whole);
        let critical: Vec<_> = facts.iter().filter(|(_, critical, _)| *critical).copied().collect();
        prop_assert_eq!(sum(&critical).ready, whole.ready);
        let within: Vec<_> = critical.iter().filter(|(outside, _, _)| !outside).copied().collect();
        prop_assert_eq!(sum(&within).live, whole.live);
    }
}

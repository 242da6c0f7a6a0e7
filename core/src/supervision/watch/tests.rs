//! Numbers are those of the project's list of failure cases.

use super::*;

const HALF: Duration = Duration::from_millis(500);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn working(millis: u64) -> Beat {
    Beat {
        activity: Activity::Working,
        at: at(millis),
    }
}

fn parked(millis: u64) -> Beat {
    Beat {
        activity: Activity::Parked,
        at: at(millis),
    }
}

/// Parked for half a second, working for five.
fn watch() -> Watch {
    Watch::new(Duration::from_secs(5), HALF)
}

#[test]
fn f104_who_works_for_long_is_in_time() {
    let mut watched = Watched::NEW;
    for now in (0..=3_000).step_by(125) {
        let look = watched.look(&watch(), working(0), at(0), at(now));
        assert_eq!(look, Look::InTime, "{now}");
    }
    assert_eq!(
        watched.look(&watch(), working(0), at(0), at(5_000)),
        Look::InTime
    );
    let beyond = watched.look(&watch(), working(0), at(0), at(5_001));
    let silent = Duration::from_millis(5_001);
    let activity = Activity::Working;
    assert_eq!(beyond, Look::Stuck { activity, silent });
}

#[test]
fn f105_who_is_parked_for_too_long_is_told_of_once() {
    let mut watched = Watched::NEW;
    let mut look = |beat, now| watched.look(&watch(), beat, at(0), at(now));
    assert_eq!(look(parked(0), 500), Look::InTime);
    let silent = Duration::from_millis(600);
    let activity = Activity::Parked;
    assert_eq!(look(parked(0), 600), Look::Stuck { activity, silent });
    for now in [601, 700, 100_000] {
        assert_eq!(look(parked(0), now), Look::StillStuck { told: at(600) });
    }
    // Its next word clears that, whatever it is.
    let silent = Duration::from_millis(100_001);
    let recovered = look(working(100_001), 100_100);
    assert_eq!(recovered, Look::Recovered { silent });
    assert_eq!(look(working(100_001), 100_200), Look::InTime);

    // Another time, it is told again.
    assert_eq!(look(parked(101_000), 101_100), Look::InTime);
    assert!(matches!(look(parked(101_000), 101_600), Look::Stuck { .. }));
    // Stuck again behind another word, before anybody looked.
    assert!(matches!(look(parked(101_700), 102_300), Look::Stuck { .. }));
    assert!(matches!(
        look(parked(101_700), 102_301),
        Look::StillStuck { .. }
    ));
}

#[test]
fn f105_that_it_is_stuck_is_known_until_its_next_beat() {
    let mut watched = Watched::NEW;
    assert!(!watched.is_stuck(parked(0)));
    watched.look(&watch(), parked(0), at(0), at(600));
    assert!(watched.is_stuck(parked(0)));
    assert!(!watched.is_stuck(parked(601)), "before anybody looks");
}

#[test]
fn f106_a_round_that_is_late_is_skipped_and_what_was_before_forgotten() {
    let mut rounds = Rounds::new(at(0), watch().interval());
    let mut watched = Watched::NEW;
    assert_eq!(rounds.begin(at(125)), Round::Look { since: at(0) });
    // Asleep for twenty seconds.
    assert_eq!(rounds.begin(at(20_250)), Round::Late);
    // The child is slow to wake, but has its whole limit again.
    for now in [20_375, 20_500, 20_625, 20_750] {
        let Round::Look { since } = rounds.begin(at(now)) else {
            panic!("{now} is in time")
        };
        let look = watched.look(&watch(), parked(100), since, at(now));
        assert_eq!(look, Look::InTime, "{now}");
    }
    // It does not wake at all.
    assert_eq!(rounds.begin(at(20_875)), Round::Look { since: at(20_250) });
    let look = watched.look(&watch(), parked(100), at(20_250), at(20_875));
    assert!(matches!(look, Look::Stuck { .. }));
    assert_eq!(rounds.skipped(), 1);
}

#[test]
fn f106_one_that_was_told_of_stays_so_over_a_late_round() {
    let mut watched = Watched::NEW;
    watched.look(&watch(), parked(0), at(0), at(600));
    let look = watched.look(&watch(), parked(0), at(9_000), at(9_100));
    assert_eq!(look, Look::StillStuck { told: at(600) });
}

#[test]
fn f107_as_long_as_all_rounds_are_late_there_is_no_alarm() {
    let mut rounds = Rounds::new(at(0), Duration::from_millis(250));
    for now in (1_000..=100_000).step_by(1_000) {
        assert_eq!(rounds.begin(at(now)), Round::Late);
    }
    assert_eq!(rounds.skipped(), 100);
}

#[test]
fn f108_whoever_feeds_an_outer_watchdog_asks_for_each_critical_child() {
    let limits = Watch::new(HALF, HALF);
    let mut all = [Watched::NEW; 5];
    let fed = |all: &mut [Watched; 5], beats: [Beat; 5], critical: [bool; 5]| {
        let looks = all.iter_mut().zip(beats);
        let stuck = looks.map(|(watched, beat)| {
            watched.look(&limits, beat, at(0), at(1_000));
            watched.is_stuck(beat)
        });
        !stuck
            .zip(critical)
            .any(|(stuck, critical)| stuck && critical)
    };
    let mut beats = [working(900); 5];
    assert!(fed(&mut all, beats, [true; 5]));
    beats[3] = working(100);
    assert!(!fed(&mut all, beats, [true; 5]));
    let critical = [true, true, true, false, true];
    assert!(fed(&mut all, beats, critical));
}

#[test]
fn rounds_come_neither_early_nor_in_a_burst() {
    let mut rounds = Rounds::new(at(0), Duration::from_millis(100));
    assert_eq!(rounds.begin(at(99)), Round::Early);
    assert_eq!(rounds.begin(at(190)), Round::Look { since: at(0) });
    assert_eq!(rounds.due(), at(290));
    rounds.set_interval(at(200), Duration::from_millis(20));
    assert_eq!(rounds.due(), at(220));
    // One that is due is not put off.
    rounds.set_interval(at(219), Duration::from_secs(1));
    assert_eq!(rounds.due(), at(220));
    // An interval late is in time; a nanosecond more is not.
    let mut rounds = Rounds::new(at(0), Duration::from_millis(100));
    assert_eq!(rounds.begin(at(200)), Round::Look { since: at(0) });
    let late = Instant::from_nanos(at(400).as_nanos() + 1);
    assert_eq!(rounds.begin(late), Round::Late);
}

#[test]
fn a_beat_that_comes_while_somebody_looks_is_in_time() {
    let mut watched = Watched::NEW;
    let look = watched.look(&watch(), working(700), at(0), at(600));
    assert_eq!(look, Look::InTime);
}

#[test]
fn extremes_of_time_do_not_overflow() {
    let forever = Watch::new(Duration::MAX, Duration::MAX);
    assert_eq!(forever.interval(), Duration::from_secs(1));
    let mut watched = Watched::NEW;
    let look = watched.look(&forever, working(0), Instant::ZERO, Instant::MAX);
    assert_eq!(look, Look::InTime);
    let never = Watch::new(Duration::ZERO, Duration::ZERO);
    assert_eq!(never.interval(), Duration::from_millis(10));
    let mut rounds = Rounds::new(Instant::MAX, Duration::MAX);
    assert_eq!(rounds.due(), Instant::MAX);
    let since = Instant::MAX;
    assert_eq!(rounds.begin(Instant::MAX), Round::Look { since });
}

#[test]
fn a_beat_is_one_word() {
    for beat in [
        working(0),
        parked(0),
        working(7),
        parked(u64::MAX / 1_000_000),
    ] {
        assert_eq!(Beat::from_word(beat.to_word()), Some(beat));
    }
    assert_eq!(Beat::from_word(0), None);
    let odd = Beat {
        activity: Activity::Parked,
        at: Instant::from_nanos(u64::MAX),
    };
    let back = Beat::from_word(odd.to_word()).unwrap();
    assert_eq!(back.activity, Activity::Parked);
    assert!(odd.at.saturating_duration_since(back.at) < Duration::from_nanos(4));
}

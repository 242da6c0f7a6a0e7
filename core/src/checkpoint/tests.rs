use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn version(kept: Option<Kept>) -> Option<u64> {
    kept.map(|kept| kept.version)
}

/// Opens it, restores, and crashes so many milliseconds later.
fn crash_after(versions: &mut Versions, millis: u64) -> Option<FellBack> {
    let opening = versions.open();
    versions.restore(opening, at(1_000));
    versions.ended(opening, Ending::Crashed, at(1_000 + millis))
}

/// Two versions.
fn two(limit: CrashLimit) -> Versions {
    let mut versions = Versions::new(limit);
    let opening = versions.open();
    versions.save(opening).unwrap();
    versions.save(opening).unwrap();
    versions
}

#[test]
fn a_version_that_crashes_three_times_is_given_up_and_then_the_older_one() {
    let mut versions = two(CrashLimit::default());
    for (given_up, to) in [(2, Some(1)), (1, None)] {
        assert_eq!(crash_after(&mut versions, 0), None);
        assert_eq!(crash_after(&mut versions, 1_000), None);
        assert_eq!(versions.crashes(), 2);
        let fell = crash_after(&mut versions, 999).unwrap();
        assert_eq!((fell.given_up.version, fell.crashes), (given_up, 3));
        assert_eq!(version(fell.to), to);
        assert_eq!(version(versions.current()), to);
        assert_eq!(versions.crashes(), 0);
    }
    assert_eq!(crash_after(&mut versions, 0), None);
    assert_eq!(versions.crashes(), 0);
    let opening = versions.open();
    assert_eq!(versions.save(opening).unwrap().version, 3);
}

#[test]
fn what_lasted_is_acquitted_and_what_did_not_crash_counts_for_nothing() {
    let mut versions = two(CrashLimit::default());
    for _ in 0..2 {
        crash_after(&mut versions, 1);
    }
    let opening = versions.open();
    versions.restore(opening, at(0));
    assert_eq!(versions.ended(opening, Ending::Otherwise, at(1)), None);
    assert_eq!(versions.crashes(), 2, "it proves nothing");

    assert_eq!(crash_after(&mut versions, 1_001), None);
    assert_eq!(versions.crashes(), 0, "it had worked for long enough");

    crash_after(&mut versions, 1);
    let opening = versions.open();
    versions.restore(opening, at(0));
    assert_eq!(versions.ended(opening, Ending::Otherwise, at(1_001)), None);
    assert_eq!(versions.crashes(), 0);
}

#[test]
fn only_who_restored_the_version_counts() {
    let mut versions = two(CrashLimit::new(1, SECOND).unwrap());
    let opening = versions.open();
    assert_eq!(versions.ended(opening, Ending::Crashed, at(0)), None);

    let opening = versions.open();
    versions.restore(opening, at(0));
    versions.save(opening).unwrap();
    assert_eq!(versions.ended(opening, Ending::Crashed, at(0)), None);

    let fenced = versions.open();
    let opening = versions.open();
    assert_eq!(version(versions.restore(fenced, at(0))), Some(3), "shown");
    assert_eq!(versions.ended(fenced, Ending::Crashed, at(0)), None);
    assert_eq!(versions.ended(opening, Ending::Crashed, at(0)), None);
    assert_eq!(version(versions.current()), Some(3));
    assert!(crash_after(&mut versions, 0).is_some());
}

#[test]
fn a_new_version_has_a_clean_record() {
    let mut versions = two(CrashLimit::new(2, SECOND).unwrap());
    crash_after(&mut versions, 0);
    let opening = versions.open();
    versions.restore(opening, at(0));
    versions.save(opening).unwrap();
    assert_eq!(versions.crashes(), 0);
    assert_eq!(version(versions.older()), Some(2));
    assert_eq!(crash_after(&mut versions, 0), None);
    assert_eq!(version(crash_after(&mut versions, 0).unwrap().to), Some(2));
}

#[test]
fn who_is_fenced_changes_nothing() {
    let mut versions = two(CrashLimit::default());
    let old = versions.open();
    let new = versions.open();
    assert_eq!(versions.save(old), Err(Fenced));
    assert_eq!(versions.forget(old), Err(Fenced));
    assert_eq!(version(versions.current()), Some(2));
    assert_eq!(versions.save(new).unwrap().version, 3);

    assert_eq!(versions.ended(new, Ending::Otherwise, at(0)), None);
    assert_eq!(versions.save(new), Err(Fenced), "it is over");
    assert_eq!(versions.forget(new), Err(Fenced));
    assert_eq!(version(versions.older()), Some(2));
}

#[test]
fn a_version_is_never_put_where_the_current_one_is() {
    let mut versions = Versions::new(CrashLimit::new(1, SECOND).unwrap());
    let opening = versions.open();
    let mut before: Option<Kept> = None;
    for number in 1..6 {
        let saved = versions.save(opening).unwrap();
        assert_eq!(saved.version, number);
        assert_ne!(Some(saved.place), before.map(|before| before.place));
        assert_eq!(versions.older(), before);
        before = Some(saved);
    }
    let fell = crash_after(&mut versions, 0).unwrap();
    let opening = versions.open();
    let saved = versions.save(opening).unwrap();
    assert_eq!(saved.place, fell.given_up.place);
    assert_eq!(versions.older(), fell.to);
}

#[test]
fn what_is_forgotten_does_not_come_back() {
    let mut versions = two(CrashLimit::default());
    let opening = versions.open();
    versions.restore(opening, at(0));
    versions.forget(opening).unwrap();
    assert_eq!(versions.ended(opening, Ending::Crashed, at(0)), None);
    let opening = versions.open();
    assert_eq!(versions.restore(opening, at(0)), None);
    assert_eq!(versions.save(opening).unwrap().version, 3);
    assert_eq!(versions.older(), None);
}

#[test]
fn never_is_never_and_no_crash_is_no_limit() {
    let mut versions = two(CrashLimit::NEVER);
    for _ in 0..1_000 {
        assert_eq!(crash_after(&mut versions, 0), None);
    }
    assert_eq!(version(versions.current()), Some(2));
    assert_eq!(CrashLimit::new(0, SECOND), Err(ZeroCrashes));
}

#[test]
fn a_clock_that_goes_back_is_soon() {
    let mut versions = two(CrashLimit::new(1, Duration::ZERO).unwrap());
    let opening = versions.open();
    versions.restore(opening, at(5));
    assert!(versions.ended(opening, Ending::Crashed, at(2)).is_some());
}

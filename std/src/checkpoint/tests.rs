//! What needs two incarnations of a child that are alive at once: there is a moment for that when one is being abandoned.

use super::{Checkpoint, ForgetError, OpenError, SaveError};
use crate::process::{self, ExitReason};
use crate::supervisor::ChildRef;

fn born(path: &str, number: u64) -> ChildRef {
    process::enter(path.into(), number).unwrap()
}

#[test]
fn a_later_incarnation_takes_over_and_the_earlier_one_does_not() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    // A supervisor that was started again counts from 1.
    let (first, second) = (born("app/replaced", 7), born("app/replaced", 1));
    let old = checkpoint.open_as(&first).unwrap();
    assert_eq!(old.save(1), Ok(1));
    let new = checkpoint.open_as(&second).unwrap();
    assert_eq!(old.save(2), Err(SaveError::Replaced { value: 2 }));
    assert_eq!(old.forget(), Err(ForgetError::Replaced));
    let again = checkpoint.open_as(&first).unwrap_err();
    assert_eq!(again, OpenError::Replaced);
    assert_eq!(new.restore(), Some(1));
    assert_eq!(new.save(3), Ok(2));
    assert_eq!(checkpoint.info().holder, Some(second.pid()));

    assert!(second.end(ExitReason::Normal));
    let again = checkpoint.open_as(&first).unwrap_err();
    assert_eq!(again, OpenError::Replaced, "also when that is over");
    assert!(first.end(ExitReason::Normal));
    assert_eq!(checkpoint.open_as(&second).unwrap_err(), OpenError::Over);
}

#[test]
fn who_is_over_opens_nothing_and_is_in_nobodys_way() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    let (over, other) = (born("app/over", 1), born("app/other", 1));
    assert!(over.end(ExitReason::Normal));
    assert_eq!(checkpoint.open_as(&over).unwrap_err(), OpenError::Over);
    let opened = checkpoint.open_as(&other).unwrap();
    assert_eq!(opened.save(1), Ok(1));
    assert!(other.end(ExitReason::Normal));
}

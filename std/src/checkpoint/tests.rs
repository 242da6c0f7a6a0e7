//! What needs two incarnations of a child that are alive at once: there is a moment for that when one is being abandoned.

use super::{Checkpoint, ForgetError, OpenError, SaveError};
use crate::process::{self, ExitReason, Lineage};
use crate::supervisor::{ChildRef, ChildSpec, Strategy, Supervisor};
use core::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn born(path: &str, number: u64) -> ChildRef {
    born_in(Lineage::NONE, path, number)
}

fn born_in(lineage: Lineage, path: &str, number: u64) -> ChildRef {
    process::enter(path.into(), lineage, number).unwrap()
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

#[test]
fn another_child_of_the_same_path_takes_nothing_from_a_living_one() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    let (elders, others) = (Lineage::begin(), Lineage::begin());
    let eldest = born_in(Lineage::begin(), "pool/connection", 1);
    let elder = born_in(elders, "pool/connection", 1);
    let younger = born_in(others, "pool/connection", 1);
    let held = checkpoint.open_as(&elder).unwrap();
    assert_eq!(held.save(1), Ok(1));
    let holder = elder.pid();
    let refused = checkpoint.open_as(&younger).unwrap_err();
    assert_eq!(refused, OpenError::Held { holder });
    assert_eq!(held.save(2), Ok(2));

    // The elder one's next incarnation may, as ever.
    let next = born_in(elders, "pool/connection", 2);
    let taken = checkpoint.open_as(&next).unwrap();
    assert_eq!(held.save(3), Err(SaveError::Replaced { value: 3 }));
    assert!(next.end(ExitReason::Normal));
    assert_eq!(taken.forget(), Err(ForgetError::Over));

    // Once the holder is over, it does not matter whose it was, or who is older.
    let last = born_in(others, "pool/connection", 2);
    assert_eq!(checkpoint.open_as(&last).unwrap().save(4), Ok(3));
    assert!(last.end(ExitReason::Normal));
    assert_eq!(checkpoint.open_as(&eldest).unwrap().save(5), Ok(4));
    for child in [eldest, elder, younger] {
        assert!(child.end(ExitReason::Normal));
    }
}

#[test]
fn who_comes_back_with_its_supervisor_is_the_same_child_unless_that_is_dynamic() {
    let came_back = |strategy: Strategy| {
        let branch = ChildSpec::supervisor("branch", move || {
            let worker = ChildSpec::worker("worker", |me| while !me.stop().wait(HOUR) {});
            Supervisor::builder("branch")
                .strategy(strategy)
                .child(worker)
        });
        let supervisor = Supervisor::builder("app").child(branch).start().unwrap();
        let lineage = || {
            let branch = supervisor.handle().supervisor("branch").unwrap();
            let children = branch.children();
            assert_eq!(children.len(), 1);
            children[0].child.as_ref().unwrap().lineage()
        };
        let before = lineage();
        supervisor.handle().terminate("branch").unwrap();
        supervisor.handle().restart("branch").unwrap();
        before == lineage()
    };
    assert!(came_back(Strategy::OneForOne));
    assert!(!came_back(Strategy::Dynamic));
}

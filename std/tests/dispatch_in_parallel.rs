//! Dispatch by several threads tells every member once, outside the caller, and a panic comes back when the others
//! are done.

use bedplate::context::{self, Key};
use bedplate::groups::{EpochGroups, Handle, Member, dispatch_in_parallel};
use bedplate::process::Pid;
use std::hash::RandomState;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

type Topics = EpochGroups<&'static str, u32, RandomState>;
type Members = Vec<Member<&'static str, u32, RandomState>>;

fn threads(many: usize) -> NonZeroUsize {
    NonZeroUsize::new(many).expect("not zero")
}

fn crowd(topics: &Topics, many: u32) -> (Handle<&'static str, u32, RandomState>, Members) {
    let handle = topics.handle();
    let join = |number| {
        let mut member = topics.member(Pid::new(number, NonZeroU32::MIN));
        let joined = member.join(&handle.pin(), "topic", number);
        joined.expect("there is room");
        member
    };
    let members = (0..many).map(join).collect();
    (handle, members)
}

/// Who was told, by which thread.
fn dispatch(topics: &Topics, many: usize) -> Vec<(u32, ThreadId)> {
    let told = Mutex::new(Vec::new());
    let handle = topics.handle();
    let calls = dispatch_in_parallel(handle.pin().members("topic"), threads(many), |entry| {
        told.lock()
            .unwrap()
            .push((*entry.value(), thread::current().id()));
    });
    let mut told = told.into_inner().unwrap();
    assert_eq!(calls, told.len());
    told.sort_unstable_by_key(|&(number, _)| number);
    told
}

/// R37: outside the caller, if there is more than one part; in the caller, if not; never for nobody.
#[test]
fn r37_parallel_dispatch_runs_outside_the_caller() {
    let topics = Topics::with_hasher(RandomState::new());
    assert_eq!(dispatch(&topics, 8), [], "nobody is there");
    let here = thread::current().id();
    let (_handle, mut members) = crowd(&topics, 20);
    let told = dispatch(&topics, 8);
    assert!(told.iter().map(|(number, _)| *number).eq(0..20));
    assert!(told.iter().all(|(_, thread)| *thread != here));
    let mut used: Vec<_> = told.iter().map(|(_, thread)| *thread).collect();
    used.sort_unstable_by_key(|thread| format!("{thread:?}"));
    used.dedup();
    assert_eq!(used.len(), 8);

    let told = dispatch(&topics, 1);
    assert!(told.iter().map(|(number, _)| *number).eq(0..20));
    assert!(told.iter().all(|(_, thread)| *thread == here));

    members.truncate(1);
    assert_eq!(dispatch(&topics, 8), [(0, here)], "one is no crowd");
}

/// R37: a panic of a callback reaches the caller, and keeps nobody from being told but those whose turn on the same
/// thread would have come.
#[test]
fn r37_a_panic_reaches_the_caller_after_the_others_have_finished() {
    let topics = Topics::with_hasher(RandomState::new());
    let (handle, members) = crowd(&topics, 16);
    let told = AtomicUsize::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        dispatch_in_parallel(handle.pin().members("topic"), threads(4), |entry| {
            assert_ne!(*entry.value(), 12, "not this one");
            told.fetch_add(1, Ordering::Relaxed);
        })
    }));
    let payload = result.expect_err("it panicked");
    let message = payload.downcast_ref::<String>().expect("a text");
    assert!(message.contains("not this one"), "{message}");
    let told = told.into_inner();
    assert!(
        (12..16).contains(&told),
        "three threads had four to tell: {told}"
    );
    drop(members);
    assert!(topics.is_empty());
}

/// Each part begins in the context of the caller.
#[test]
fn callbacks_run_in_the_context_of_the_caller() {
    static REQUEST: Key<u64> = Key::new("request");
    let topics = Topics::with_hasher(RandomState::new());
    let (handle, _members) = crowd(&topics, 4);
    let calls = context::with(&REQUEST, 7, || {
        dispatch_in_parallel(handle.pin().members("topic"), threads(4), |_| {
            assert_eq!(context::get(&REQUEST), Some(7));
        })
    });
    assert_eq!(calls, 4);
}

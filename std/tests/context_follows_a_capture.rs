//! A context goes to another thread when it is captured, and only then. Cases C5 and C8.

use std::{sync::Barrier, thread};

use bedplate::context::{self, Context, Key};

static REQUEST: Key<u64> = Key::new("request");
static STEP: Key<&'static str> = Key::new("step");
static WORKER: Key<u64> = Key::new("worker").local();

/// C5: the child sees the context; later changes in the parent are not seen by it.
#[test]
fn a_child_sees_the_capture_and_no_later_change() {
    let parent_has_changed = Barrier::new(2);
    context::with(&REQUEST, 1, || {
        thread::scope(|scope| {
            let child = scope.spawn(context::in_context(|| {
                parent_has_changed.wait();
                context::set(&STEP, "child");
                context::current().to_string()
            }));
            context::set(&REQUEST, 2);
            context::set(&STEP, "parent");
            parent_has_changed.wait();
            assert_eq!(child.join().expect("child"), "step=child request=1");
            assert_eq!(context::current().to_string(), "step=parent request=2");
        });
    });
}

#[test]
fn nothing_is_inherited_without_a_capture() {
    context::with(&REQUEST, 1, || {
        let seen = thread::spawn(|| context::get(&REQUEST)).join();
        assert_eq!(seen.expect("child"), None);
    });
}

#[test]
fn a_capture_leaves_local_keys_behind() {
    context::with(&REQUEST, 1, || {
        context::with(&WORKER, 7, || {
            context::with(&STEP, "load", || {
                assert_eq!(
                    context::current().to_string(),
                    "step=load worker=7 request=1"
                );
                assert_eq!(context::capture().to_string(), "step=load request=1");
                context::capture().run(|| assert_eq!(context::get(&WORKER), None));
                assert_eq!(context::get(&WORKER), Some(7));
            });
        });
    });
}

/// The receiving thread has its own context back afterwards.
#[test]
fn the_receiver_gets_its_own_context_back() {
    let job = context::with(&REQUEST, 1, || {
        context::in_context(|| context::get(&REQUEST))
    });
    context::with(&STEP, "receiver", || {
        assert_eq!(job(), Some(1));
        assert_eq!(context::current().to_string(), "step=receiver");
    });
}

/// C8: many threads with different contexts, all at once; none sees another's.
#[test]
fn contexts_of_many_threads_do_not_mix() {
    const THREADS: u64 = 8;
    let together = Barrier::new(8);
    let shared = Context::empty().with_value(&STEP, "shared");
    thread::scope(|scope| {
        for id in 0..THREADS {
            let (together, shared) = (&together, &shared);
            scope.spawn(move || {
                together.wait();
                for round in 0..500 {
                    let _attached = Context::clone(shared).attach();
                    let request = id * 1000 + round;
                    context::with(&REQUEST, request, || {
                        if round % 50 == 0 {
                            thread::yield_now();
                        }
                        assert_eq!(context::get(&REQUEST), Some(request));
                        assert_eq!(context::get(&STEP), Some("shared"));
                    });
                    assert_eq!(context::get(&REQUEST), None);
                }
                assert!(context::current().is_empty());
            });
        }
    });
}

#[test]
fn a_context_can_be_shared() {
    fn needs_send_and_sync<T: Send + Sync + 'static>(_: &T) {}
    needs_send_and_sync(&context::current());
}

//! A child runs in the context in which it was specified, in every incarnation.

use bedplate::context::{self, Key};
use bedplate::supervisor::{ChildSpec, Supervisor};
use core::time::Duration;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

static TENANT: Key<u64> = Key::new("tenant");
static STEP: Key<u64> = Key::new("step");
static HERE: Key<u64> = Key::new("here").local();

#[test]
fn and_not_from_what_a_crashed_one_left() {
    let (contexts, seen) = mpsc::channel();
    let spec = context::with(&TENANT, 7, || {
        context::with(&HERE, 1, || {
            ChildSpec::worker("child", move |me| {
                let found = (
                    context::get(&TENANT),
                    context::get(&STEP),
                    context::get(&HERE),
                );
                contexts.send(found).unwrap();
                context::set(&STEP, me.number());
                context::with(&TENANT, 8, || {
                    assert!(me.number() > 2, "crash inside");
                    while !me.stop().wait(PATIENCE) {}
                });
            })
        })
    });
    let supervisor = context::with(&TENANT, 9, || {
        Supervisor::builder("app").child(spec).start()
    });
    for _ in 1..=3 {
        assert_eq!(seen.recv_timeout(PATIENCE), Ok((Some(7), None, None)));
    }
    assert_eq!(supervisor.unwrap().shutdown().clean, ["child"]);
}

//! A program that has no room for more threads. The number is that of the project's list of failure cases.
#![cfg(target_os = "linux")]

mod alone;
mod no_room;

use bedplate::supervisor::{ChildSpec, StartError, Supervisor};
use core::time::Duration;
use no_room::{STACK, used, with_large_stacks};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::{Arc, Mutex};

const HOUR: Duration = Duration::from_secs(3_600);
const CHILDREN: usize = 200;

#[test]
fn f8_the_start_is_refused_and_undone() {
    with_large_stacks("f8_the_start_is_refused_and_undone", || {
        let before = getrlimit(Resource::As);
        let limit = Rlimit {
            current: Some(used() + 20 * STACK + STACK / 2),
            maximum: before.maximum,
        };
        let stopped = Arc::new(Mutex::new(Vec::new()));
        let mut builder = Supervisor::builder("app").limit(0, HOUR);
        for number in 0..CHILDREN {
            let stopped = stopped.clone();
            let child = ChildSpec::worker(format!("{number}"), move |me| {
                while !me.stop().wait(HOUR) {}
                stopped.lock().unwrap().push(number);
            });
            builder = builder.child(child.stack_size(usize::try_from(STACK).unwrap()));
        }
        setrlimit(Resource::As, limit).unwrap();
        let refused = builder.start().map(drop);
        setrlimit(Resource::As, before).unwrap();

        let Err(StartError::Child { id, error }) = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(*error, StartError::Spawn(_)), "{error}");
        let refused = id.parse::<usize>().unwrap();
        // How many fit in depends on what else takes room: here it is enough that there is an order to undo.
        assert!((2..CHILDREN).contains(&refused), "{refused}");
        let stopped = stopped.lock().unwrap();
        let in_reverse: Vec<usize> = (0..refused).rev().collect();
        assert_eq!(*stopped, in_reverse);

        // It was for want of room only.
        let one = ChildSpec::worker("one", |me| while !me.stop().wait(HOUR) {});
        let supervisor = Supervisor::builder("app").child(one).start().unwrap();
        assert_eq!(supervisor.shutdown().clean, ["one"]);
    });
}

//! A program that has no room for more threads. The number is that of the project's list of failure cases.
#![cfg(target_os = "linux")]

mod alone;

use alone::alone;
use bedplate::supervisor::{ChildSpec, StartError, Supervisor};
use core::time::Duration;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::{Arc, Mutex};

const HOUR: Duration = Duration::from_secs(3_600);
/// Of each child: so much that what is left when no other fits in is enough for all else.
const STACK: usize = 64 << 20;
const CHILDREN: usize = 200;

/// How much of the address space this process uses, in bytes.
fn used() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.and_then(|text| text.parse::<u64>().ok()).unwrap() << 10
}

#[test]
fn f8_the_start_is_refused_and_undone() {
    alone("f8_the_start_is_refused_and_undone", || {
        if used() > 1 << 40 {
            println!("left out: a sanitizer has reserved all there is");
            return;
        }
        let before = getrlimit(Resource::As);
        let limit = Rlimit {
            current: Some(used() + 20 * STACK as u64),
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
            builder = builder.child(child.stack_size(STACK));
        }
        setrlimit(Resource::As, limit).unwrap();
        let refused = builder.start().map(drop);
        setrlimit(Resource::As, before).unwrap();

        let Err(StartError::Child { id, error }) = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(*error, StartError::Spawn(_)), "{error}");
        let refused = id.parse::<usize>().unwrap();
        // How many fit in depends on what the allocator reserves for each thread: here it is enough that there is an
        // order to undo.
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

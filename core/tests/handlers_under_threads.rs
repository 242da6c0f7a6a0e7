//! Handlers on real threads: several call, one attaches, detaches and reaps. Values watch that nobody is in them when
//! they come back, and that none is lost.
#![cfg(all(feature = "alloc", target_has_atomic = "ptr"))]

use bedplate_core::handlers::{Detaching, EventName, Handlers, Interest, Pattern};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PLACED: EventName<'static> = EventName::new("order.placed");
const ROUNDS: usize = if cfg!(miri) { 30 } else { 20_000 };

/// Counts who is in it, and is marked when it comes back.
struct Value {
    inside: AtomicUsize,
    returned: AtomicBool,
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Value {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self {
            inside: AtomicUsize::new(0),
            returned: AtomicBool::new(false),
        }
    }

    fn handle(&self) {
        self.inside.fetch_add(1, Ordering::Relaxed);
        assert!(
            !self.returned.load(Ordering::Relaxed),
            "called after it came back"
        );
        core::hint::spin_loop();
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.returned.store(true, Ordering::Relaxed);
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "somebody is in it");
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn callers_beside_an_editor() {
    let handlers = Handlers::<Value>::new();
    let over = AtomicBool::new(false);
    let called = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (handlers, over, called) = (&handlers, &over, &called);
            scope.spawn(move || {
                let interest = Interest::unknown();
                let mut caller = handlers.caller().expect("there is room");
                let mut calls = 0;
                while !over.load(Ordering::Relaxed) {
                    if !handlers.may_want(&interest) {
                        std::thread::yield_now();
                        continue;
                    }
                    let result = caller.call_from(&interest, &PLACED, |handler| {
                        handler.value.handle();
                        // From within: the others are called, and this one is not.
                        let inner = caller.call(&PLACED, |inner| {
                            assert!(!core::ptr::eq(inner.value, handler.value));
                            inner.value.handle();
                        });
                        assert!(inner.is_ok_and(|inner| inner.left_out <= 1));
                    });
                    calls += result.expect("not deep").called;
                    // Seats change hands.
                    if thread == 0 && calls % 64 == 0 {
                        drop(caller);
                        caller = handlers.caller().expect("there is room");
                    }
                }
                called.fetch_add(calls, Ordering::Relaxed);
            });
        }
        let mut editor = handlers.claim_editor().expect("nobody else edits");
        let mut pending: Vec<Detaching<'_, Value>> = Vec::new();
        for round in 0..ROUNDS {
            let id = if round % 2 == 0 { "even" } else { "odd" };
            if let Some(detaching) = editor.detach(id) {
                if round % 5 == 0 {
                    // Nobody asks: it goes with the list.
                    drop(detaching);
                } else {
                    pending.push(detaching);
                }
            }
            editor
                .attach(id, &[Pattern::exactly(PLACED)], Value::new())
                .expect("there is room");
            pending = pending
                .into_iter()
                .filter_map(|detaching| detaching.finish().map(drop).err())
                .collect();
            if round % 3 == 0 {
                drop(editor.reap());
            }
        }
        over.store(true, Ordering::Relaxed);
        for mut detaching in pending {
            while let Err(running) = detaching.finish() {
                detaching = running;
                std::thread::yield_now();
            }
        }
    });
    assert!(called.into_inner() > 0, "somebody was called");
    drop(handlers);
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "nothing leaks");
}

/// What is reaped comes one by one, for who has to drop users' values one by one; what is shared stays.
#[test]
fn what_is_reaped_comes_one_by_one() {
    let handlers = Handlers::<u32>::new();
    let mut editor = handlers.claim_editor().expect("nobody else edits");
    let caller = handlers.caller().expect("there is room");
    for (id, value) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        let attached = editor.attach(id, &[Pattern::EVERYTHING], value);
        attached.expect("there is room");
    }
    let mut kept: Option<Detaching<'_, u32>> = None;
    caller
        .call(&PLACED, |handler| {
            if handler.id == "a" {
                for id in ["a", "b"] {
                    drop(editor.detach(id).expect("it is attached"));
                }
                kept = editor.detach("c");
                assert_eq!(editor.reap().count(), 0, "it is being read");
            }
        })
        .expect("not too deep");
    let mut reaped: Vec<u32> = editor.reap().collect();
    reaped.sort_unstable();
    assert_eq!(reaped, [1, 2], "`d` is attached, and `c` is held");
    assert_eq!(kept.and_then(|it| it.finish().ok()), Some(3));
    assert_eq!(editor.get("d"), Some(&4));
}

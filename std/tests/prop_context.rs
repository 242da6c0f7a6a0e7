//! Random programs of scopes, guards, changes and panics, against an oracle that keeps contexts as
//! plain lists of pairs.

use core::panic::AssertUnwindSafe;
use std::panic::{self, resume_unwind};

use bedplate::context::{self, Attached, Context, Key, MAX_KEYS};
use proptest::prelude::*;

const KEYS: usize = 40;
static KEY: [Key<u32>; KEYS] = [const { Key::new("k") }; KEYS];

#[derive(Clone, Debug)]
enum Step {
    With(usize, u32, Vec<Step>),
    RunEmpty(Vec<Step>),
    /// The body ends in a panic, which is caught around the scope.
    Panicking(usize, u32, Vec<Step>),
    Attach(usize, u32),
    AttachEmpty,
    DropGuard(prop::sample::Index),
    ForgetGuard(prop::sample::Index),
    Set(usize, u32),
    SetMany(u32),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![3 => 0..4usize, 1 => 0..KEYS];
    let leaf = prop_oneof![
        4 => (key.clone(), any::<u32>()).prop_map(|(k, v)| Step::Attach(k, v)),
        1 => Just(Step::AttachEmpty),
        5 => any::<prop::sample::Index>().prop_map(Step::DropGuard),
        1 => any::<prop::sample::Index>().prop_map(Step::ForgetGuard),
        4 => (key.clone(), any::<u32>()).prop_map(|(k, v)| Step::Set(k, v)),
        1 => any::<u32>().prop_map(Step::SetMany),
        1 => Just(Step::Clear),
    ];
    let step = leaf.prop_recursive(6, 80, 10, move |inner| {
        let body = prop::collection::vec(inner, 0..10);
        prop_oneof![
            4 => (key.clone(), any::<u32>(), body.clone()).prop_map(|(k, v, b)| Step::With(k, v, b)),
            1 => body.clone().prop_map(Step::RunEmpty),
            1 => (key.clone(), any::<u32>(), body).prop_map(|(k, v, b)| Step::Panicking(k, v, b)),
        ]
    });
    prop::collection::vec(step, 0..20)
}

/// The oracle's context: pairs, newest last, each key once; and how many were dropped.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pairs {
    pairs: Vec<(usize, u32)>,
    dropped: u32,
}

impl Pairs {
    fn plus(&self, key: usize, value: u32) -> Self {
        let mut next = self.clone();
        next.pairs.retain(|(other, _)| *other != key);
        if next.pairs.len() == MAX_KEYS {
            next.dropped += 1;
        } else {
            next.pairs.push((key, value));
        }
        next
    }
}

/// Everything that is open, oldest first. What is current is restored from the last entries.
#[derive(Debug, Default)]
struct Oracle {
    current: Pairs,
    open: Vec<Open>,
    next_name: usize,
}

#[derive(Debug)]
struct Open {
    name: usize,
    before: Pairs,
    gone: bool,
}

impl Oracle {
    fn enter(&mut self, next: Pairs) -> usize {
        let before = core::mem::replace(&mut self.current, next);
        let name = self.next_name;
        self.next_name += 1;
        self.open.push(Open {
            name,
            before,
            gone: false,
        });
        name
    }

    fn leave_guard(&mut self, name: usize) {
        if let Some(open) = self.open.iter_mut().find(|open| open.name == name) {
            open.gone = true;
        }
        self.settle();
    }

    fn leave_scope(&mut self, name: usize) {
        let at = self.open.iter().position(|open| open.name == name);
        self.open.truncate(at.expect("scopes nest") + 1);
        self.leave_guard(name);
    }

    fn settle(&mut self) {
        while self.open.last().is_some_and(|open| open.gone) {
            self.current = self.open.pop().expect("not empty").before;
        }
    }
}

#[derive(Default)]
struct Run {
    oracle: Oracle,
    guards: Vec<(usize, Attached)>,
}

impl Run {
    fn check(&self) {
        let expected = &self.oracle.current;
        let current = context::current();
        for (index, key) in KEY.iter().enumerate() {
            let value = expected
                .pairs
                .iter()
                .find(|(key, _)| *key == index)
                .map(|(_, value)| *value);
            assert_eq!(context::get(key), value);
            assert_eq!(current.get(key), value);
        }
        let mut printed: Vec<String> = expected
            .pairs
            .iter()
            .rev()
            .map(|(_, value)| format!("k={value}"))
            .collect();
        assert_eq!(current.len(), printed.len());
        if expected.dropped > 0 {
            printed.push(format!("context_dropped={}", expected.dropped));
        }
        assert_eq!(current.to_string(), printed.join(" "));
        assert_eq!(current.is_empty(), printed.is_empty());
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
            self.check();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::With(key, value, body) => {
                let name = self.oracle.enter(self.oracle.current.plus(*key, *value));
                context::with(&KEY[*key], *value, || self.steps(body));
                self.oracle.leave_scope(name);
            }
            Step::RunEmpty(body) => {
                let name = self.oracle.enter(Pairs::default());
                Context::empty().run(|| self.steps(body));
                self.oracle.leave_scope(name);
            }
            Step::Panicking(key, value, body) => {
                let name = self.oracle.enter(self.oracle.current.plus(*key, *value));
                let caught = panic::catch_unwind(AssertUnwindSafe(|| {
                    context::with(&KEY[*key], *value, || {
                        self.steps(body);
                        resume_unwind(Box::new("on purpose"));
                    });
                }));
                let payload = caught.expect_err("the body panics");
                if payload.downcast_ref() != Some(&"on purpose") {
                    resume_unwind(payload);
                }
                self.oracle.leave_scope(name);
            }
            Step::Attach(key, value) => {
                let name = self.oracle.enter(self.oracle.current.plus(*key, *value));
                let next = context::current().with_value(&KEY[*key], *value);
                self.guards.push((name, next.attach()));
            }
            Step::AttachEmpty => {
                let name = self.oracle.enter(Pairs::default());
                self.guards.push((name, Context::empty().attach()));
            }
            Step::DropGuard(index) => {
                if !self.guards.is_empty() {
                    let (name, guard) = self.guards.remove(index.index(self.guards.len()));
                    drop(guard);
                    self.oracle.leave_guard(name);
                }
            }
            Step::ForgetGuard(index) => {
                if !self.guards.is_empty() {
                    let (_, guard) = self.guards.remove(index.index(self.guards.len()));
                    core::mem::forget(guard);
                }
            }
            Step::Set(key, value) => {
                self.oracle.current = self.oracle.current.plus(*key, *value);
                context::set(&KEY[*key], *value);
            }
            Step::SetMany(value) => {
                for key in &KEY {
                    context::set(key, *value);
                }
                for key in 0..KEYS {
                    self.oracle.current = self.oracle.current.plus(key, *value);
                }
            }
            Step::Clear => {
                self.oracle.current = Pairs::default();
                context::clear();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_thread_agrees_with_the_oracle(steps in steps()) {
        // A thread of its own: a forgotten guard would stay with the next case.
        let outcome = std::thread::spawn(move || {
            let mut run = Run::default();
            run.steps(&steps);
            while let Some((name, guard)) = run.guards.pop() {
                drop(guard);
                run.oracle.leave_guard(name);
                run.check();
            }
        })
        .join();
        if let Err(payload) = outcome {
            resume_unwind(payload);
        }
    }
}

//! Histories recorded from real threads are linearizable, for each key.

use bedplate_core::id::Pid;
use bedplate_core::registry::{Entry, EpochRegistry, FixedRegistry, RegisterError, SpinLock};
use core::hash::BuildHasherDefault;
use core::num::NonZeroU32;
use loom_tests::linearize::{Observed, Sequential, is_linearizable};
use loom_tests::subject::{Constant, Mix};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const THREADS: u32 = 3;
const OPERATIONS: u32 = 7;
const ROUNDS: u64 = 1_500;

/// Who holds the one key, with which value.
type Holder = Option<(u32, u32)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    /// This process registers the key with this value.
    Register(u32, u32),
    /// It takes the key over.
    TakeOver(u32, u32),
    /// It takes the key over, if the value there is even.
    TakeOverIfEven(u32, u32),
    /// It replaces the value, if it holds the key.
    Update(u32, u32),
    /// It gives the key up.
    Unregister(u32),
    /// It dies.
    Die(u32),
    /// Who holds it?
    Lookup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Registered(bool),
    /// It was held like this before.
    Took(Holder),
    /// Refused, by whom.
    HeldBy(u32),
    Found(Holder),
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct OneKey(Holder);

impl Sequential for OneKey {
    type Operation = Operation;
    type Answer = Answer;

    fn apply(&mut self, operation: &Operation) -> Answer {
        match (*operation, self.0) {
            (Operation::Register(..), Some((holder, _))) => Answer::HeldBy(holder),
            (Operation::Register(process, value), None) => {
                self.0 = Some((process, value));
                Answer::Registered(true)
            }
            (Operation::TakeOver(process, value), before) => {
                self.0 = Some((process, value));
                Answer::Took(before)
            }
            (Operation::TakeOverIfEven(..), Some((holder, old))) if old % 2 == 1 => {
                Answer::HeldBy(holder)
            }
            (Operation::TakeOverIfEven(process, value), before) => {
                self.0 = Some((process, value));
                Answer::Took(before)
            }
            (Operation::Update(process, value), Some((holder, _))) if holder == process => {
                self.0 = Some((process, value));
                Answer::Registered(true)
            }
            (Operation::Update(..), _) => Answer::Registered(false),
            (Operation::Unregister(process), Some((holder, _))) if holder == process => {
                self.0 = None;
                Answer::Registered(true)
            }
            (Operation::Unregister(_), _) => Answer::Registered(false),
            (Operation::Die(process), holder) => {
                self.0 = holder.filter(|(holder, _)| *holder != process);
                Answer::Done
            }
            (Operation::Lookup, holder) => Answer::Found(holder),
        }
    }
}

type History = Vec<Observed<Operation, Answer>>;

/// Decides what each thread does next, the same in every run of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Lets `THREADS` threads work on one key at once, each with the function `work` makes for it, and
/// returns what was observed.
fn record<W: FnMut(Operation) -> Answer>(seed: u64, work: impl Fn(u32) -> W + Sync) -> History {
    let clock = AtomicU64::new(0);
    let begin = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|process| {
                let (clock, begin, work) = (&clock, &begin, &work);
                scope.spawn(move || {
                    let mut random = Random(seed * 7919 + u64::from(process) + 1);
                    let mut work = work(process);
                    begin.wait();
                    let observe = |number| {
                        let value = process * 100 + number;
                        let operation = match random.below(13) {
                            // In the end everybody dies, so that nothing happens unrecorded.
                            _ if number == OPERATIONS => Operation::Die(process),
                            0..=2 => Operation::Register(process, value),
                            3 => Operation::Unregister(process),
                            4 => Operation::Die(process),
                            5 => Operation::TakeOver(process, value),
                            11..=12 => Operation::TakeOverIfEven(process, value),
                            6..=7 => Operation::Update(process, value),
                            _ => Operation::Lookup,
                        };
                        // The clock's increments are in one order, and neither moves past the
                        // operation between them: AcqRel is both a barrier up and a barrier down.
                        let called = clock.fetch_add(1, Ordering::AcqRel);
                        let answer = work(operation);
                        let returned = clock.fetch_add(1, Ordering::AcqRel);
                        Observed {
                            called,
                            returned,
                            operation,
                            answer,
                        }
                    };
                    (0..=OPERATIONS).map(observe).collect::<History>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

fn pid(process: u32) -> Pid {
    Pid::new(process, NonZeroU32::MIN)
}

fn check_epoch<H: core::hash::Hasher + Default + Send + Sync>() {
    for seed in 1..=ROUNDS {
        let registry = EpochRegistry::<u8, u32, _>::with_hasher(BuildHasherDefault::<H>::default());
        let history = record(seed, |process| {
            let handle = registry.handle();
            let registry = registry.clone();
            let mut owner = registry.owner(pid(process));
            move |operation| match operation {
                Operation::Register(_, value) => match owner.register(&handle.pin(), 7, value) {
                    Ok(_) => Answer::Registered(true),
                    Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                        Answer::HeldBy(holder.slot())
                    }
                    Err(other) => panic!("{other}"),
                },
                Operation::TakeOver(_, value) => {
                    let guard = handle.pin();
                    let before = owner.take_over(&guard, 7, value).expect("no limit");
                    Answer::Took(before.map(|entry| (entry.owner().slot(), *entry.value())))
                }
                Operation::TakeOverIfEven(_, value) => {
                    let guard = handle.pin();
                    let is_even = |entry: Entry<'_, u8, u32>| entry.value().is_multiple_of(2);
                    match owner.take_over_if(&guard, 7, value, is_even) {
                        Ok(before) => {
                            let before = before.map(|entry| (entry.owner().slot(), *entry.value()));
                            Answer::Took(before)
                        }
                        Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                            Answer::HeldBy(holder.slot())
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Operation::Update(_, value) => {
                    let updated = owner.update(&handle.pin(), &7, |_| value);
                    Answer::Registered(updated.is_ok())
                }
                Operation::Unregister(_) => Answer::Registered(owner.unregister(&handle.pin(), &7)),
                Operation::Die(_) => {
                    owner = registry.owner(pid(process));
                    Answer::Done
                }
                Operation::Lookup => Answer::Found(
                    handle
                        .pin()
                        .lookup(&7)
                        .map(|entry| (entry.owner().slot(), *entry.value())),
                ),
            }
        });
        assert!(
            is_linearizable(OneKey(None), &history),
            "seed {seed}: {history:#?}"
        );
    }
}

#[test]
fn the_epoch_registry_is_linearizable() {
    check_epoch::<Mix>();
}

#[test]
fn so_it_is_when_all_keys_share_a_hash() {
    check_epoch::<Constant>();
}

#[test]
fn the_fixed_registry_is_linearizable() {
    for seed in 1..=ROUNDS {
        let registry = FixedRegistry::<u8, u32, 8, SpinLock>::new();
        let history = record(seed, |process| {
            let registry = &registry;
            let mut owner = registry.owner(pid(process));
            move |operation| match operation {
                Operation::Register(_, value) => match owner.register(7, value) {
                    Ok(_) => Answer::Registered(true),
                    Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                        Answer::HeldBy(holder.slot())
                    }
                    Err(other) => panic!("{other}"),
                },
                Operation::TakeOver(_, value) => {
                    let before = owner.take_over(7, value).expect("there is room");
                    Answer::Took(before.map(|(owner, value)| (owner.slot(), value)))
                }
                Operation::TakeOverIfEven(_, value) => {
                    match owner.take_over_if(7, value, |_, _, old| old.is_multiple_of(2)) {
                        Ok(before) => {
                            Answer::Took(before.map(|(owner, value)| (owner.slot(), value)))
                        }
                        Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                            Answer::HeldBy(holder.slot())
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Operation::Update(_, value) => {
                    Answer::Registered(owner.update(&7, |_| value).is_ok())
                }
                Operation::Unregister(_) => Answer::Registered(owner.unregister(&7)),
                Operation::Die(_) => {
                    owner = registry.owner(pid(process));
                    Answer::Done
                }
                Operation::Lookup => Answer::Found(
                    registry
                        .lookup(&7)
                        .map(|(owner, value)| (owner.slot(), value)),
                ),
            }
        });
        assert!(
            is_linearizable(OneKey(None), &history),
            "seed {seed}: {history:#?}"
        );
    }
}

/// The check can fail: histories that no sequential registry could have had are found out.
#[test]
fn impossible_histories_are_found_out() {
    let at = |called, returned, operation, answer| Observed {
        called,
        returned,
        operation,
        answer,
    };
    let registered = Answer::Registered(true);
    let impossible: [History; 4] = [
        // Two hold one key.
        vec![
            at(0, 3, Operation::Register(1, 1), registered),
            at(1, 2, Operation::Register(2, 2), registered),
        ],
        // A dead owner is found.
        vec![
            at(0, 1, Operation::Register(1, 1), registered),
            at(2, 3, Operation::Die(1), Answer::Done),
            at(4, 5, Operation::Lookup, Answer::Found(Some((1, 1)))),
        ],
        // A name is missing that is held all along.
        vec![
            at(0, 1, Operation::Register(1, 1), registered),
            at(2, 3, Operation::Lookup, Answer::Found(None)),
            at(4, 5, Operation::Unregister(1), registered),
        ],
        // It goes back to the first after the second was seen.
        vec![
            at(0, 1, Operation::Register(1, 1), registered),
            at(2, 9, Operation::Unregister(1), registered),
            at(3, 8, Operation::Register(2, 2), registered),
            at(4, 5, Operation::Lookup, Answer::Found(Some((2, 2)))),
            at(6, 7, Operation::Lookup, Answer::Found(Some((1, 1)))),
        ],
    ];
    for history in impossible {
        assert!(!is_linearizable(OneKey(None), &history), "{history:#?}");
    }
    // … and one that looks odd but is possible is not.
    let possible = vec![
        at(0, 5, Operation::Register(1, 1), registered),
        at(1, 2, Operation::Lookup, Answer::Found(Some((1, 1)))),
        at(3, 4, Operation::Register(2, 2), Answer::HeldBy(1)),
    ];
    assert!(is_linearizable(OneKey(None), &possible));
}

//! Histories recorded from real threads are linearizable, also where several keys change in one step.

use bedplate_core::id::Pid;
use bedplate_core::registry::{
    Entry, EpochRegistry, FixedRegistry, RegisterError, RegisterManyError, SpinLock,
};
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

/// How many keys there are.
const KEYS: usize = 2;

/// Who holds a key, with which value.
type Holder = Option<(u32, u32)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    /// This process registers the key with this value.
    Register(u32, usize, u32),
    /// It registers all keys with this value, the first one last if it is odd.
    RegisterAll(u32, u32),
    /// It takes the key over.
    TakeOver(u32, usize, u32),
    /// It takes the key over, if the value there is even.
    TakeOverIfEven(u32, usize, u32),
    /// It replaces the value, if it holds the key.
    Update(u32, usize, u32),
    /// It gives the key up.
    Unregister(u32, usize),
    /// It gives up all it holds, one after the other, the last key first.
    Die(u32, usize),
    /// Who holds it?
    Lookup(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Registered(bool),
    /// It was held like this before.
    Took(Holder),
    /// Refused, by whom.
    HeldBy(u32),
    /// All refused, for this key, by whom.
    OneHeldBy(usize, u32),
    /// All refused, for nothing that is there.
    Contended,
    Found(Holder),
    Done,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Keys([Holder; KEYS]);

impl Sequential for Keys {
    type Operation = Operation;
    type Answer = Answer;

    fn apply(&mut self, operation: &Operation) -> Answer {
        if let Operation::RegisterAll(process, value) = *operation {
            let held = self.0.iter().enumerate();
            let mut held = held.filter_map(|(key, held)| Some((key, (*held)?.0)));
            if let Some((key, holder)) = held.next() {
                return Answer::OneHeldBy(key, holder);
            }
            self.0 = [Some((process, value)); KEYS];
            return Answer::Registered(true);
        }
        let (Operation::Register(_, key, _)
        | Operation::TakeOver(_, key, _)
        | Operation::TakeOverIfEven(_, key, _)
        | Operation::Update(_, key, _)
        | Operation::Unregister(_, key)
        | Operation::Die(_, key)
        | Operation::Lookup(key)) = *operation
        else {
            unreachable!("of all keys, and done above")
        };
        let held = &mut self.0[key];
        match (*operation, *held) {
            (Operation::Register(..), Some((holder, _))) => Answer::HeldBy(holder),
            (Operation::Register(process, _, value), None) => {
                *held = Some((process, value));
                Answer::Registered(true)
            }
            (Operation::TakeOver(process, _, value), before) => {
                *held = Some((process, value));
                Answer::Took(before)
            }
            (Operation::TakeOverIfEven(..), Some((holder, old))) if old % 2 == 1 => {
                Answer::HeldBy(holder)
            }
            (Operation::TakeOverIfEven(process, _, value), before) => {
                *held = Some((process, value));
                Answer::Took(before)
            }
            (Operation::Update(process, _, value), Some((holder, _))) if holder == process => {
                *held = Some((process, value));
                Answer::Registered(true)
            }
            (Operation::Update(..), _) => Answer::Registered(false),
            (Operation::Unregister(process, _), Some((holder, _))) if holder == process => {
                *held = None;
                Answer::Registered(true)
            }
            (Operation::Unregister(..), _) => Answer::Registered(false),
            (Operation::Die(process, _), holder) => {
                *held = holder.filter(|(holder, _)| *holder != process);
                Answer::Done
            }
            (Operation::Lookup(_), holder) => Answer::Found(holder),
            (Operation::RegisterAll(..), _) => unreachable!("done above"),
        }
    }

    fn may_answer(&mut self, operation: &Operation, answer: &Answer) -> bool {
        match (operation, answer) {
            // Any of the keys that are held will do.
            (Operation::RegisterAll(..), Answer::OneHeldBy(key, by)) => {
                self.0[*key].is_some_and(|(holder, _)| holder == *by)
            }
            // It may give up, and then has done nothing.
            (Operation::RegisterAll(..), Answer::Contended) => true,
            _ => self.apply(operation) == *answer,
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

/// Lets `THREADS` threads work on the same keys at once, each with the function `work` makes for it, and
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
                        let key = usize::from(random.below(2) > 0);
                        let operation = match random.below(17) {
                            // In the end everybody dies, so that nothing happens unrecorded.
                            _ if number == OPERATIONS => Operation::Die(process, 0),
                            0..=1 => Operation::Register(process, key, value),
                            2..=4 => Operation::RegisterAll(process, value),
                            5 => Operation::Unregister(process, key),
                            6..=7 => Operation::Die(process, 0),
                            8 => Operation::TakeOver(process, key, value),
                            9..=10 => Operation::TakeOverIfEven(process, key, value),
                            11..=12 => Operation::Update(process, key, value),
                            _ => Operation::Lookup(key),
                        };
                        // The clock's increments are in one order, and neither moves past the
                        // operation between them: AcqRel is both a barrier up and a barrier down.
                        let called = clock.fetch_add(1, Ordering::AcqRel);
                        let answer = work(operation);
                        let returned = clock.fetch_add(1, Ordering::AcqRel);
                        let observed = |operation| Observed {
                            called,
                            returned,
                            operation,
                            answer,
                        };
                        match operation {
                            // What it holds goes one by one.
                            Operation::Die(process, _) => (0..KEYS)
                                .map(|key| observed(Operation::Die(process, key)))
                                .collect(),
                            operation => vec![observed(operation)],
                        }
                    };
                    (0..=OPERATIONS).flat_map(observe).collect::<History>()
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

fn key_of(number: usize) -> u8 {
    7 + u8::from(number > 0)
}

/// All keys with this value.
fn pairs(value: u32) -> [(u8, u32); KEYS] {
    let mut pairs = core::array::from_fn(|number| (key_of(number), value));
    if value % 2 == 1 {
        pairs.reverse();
    }
    pairs
}

fn answer_of<T, P>(value: u32, result: Result<T, RegisterManyError<P>>) -> Answer {
    match result {
        Ok(_) => Answer::Registered(true),
        Err(RegisterManyError::AlreadyRegistered { at, holder, .. }) => {
            let number = if value % 2 == 1 { KEYS - 1 - at } else { at };
            Answer::OneHeldBy(number, holder.slot())
        }
        Err(RegisterManyError::Contended { .. }) => Answer::Contended,
        Err(other) => panic!("{other}"),
    }
}

fn check_epoch<H: core::hash::Hasher + Default + Send + Sync>() {
    for seed in 1..=ROUNDS {
        let registry = EpochRegistry::<u8, u32, _>::with_hasher(BuildHasherDefault::<H>::default());
        let history = record(seed, |process| {
            let handle = registry.handle();
            let registry = registry.clone();
            let mut owner = registry.owner(pid(process));
            move |operation| match operation {
                Operation::Register(_, key, value) => {
                    match owner.register(&handle.pin(), key_of(key), value) {
                        Ok(_) => Answer::Registered(true),
                        Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                            Answer::HeldBy(holder.slot())
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Operation::RegisterAll(_, value) => answer_of(
                    value,
                    owner.register_many(&handle.pin(), pairs(value).into()),
                ),
                Operation::TakeOver(_, key, value) => {
                    let guard = handle.pin();
                    let before = owner
                        .take_over(&guard, key_of(key), value)
                        .expect("no limit");
                    Answer::Took(before.map(|entry| (entry.owner().slot(), *entry.value())))
                }
                Operation::TakeOverIfEven(_, key, value) => {
                    let guard = handle.pin();
                    let is_even = |entry: Entry<'_, u8, u32>| entry.value().is_multiple_of(2);
                    match owner.take_over_if(&guard, key_of(key), value, is_even) {
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
                Operation::Update(_, key, value) => {
                    let updated = owner.update(&handle.pin(), &key_of(key), |_| value);
                    Answer::Registered(updated.is_ok())
                }
                Operation::Unregister(_, key) => {
                    Answer::Registered(owner.unregister(&handle.pin(), &key_of(key)))
                }
                Operation::Die(..) => {
                    owner = registry.owner(pid(process));
                    Answer::Done
                }
                Operation::Lookup(key) => Answer::Found(
                    handle
                        .pin()
                        .lookup(&key_of(key))
                        .map(|entry| (entry.owner().slot(), *entry.value())),
                ),
            }
        });
        assert!(
            is_linearizable(Keys::default(), &history),
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
                Operation::Register(_, key, value) => match owner.register(key_of(key), value) {
                    Ok(_) => Answer::Registered(true),
                    Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                        Answer::HeldBy(holder.slot())
                    }
                    Err(other) => panic!("{other}"),
                },
                Operation::RegisterAll(_, value) => {
                    answer_of(value, owner.register_many(pairs(value)))
                }
                Operation::TakeOver(_, key, value) => {
                    let before = owner.take_over(key_of(key), value).expect("there is room");
                    Answer::Took(before.map(|(owner, value)| (owner.slot(), value)))
                }
                Operation::TakeOverIfEven(_, key, value) => {
                    match owner.take_over_if(key_of(key), value, |_, _, old| old.is_multiple_of(2))
                    {
                        Ok(before) => {
                            Answer::Took(before.map(|(owner, value)| (owner.slot(), value)))
                        }
                        Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                            Answer::HeldBy(holder.slot())
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Operation::Update(_, key, value) => {
                    Answer::Registered(owner.update(&key_of(key), |_| value).is_ok())
                }
                Operation::Unregister(_, key) => Answer::Registered(owner.unregister(&key_of(key))),
                Operation::Die(..) => {
                    owner = registry.owner(pid(process));
                    Answer::Done
                }
                Operation::Lookup(key) => Answer::Found(
                    registry
                        .lookup(&key_of(key))
                        .map(|(owner, value)| (owner.slot(), value)),
                ),
            }
        });
        assert!(
            is_linearizable(Keys::default(), &history),
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
    let impossible: [History; 6] = [
        // Two hold one key.
        vec![
            at(0, 3, Operation::Register(1, 0, 1), registered),
            at(1, 2, Operation::Register(2, 0, 2), registered),
        ],
        // A dead owner is found.
        vec![
            at(0, 1, Operation::Register(1, 0, 1), registered),
            at(2, 3, Operation::Die(1, 0), Answer::Done),
            at(4, 5, Operation::Lookup(0), Answer::Found(Some((1, 1)))),
        ],
        // A name is missing that is held all along.
        vec![
            at(0, 1, Operation::Register(1, 0, 1), registered),
            at(2, 3, Operation::Lookup(0), Answer::Found(None)),
            at(4, 5, Operation::Unregister(1, 0), registered),
        ],
        // It goes back to the first after the second was seen.
        vec![
            at(0, 1, Operation::Register(1, 0, 1), registered),
            at(2, 9, Operation::Unregister(1, 0), registered),
            at(3, 8, Operation::Register(2, 0, 2), registered),
            at(4, 5, Operation::Lookup(0), Answer::Found(Some((2, 2)))),
            at(6, 7, Operation::Lookup(0), Answer::Found(Some((1, 1)))),
        ],
        // One of a batch is seen, and then another is missing.
        vec![
            at(0, 5, Operation::RegisterAll(1, 1), registered),
            at(1, 2, Operation::Lookup(1), Answer::Found(Some((1, 1)))),
            at(3, 4, Operation::Lookup(0), Answer::Found(None)),
        ],
        // A batch is refused for a key that nobody holds.
        vec![
            at(0, 1, Operation::Register(1, 0, 1), registered),
            at(2, 3, Operation::RegisterAll(2, 2), Answer::OneHeldBy(1, 1)),
        ],
    ];
    for history in impossible {
        assert!(!is_linearizable(Keys::default(), &history), "{history:#?}");
    }
    // … and one that looks odd but is possible is not.
    let possible = vec![
        at(0, 5, Operation::Register(1, 0, 1), registered),
        at(1, 2, Operation::Lookup(0), Answer::Found(Some((1, 1)))),
        at(3, 4, Operation::Register(2, 0, 2), Answer::HeldBy(1)),
    ];
    assert!(is_linearizable(Keys::default(), &possible));
}

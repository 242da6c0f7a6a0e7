//! Frames against contexts that are lists.
//!
//! Two stores, a small one, in which there is soon no room, and one that grows. Whatever is refused must have changed
//! nothing, so the oracle is asked only for what was not.

use super::Bytes;
use crate::oracle::context::Contexts;
use bedplate_core::context::{Attachment, Entry, FixedFrames, Frames, Scope, Snapshot, Store};
use core::panic::AssertUnwindSafe;
use std::panic::{catch_unwind, resume_unwind};

const KEYS: u8 = 6;

/// Entries of the small store.
const ROOM: usize = 8;

/// Entries of a context in the store that grows.
const LIMIT: usize = 12;

/// Something asked of frames.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Begin a scope with a value.
    Enter(u8, u32),
    /// Begin a scope with another context: that of a number, or an empty one.
    EnterBase(Option<u8>),
    /// End the scope that began last.
    Leave,
    /// Attach a context.
    Attach(Option<u8>),
    /// Drop one of the attachments.
    Detach(u8),
    /// Forget one of them.
    Forget(u8),
    /// Drop one that has been dropped before, or whose scope has ended.
    DetachStale(u8),
    /// Put a value under a key.
    Set(u8, u32),
    /// Replace all.
    Reset(Option<u8>),
    /// A scope with a value that ends in a panic, in which all is changed.
    Panic(u8, u32),
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        if !bytes.more() {
            return None;
        }
        let which = bytes.below(20);
        let context = |bytes: &mut Bytes<'_>| {
            let number = bytes.below(4);
            number.checked_sub(1)
        };
        Some(match which {
            0..=4 => Self::Enter(bytes.below(KEYS), bytes.byte().into()),
            5 => Self::EnterBase(context(bytes)),
            6..=9 => Self::Leave,
            10 | 11 => Self::Attach(context(bytes)),
            12 | 13 => Self::Detach(bytes.byte()),
            14 => Self::Forget(bytes.byte()),
            15 => Self::DetachStale(bytes.byte()),
            16 | 17 => Self::Set(bytes.below(KEYS), bytes.byte().into()),
            18 => Self::Reset(context(bytes)),
            _ => Self::Panic(bytes.below(KEYS), bytes.byte().into()),
        })
    }
}

type Shot = Snapshot<u8, u32, ROOM>;

/// Runs the sequence in `bytes` against frames in both stores.
///
/// # Panics
/// If what is in force is not what the oracle says.
pub fn run(bytes: &[u8]) {
    let shots = shots();
    with(bytes, &shots, FixedFrames::<u8, u32, ROOM>::fixed());
    with(bytes, &shots, Frames::new(Vec::new(), None, LIMIT));
}

/// Contexts that were made elsewhere.
fn shots() -> Vec<Shot> {
    let mut maker = FixedFrames::<u8, u32, ROOM>::fixed();
    (0..3)
        .map(|number| {
            let value = 1000 + u32::from(number);
            let set = maker
                .set(number, value)
                .and_then(|_| maker.set(number + 1, value + 1));
            set.expect("there is room");
            maker.snapshot(|key| *key != 2)
        })
        .collect()
}

struct Run<'a, S> {
    frames: Frames<u8, u32, Option<&'a Shot>, S>,
    shots: &'a [Shot],
    oracle: Contexts,
    scopes: Vec<Scope>,
    attached: Vec<(usize, Attachment)>,
    stale: Vec<Attachment>,
}

fn with<'a, S>(bytes: &[u8], shots: &'a [Shot], frames: Frames<u8, u32, Option<&'a Shot>, S>)
where
    S: Store<Entry<u8, u32, Option<&'a Shot>>>,
{
    let mut bytes = Bytes::new(bytes);
    let mut run = Run {
        frames,
        shots,
        oracle: Contexts::default(),
        scopes: Vec::new(),
        attached: Vec::new(),
        stale: Vec::new(),
    };
    while let Some(operation) = Operation::read(&mut bytes) {
        run.step(operation);
        run.check();
    }
    while let Some(scope) = run.scopes.pop() {
        run.frames.leave(scope);
        run.oracle.leave();
        run.check();
    }
    while let Some((name, attachment)) = run.attached.pop() {
        run.frames.detach(attachment);
        run.oracle.detach(name);
        run.check();
    }
}

impl<'a, S> Run<'a, S>
where
    S: Store<Entry<u8, u32, Option<&'a Shot>>>,
{
    fn shot(&self, number: Option<u8>) -> Option<&'a Shot> {
        number.map(|number| &self.shots[usize::from(number)])
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Enter(key, value) => match self.frames.enter(key, value) {
                Ok(scope) => {
                    self.scopes.push(scope);
                    self.oracle.open(true);
                    self.oracle.set(key, value);
                }
                Err(full) => assert_eq!((full.key, full.value), (key, value)),
            },
            Operation::EnterBase(number) => {
                let base = self.shot(number);
                if let Ok(scope) = self.frames.enter_base(base) {
                    self.scopes.push(scope);
                    self.oracle.open(true);
                    self.oracle.reset(&pairs(base));
                }
            }
            Operation::Leave => {
                if let Some(scope) = self.scopes.pop() {
                    self.frames.leave(scope);
                    self.oracle.leave();
                }
            }
            Operation::Attach(number) => {
                let base = self.shot(number);
                if let Ok(attachment) = self.frames.attach(base) {
                    let name = self.oracle.open(false);
                    self.oracle.reset(&pairs(base));
                    self.attached.push((name, attachment));
                }
            }
            Operation::Detach(which) => {
                if let Some((name, attachment)) = self.take_attached(which) {
                    self.frames.detach(attachment);
                    self.oracle.detach(name);
                    self.stale.push(attachment);
                }
            }
            Operation::Forget(which) => drop(self.take_attached(which)),
            Operation::DetachStale(which) => {
                let count = self.stale.len().max(1);
                if let Some(&stale) = self.stale.get(usize::from(which) % count) {
                    self.frames.detach(stale);
                }
            }
            Operation::Set(key, value) => {
                if self.frames.set(key, value).is_ok() {
                    self.oracle.set(key, value);
                }
            }
            Operation::Reset(number) => {
                let base = self.shot(number);
                if self.frames.reset(base).is_ok() {
                    self.oracle.reset(&pairs(base));
                }
            }
            Operation::Panic(key, value) => {
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    self.frames.with(key, value, |frames| {
                        let _full = frames.set(key, value + 1);
                        let _full = frames.reset(None);
                        let _full = frames.set(key, value + 2);
                        let _forgotten = frames.attach(None);
                        resume_unwind(Box::new("on purpose"));
                    });
                }));
                assert!(caught.is_err());
            }
        }
    }

    fn take_attached(&mut self, which: u8) -> Option<(usize, Attachment)> {
        if self.attached.is_empty() {
            return None;
        }
        let index = usize::from(which) % self.attached.len();
        Some(self.attached.remove(index))
    }

    fn check(&self) {
        let expected = self.oracle.current();
        let below = pairs(*self.frames.base());
        let mut all: Vec<(u8, u32)> = self
            .frames
            .iter()
            .map(|(key, value)| (*key, *value))
            .collect();
        all.extend(below);
        assert_eq!(all.len(), self.frames.depth());
        let mut visible: Vec<(u8, u32)> = Vec::new();
        for (key, value) in all {
            if visible.iter().all(|(other, _)| *other != key) {
                visible.push((key, value));
            }
        }
        assert_eq!(visible, expected);
        for key in 0..KEYS {
            let found = match self.frames.find(&key) {
                Ok(value) => Some(value),
                Err(base) => base.and_then(|shot| shot.get(&key)),
            };
            assert_eq!(found.copied(), self.oracle.get(key));
        }
    }
}

/// Newest first.
fn pairs(base: Option<&Shot>) -> Vec<(u8, u32)> {
    let entries = base.into_iter().flat_map(Shot::iter);
    entries.map(|(key, value)| (*key, *value)).collect()
}

//! Handlers of events against their oracle: who is called, in which order, also by handlers that call, attach
//! and detach; and names.

use super::Bytes;
use crate::oracle::handlers::{self as oracle, Wanted};
use bedplate_core::handlers::{
    AttachError, Called, Caller, Detaching, Editor, EventName, Handlers, Interest, MAX_DEPTH,
    Pattern,
};
use std::cell::RefCell;

const NAMES: [&str; 6] = ["a", "a.b", "a.b.c", "a.bc", "b", "b.a"];
const IDS: [&str; 5] = ["p", "q", "r", "s", "t"];

/// Something asked of handlers.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Attach under this id, to events that this byte chooses, one that does this.
    Attach(usize, u8, Action),
    /// Detach this id.
    Detach(usize),
    /// Call those that want this event.
    Call(usize),
    /// Who is under this prefix, or at all?
    List(Option<usize>),
    /// Free what is left.
    Reap,
}

/// What a handler does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Return,
    /// It calls those that want this event.
    Call(usize),
    /// It detaches this id, itself perhaps.
    Detach(usize),
    /// It attaches one that does nothing, to everything.
    Attach(usize),
}

impl Action {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.below(8) {
            0..=1 => Self::Return,
            2..=5 => Self::Call(name(bytes)),
            6 => Self::Detach(id(bytes)),
            _ => Self::Attach(id(bytes)),
        }
    }
}

fn name(bytes: &mut Bytes<'_>) -> usize {
    usize::from(bytes.byte()) % NAMES.len()
}

fn id(bytes: &mut Bytes<'_>) -> usize {
    usize::from(bytes.byte()) % IDS.len()
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            0..=5 => Self::Attach(id(bytes), bytes.byte(), Action::read(bytes)),
            6..=7 => Self::Detach(id(bytes)),
            8..=12 => Self::Call(name(bytes)),
            13 => Self::List(None),
            14 => Self::List(Some(name(bytes))),
            _ => Self::Reap,
        })
    }
}

/// What somebody wants who was attached with this byte: one thing or two.
fn wanted(byte: u8) -> Vec<Wanted> {
    let one = |bits: u8| {
        let name = NAMES[usize::from(bits >> 1) % NAMES.len()].to_owned();
        match bits {
            14 | 15 => Wanted::Everything,
            _ if bits & 1 == 0 => Wanted::Exactly(name),
            _ => Wanted::Under(name),
        }
    };
    let (low, high) = (byte & 15, byte >> 4);
    if low == high {
        vec![one(low)]
    } else {
        vec![one(low), one(high)]
    }
}

fn pattern(wanted: &Wanted) -> Pattern<'_> {
    match wanted {
        Wanted::Exactly(name) => Pattern::exactly(EventName::new(name)),
        Wanted::Under(name) => Pattern::under(EventName::new(name)),
        Wanted::Everything => Pattern::EVERYTHING,
    }
}

/// What was seen of a call: each handler that was reached, and how each call that had handlers ended.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Reached(String, Action),
    Over { called: usize, left_out: usize },
    TooDeep,
}

/// The structure, and what handlers need of it while they run.
struct Real<'h> {
    handlers: &'h Handlers<Action>,
    caller: Caller<'h, Action>,
    editor: RefCell<Editor<'h, Action>>,
    /// Those that were detached while they ran, or others did.
    detaching: RefCell<Vec<Detaching<'h, Action>>>,
    interests: [Interest; NAMES.len()],
}

impl Real<'_> {
    fn call(&self, name: usize, seen: &RefCell<Vec<Seen>>) {
        let event = EventName::new(NAMES[name]);
        let interest = &self.interests[name];
        let wanted = self.handlers.may_want(interest);
        let result = self.caller.call_from(interest, &event, |handler| {
            seen.borrow_mut()
                .push(Seen::Reached(handler.id.to_owned(), *handler.value));
            match *handler.value {
                Action::Return => {}
                Action::Call(name) => self.call(name, seen),
                Action::Detach(id) => {
                    let detaching = self.editor.borrow_mut().detach(IDS[id]);
                    self.detaching.borrow_mut().extend(detaching);
                }
                Action::Attach(id) => {
                    let patterns = [Pattern::EVERYTHING];
                    let attached =
                        self.editor
                            .borrow_mut()
                            .attach(IDS[id], &patterns, Action::Return);
                    if let Err(refused) = attached {
                        assert_eq!(refused.error, AttachError::AlreadyAttached);
                    }
                }
            }
        });
        let over = match result {
            Ok(Called {
                called, left_out, ..
            }) => {
                assert!(wanted || called + left_out == 0, "a site forgot somebody");
                Seen::Over { called, left_out }
            }
            Err(_) => Seen::TooDeep,
        };
        seen.borrow_mut().push(over);
    }
}

/// The truth, with the attachments that are running.
struct Truth {
    handlers: oracle::Handlers<Action>,
    running: Vec<u64>,
}

impl Truth {
    fn call(&mut self, name: usize, seen: &mut Vec<Seen>) {
        if self.running.len() >= MAX_DEPTH {
            seen.push(Seen::TooDeep);
            return;
        }
        let (mut called, mut left_out) = (0, 0);
        for handler in self.handlers.matching(NAMES[name]) {
            if self.running.contains(&handler.number) {
                left_out += 1;
                continue;
            }
            if !self.handlers.is_attached(handler.number) {
                continue;
            }
            called += 1;
            seen.push(Seen::Reached(handler.id, handler.value));
            self.running.push(handler.number);
            match handler.value {
                Action::Return => {}
                Action::Call(name) => self.call(name, seen),
                Action::Detach(id) => drop(self.handlers.detach(IDS[id])),
                Action::Attach(id) => {
                    let _there_is_one =
                        self.handlers
                            .attach(IDS[id], vec![Wanted::Everything], Action::Return);
                }
            }
            self.running.pop();
        }
        seen.push(Seen::Over { called, left_out });
    }
}

/// Runs the sequence in `bytes` against handlers and the oracle.
///
/// # Panics
/// If they do not agree on who was called, attached or listed.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let handlers = Handlers::new();
    let real = Real {
        handlers: &handlers,
        caller: handlers.caller().expect("the first"),
        editor: RefCell::new(handlers.claim_editor().expect("the only one")),
        detaching: RefCell::default(),
        interests: core::array::from_fn(|_| Interest::unknown()),
    };
    let mut truth = Truth {
        handlers: oracle::Handlers::new(),
        running: Vec::new(),
    };
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Attach(id, to, action) => {
                let wanted = wanted(to);
                let patterns: Vec<_> = wanted.iter().map(pattern).collect();
                let attached = real
                    .editor
                    .borrow_mut()
                    .attach(IDS[id], &patterns, action)
                    .map_err(|refused| refused.error);
                let expected = if truth.handlers.attach(IDS[id], wanted, action) {
                    Ok(())
                } else {
                    Err(AttachError::AlreadyAttached)
                };
                assert_eq!(attached, expected);
            }
            Operation::Detach(id) => {
                let detaching = real.editor.borrow_mut().detach(IDS[id]);
                let value = detaching.map(|it| it.finish().expect("nobody is in it"));
                assert_eq!(value, truth.handlers.detach(IDS[id]));
            }
            Operation::Call(name) => {
                let seen = RefCell::default();
                real.call(name, &seen);
                let mut expected = Vec::new();
                truth.call(name, &mut expected);
                assert_eq!(seen.into_inner(), expected, "{}", NAMES[name]);
                for detaching in real.detaching.take() {
                    assert!(detaching.finish().is_ok(), "the call is over");
                }
            }
            Operation::List(prefix) => {
                let prefix = prefix.map(|name| NAMES[name]);
                let mut listed = Vec::new();
                real.editor
                    .borrow()
                    .list(prefix.map(EventName::new).as_ref(), |id, pattern| {
                        listed.push((id.to_owned(), pattern.to_string()));
                    });
                let expected = truth.handlers.list(prefix).into_iter();
                let expected: Vec<_> = expected
                    .map(|(id, wanted)| (id, pattern(&wanted).to_string()))
                    .collect();
                assert_eq!(listed, expected);
            }
            Operation::Reap => drop(real.editor.borrow_mut().reap()),
        }
    }
}

/// Takes the lines in `bytes` for names, and looks whether they are, and lie under each other, as the oracle
/// says.
///
/// # Panics
/// If they do not.
pub fn run_names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let texts: Vec<&str> = text.split('\n').take(16).collect();
    for one in &texts {
        let (parsed, truth) = (EventName::parse(one), oracle::segments(one));
        assert_eq!(parsed.is_ok(), truth.is_some(), "{one:?}: {parsed:?}");
        let (Ok(name), Some(segments)) = (parsed, truth) else {
            continue;
        };
        assert_eq!(name.segments().collect::<Vec<_>>(), segments);
        assert_eq!((name.as_str(), name.depth()), (*one, segments.len()));
        for other in &texts {
            if let Ok(prefix) = EventName::parse(other) {
                let wanted = Wanted::Under((*other).to_owned());
                assert_eq!(name.is_under(&prefix), wanted.matches(one), "{one} {other}");
                assert_eq!(name == prefix, one == other);
            }
        }
    }
}

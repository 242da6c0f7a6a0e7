//! Scenarios of rings and dedup windows.

use super::Scenario;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::LockedDedupWindow;
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::registry::CriticalSectionLock;
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Reader, Received, Writer};
use bedplate_firmware::owned::Owned;
use bedplate_firmware::report;
use core::time::Duration;
use portable_atomic::{AtomicU32, Ordering};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "read, while a handler pushes two",
        prepare: || single(|ends| ends.push(3)),
        operation: || read_one(),
        interrupt: || from_handler(2),
        check: || single_is_exact(0),
    },
    Scenario {
        name: "read, while a handler pushes more than there is room for",
        prepare: || single(|ends| ends.push(4)),
        operation: || read_one(),
        interrupt: || from_handler(9),
        check: || single_is_exact(1),
    },
    Scenario {
        name: "push, while a handler reads",
        prepare: || single(|ends| ends.push(4)),
        operation: || from_handler(1),
        interrupt: || read_one(),
        check: || single_is_exact(0),
    },
    Scenario {
        name: "push, while a handler pushes into the same ring",
        prepare: || nested_drain(),
        operation: || nested_push(0, 1),
        interrupt: || nested_push(1, 2),
        check: || nested_is_exact(),
    },
    Scenario {
        name: "push, while a handler pushes more into the same ring than there is room for",
        prepare: || nested_drain(),
        operation: || nested_push(0, 2),
        interrupt: || nested_push(1, 6),
        check: || nested_is_exact(),
    },
    Scenario {
        name: "offer, while a handler offers the same key",
        prepare: || next_window(),
        operation: || offer(),
        interrupt: || offer(),
        check: || one_passed(),
    },
];

const TAKEN: &str = "nobody else has the ends";

static SINGLE: EventRing<4> = EventRing::new();
/// The two ends, of which each context uses one.
static WRITING: Owned<Option<(u64, Writer<'static, 4, Overwrite, Event>)>> = Owned::new(None);
static READING: Owned<Option<Log>> = Owned::new(None);

static NESTED: NestedRing<4> = NestedRing::new();
static NESTED_READING: Owned<Option<NestedLog>> = Owned::new(None);
/// How many each context pushed, and how many were refused; Relaxed, on one core.
static PUSHED: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

static WINDOW: LockedDedupWindow<4, CriticalSectionLock> =
    LockedDedupWindow::new(Duration::from_nanos(1));
static NOW: AtomicU32 = AtomicU32::new(0);
static PASSED: AtomicU32 = AtomicU32::new(0);

fn event(context: u32, value: u64) -> Event {
    Event {
        kind: EventKind::new(Level::Info, context),
        time: Instant::from_nanos(value),
        key: !value,
        value,
    }
}

/// What the reader of the ring of one writer has seen.
struct Log {
    reader: Reader<'static, Event>,
    due: u64,
    lost: u64,
}

impl Log {
    fn read(&mut self) -> bool {
        match self.reader.next() {
            Some(Received::Record(event)) => {
                assert_eq!(event.value, self.due, "the event that is due");
                assert_eq!(
                    (event.key, event.time),
                    (!self.due, Instant::from_nanos(self.due))
                );
                self.due += 1;
                true
            }
            Some(Received::Lost(lost)) => {
                assert_eq!(
                    lost.from, self.due,
                    "a gap begins where the last event ended"
                );
                self.due = lost.to;
                self.lost += lost.count();
                true
            }
            None => false,
        }
    }
}

/// The ends, while no handler can come.
struct Ends;

impl Ends {
    fn push(&self, many: u64) {
        from_handler(many);
    }
}

fn single(prepare: impl FnOnce(&Ends)) {
    READING.with(|log| {
        let log = log.get_or_insert_with(|| Log {
            reader: SINGLE.claim_reader().expect(TAKEN),
            due: 0,
            lost: 0,
        });
        while log.read() {}
        log.lost = 0;
    });
    prepare(&Ends);
}

fn from_handler(many: u64) {
    WRITING.with(|writing| {
        let (next, writer) =
            writing.get_or_insert_with(|| (0, SINGLE.claim_writer().expect(TAKEN)));
        for _ in 0..many {
            writer.push(event(0, *next));
            *next += 1;
        }
    });
}

fn read_one() {
    READING.with(|log| _ = log.as_mut().expect("it was made").read());
}

/// Every event was delivered or is lost; at least so many are lost.
fn single_is_exact(least: u64) {
    READING.with(|log| {
        let log = log.as_mut().expect("it was made");
        while log.read() {}
        let pushed = WRITING.with(|writing| writing.as_ref().map_or(0, |writing| writing.0));
        let planted = u64::from(report::is_planted());
        assert_eq!(log.due + planted, pushed);
        assert!(log.lost >= least);
    });
    let stats = SINGLE.stats();
    assert_eq!(stats.pushed, stats.delivered + stats.overwritten);
}

/// What the reader of the ring of many writers has seen.
struct NestedLog {
    reader: Reader<'static, Event>,
    due: [u64; 2],
}

fn nested_drain() {
    NESTED_READING.with(|log| {
        let log = log.get_or_insert_with(|| NestedLog {
            reader: NESTED.claim_reader().expect(TAKEN),
            due: [0; 2],
        });
        while let Some(received) = log.reader.next() {
            let Received::Record(event) = received else {
                continue;
            };
            let due = &mut log.due[event.kind.code() as usize];
            assert!(event.value >= *due && event.key == !event.value);
            *due = event.value + 1;
        }
    });
}

fn nested_push(context: usize, many: u32) {
    for _ in 0..many {
        let number = PUSHED[context].load(Ordering::Relaxed);
        // A refusal is counted by the ring.
        _ = NESTED.push(event(context as u32, u64::from(number)));
        PUSHED[context].store(number + 1, Ordering::Relaxed);
    }
}

fn nested_is_exact() {
    nested_drain();
    let stats = NESTED.stats();
    let pushed: u32 = PUSHED
        .iter()
        .map(|pushed| pushed.load(Ordering::Relaxed))
        .sum();
    assert_eq!(stats.pushed, pushed as usize);
    assert_eq!(
        stats.pushed,
        stats.delivered + stats.overwritten + stats.busy
    );
}

fn next_window() {
    NOW.store(NOW.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    PASSED.store(0, Ordering::Relaxed);
}

fn offer() {
    let now = Instant::from_nanos(u64::from(NOW.load(Ordering::Relaxed)));
    if WINDOW.offer(7, now).passes() {
        // Only one of the two contexts comes here.
        PASSED.store(PASSED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

fn one_passed() {
    assert_eq!(PASSED.load(Ordering::Relaxed), 1);
    let counts = WINDOW.counts();
    assert_eq!(
        (counts.passed, counts.suppressed),
        (counts.suppressed, counts.passed)
    );
}

//! Handlers that are not given every event: one of many, or once in a while.
//!
//! ```text
//! emit ── filter ── sampled ── repeated? ──► handler
//!                                 │ yes: counted
//!                                 └──► `bedplate.telemetry.suppressed`, when the window is over
//! ```
//!
//! What is decided is the business of [`Sampler`] and [`DedupWindow`]. The window's end is seen by the thread that tells
//! recorded events, or by the next event of its key.

use super::handler::HandlerBuilder;
use super::shard::quietly;
use super::{Event, dispatch, drainer, own};
use crate::clock;
use crate::process::panic::discard;
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, Weak};
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{self, Decision, DedupWindow, Summary};
use bedplate_core::sample::Sampler;
use core::time::Duration;

/// The most keys that have a window at a time.
const KEYS: usize = 256;

/// What a handler was not given. Dropped by [`let_go`](Self::let_go).
#[derive(Default)]
pub(super) struct Thinning {
    sampling: Option<Sampling>,
    key: Option<Key>,
    repeated: Option<Arc<Repeated>>,
}

/// A sampler, and what it has decided: counted outside its lock, under which it is a user's code that runs.
struct Sampling {
    sampler: Mutex<Box<dyn Sampler + Send>>,
    kept: AtomicU64,
    left: AtomicU64,
}

type Key = Box<dyn Fn(&Event<'_>) -> u64 + Send + Sync>;

/// The windows of a handler: nothing of a user's, since the telling thread may be the last to have them.
struct Repeated {
    handler: String,
    windows: Mutex<Windows>,
    /// Whether somebody looks when a window is over.
    is_looked_after: AtomicBool,
}

struct Windows {
    window: DedupWindow<KEYS>,
    /// Of the event that opened the window, by its place.
    names: Vec<Box<str>>,
}

impl HandlerBuilder<'_> {
    /// Of these events, only those that `sampler` keeps. What is kept says for how many it stands:
    /// [`Event::weight`]. The sampler is asked by one thread at a time, and knows of no trace: one that decides by the
    /// trace's id keeps all events or none. The last sampler that is given counts.
    ///
    /// ```
    /// use bedplate::telemetry::{self, EventName, Random};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static ESTIMATED: AtomicU64 = AtomicU64::new(0);
    /// telemetry::handler("estimate")
    ///     .to(EventName::new("packet.seen"))
    ///     .sampled(Random::new(0.25, 42))
    ///     .attach(|event: &telemetry::Event<'_>| {
    ///         ESTIMATED.fetch_add(event.weight() as u64, Ordering::Relaxed);
    ///     })?;
    /// for _ in 0..1_000 {
    ///     telemetry::emit!("packet.seen");
    /// }
    /// let thinned = telemetry::thinned("estimate").expect("it is attached");
    /// assert_eq!(thinned.kept + thinned.left, 1_000);
    /// assert_eq!(ESTIMATED.load(Ordering::Relaxed), 4 * thinned.kept);
    /// # telemetry::detach("estimate")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sampled(mut self, sampler: impl Sampler + Send + 'static) -> Self {
        self.thinning.sampling = Some(Sampling {
            sampler: Mutex::new(Box::new(sampler)),
            kept: AtomicU64::new(0),
            left: AtomicU64::new(0),
        });
        self
    }

    /// Of each name, one event in every `window`, the first. How many more there were is told as
    /// `bedplate.telemetry.suppressed` when the window is over, or the handler is detached.
    ///
    /// 256 names have a window at a time; one more closes another's before its time, so that events of that one may pass
    /// too early: [`Thinned::evicted`] counts these.
    ///
    /// ```
    /// use bedplate::telemetry::{self, EventName, Pattern, Probe};
    /// use std::time::Duration;
    ///
    /// let told = Probe::of_this_thread(EventName::new("bedplate.telemetry.suppressed"))?;
    /// telemetry::handler("alarms")
    ///     .to(Pattern::under(EventName::new("alarm")))
    ///     .once_per(Duration::from_secs(60))
    ///     .attach(|event: &telemetry::Event<'_>| println!("{event}"))?;
    /// for degrees in 90..100_u32 {
    ///     telemetry::emit!("alarm.hot", { degrees: degrees });     // prints the first
    /// }
    /// telemetry::detach("alarms")?;
    /// assert_eq!(told.take()[0].measurement("count"), Some(9_u64.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn once_per(self, window: Duration) -> Self {
        self.repeated(window, None)
    }

    /// As [`once_per`](Self::once_per), of each number that `key` gives.
    ///
    /// ```
    /// use bedplate::telemetry::{self, EventName, Probe};
    /// use std::time::Duration;
    ///
    /// telemetry::handler("each motor")
    ///     .to(EventName::new("motor.hot"))
    ///     .once_per_key(Duration::from_secs(60), |event| {
    ///         event.get("motor").and_then(telemetry::Value::as_u64).unwrap_or(0)
    ///     })
    ///     .attach(|event: &telemetry::Event<'_>| println!("{event}"))?;
    /// for motor in [1_u32, 2, 1, 1] {
    ///     telemetry::emit!("motor.hot", {}, { motor: motor });     // prints 1 and 2
    /// }
    /// assert_eq!(telemetry::thinned("each motor").map(|it| it.suppressed), Some(2));
    /// # telemetry::detach("each motor")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn once_per_key(
        self,
        window: Duration,
        key: impl Fn(&Event<'_>) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.repeated(window, Some(Box::new(key)))
    }

    fn repeated(mut self, window: Duration, key: Option<Key>) -> Self {
        self.thinning.key = key;
        self.thinning.repeated = Some(Arc::new(Repeated {
            handler: self.id.to_owned(),
            windows: Mutex::new(Windows {
                window: DedupWindow::new(window),
                names: vec![Box::default(); KEYS],
            }),
            is_looked_after: AtomicBool::new(false),
        }));
        self
    }
}

/// What a handler was given and what not, by [`sampled`](HandlerBuilder::sampled) and
/// [`once_per`](HandlerBuilder::once_per), since it was attached; zero where it has none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thinned {
    /// Events that the sampler kept.
    pub kept: u64,
    /// Events that the sampler left out.
    pub left: u64,
    /// Events that opened a window.
    pub passed: u64,
    /// Events that were suppressed in one.
    pub suppressed: u64,
    /// Windows that were closed early, for want of room.
    pub evicted: u64,
}

/// What the handler `id` was not given; `None` if none of this id is attached.
///
/// # Concurrency
/// Blocking, as [`attach`](super::attach).
#[must_use]
pub fn thinned(id: &str) -> Option<Thinned> {
    dispatch::edit(|editor| Some(editor.get(id)?.thinned()))
}

/// All windows there are, for the telling thread.
static ALL: Mutex<Vec<Weak<Repeated>>> = Mutex::new(Vec::new());

/// Closes the windows that are over. When the next one is.
pub(super) fn poll(now: Instant) -> Option<Instant> {
    let all: Vec<Arc<Repeated>> = quietly(|| {
        let mut all = ALL.lock();
        all.retain(|one| one.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    });
    all.iter().filter_map(|one| one.poll(now)).min()
}

impl Thinning {
    /// It is attached.
    pub(super) fn begin(&self) {
        if let Some(repeated) = &self.repeated {
            quietly(|| {
                let mut all = ALL.lock();
                all.retain(|one| one.strong_count() > 0);
                all.push(Arc::downgrade(repeated));
            });
        }
    }

    /// Whether it is given everything.
    #[inline]
    pub(super) const fn is_none(&self) -> bool {
        self.sampling.is_none() && self.repeated.is_none()
    }

    /// For how many events this one stands, if it is to be handled. May call users' code, and tell events.
    pub(super) fn admit(&self, event: &Event<'_>) -> Option<f32> {
        let mut weight = 1.0;
        if let Some(sampling) = &self.sampling {
            let choice = sampling.sampler.lock().sample(event.time(), 0);
            let count = if choice.is_kept() {
                &sampling.kept
            } else {
                &sampling.left
            };
            // Relaxed: a count.
            count.fetch_add(1, Ordering::Relaxed);
            if !choice.is_kept() {
                return None;
            }
            weight = choice.weight();
        }
        let Some(repeated) = &self.repeated else {
            return Some(weight);
        };
        // Or what is told of windows would make windows, of which would be told.
        if event.name.as_str() == own::SUPPRESSED {
            return Some(weight);
        }
        let key = match &self.key {
            Some(key) => key(event),
            None => event.name.hash64(),
        };
        repeated.admit(key, event).then_some(weight)
    }

    /// It is detached, and nobody is in it: what was suppressed is told, and users' values are dropped one by one.
    pub(super) fn let_go(self) {
        if let Some(repeated) = &self.repeated {
            repeated.flush();
        }
        discard(self.sampling);
        discard(self.key);
    }

    pub(super) fn counts(&self) -> Thinned {
        // Relaxed: counts.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let sampling = self.sampling.as_ref();
        let (kept, left) = sampling.map_or((0, 0), |it| (read(&it.kept), read(&it.left)));
        let repeated = self.repeated.as_ref();
        let windows = repeated.map(|repeated| repeated.windows.lock().window.counts());
        let dedup::Counts {
            passed,
            suppressed,
            evicted,
            ..
        } = windows.unwrap_or_default();
        Thinned {
            kept,
            left,
            passed,
            suppressed,
            evicted,
        }
    }
}

impl Repeated {
    fn admit(&self, key: u64, event: &Event<'_>) -> bool {
        let now = event.time();
        let (passes, closed) = quietly(|| {
            let mut windows = self.windows.lock();
            match windows.window.offer(key, now) {
                Decision::Pass { slot, closed } => {
                    let name = Box::from(event.name.as_str());
                    let before = core::mem::replace(&mut windows.names[slot], name);
                    (true, closed.map(|summary| (summary, before)))
                }
                Decision::Repeat { .. } => (true, None),
                Decision::Suppress { .. } => (false, None),
            }
        });
        if !passes {
            self.look_after();
        }
        if let Some((summary, name)) = closed {
            self.tell(&summary, &name);
        }
        passes
    }

    /// Somebody has to look when the window is over.
    fn look_after(&self) {
        // AcqRel: with the lock that was held before, and that the telling thread takes after its store, one of us
        // sees the other; pairs with itself, and with the stores in `poll`.
        if !self.is_looked_after.swap(true, Ordering::AcqRel) {
            drainer::wake();
        }
    }

    fn poll(&self, now: Instant) -> Option<Instant> {
        // Before the windows are looked at: who suppresses one behind that, calls again.
        // Release: pairs with AcqRel in `look_after`.
        self.is_looked_after.store(false, Ordering::Release);
        let next = self.close(|window, sink| window.poll(now, sink));
        if next.is_some() {
            // Release: as above.
            self.is_looked_after.store(true, Ordering::Release);
        }
        next
    }

    fn flush(&self) {
        self.close(|window, sink| window.flush(sink));
    }

    /// Closes windows under the lock, and tells of them behind it.
    fn close<R>(
        &self,
        close: impl FnOnce(&mut DedupWindow<KEYS>, &mut dyn FnMut(Summary)) -> R,
    ) -> R {
        let mut closed = Vec::new();
        let result = quietly(|| {
            let mut windows = self.windows.lock();
            let Windows { window, names } = &mut *windows;
            close(window, &mut |summary| {
                closed.push((summary, names[summary.slot].clone()));
            })
        });
        for (summary, name) in closed {
            self.tell(&summary, &name);
        }
        result
    }

    fn tell(&self, summary: &Summary, event: &str) {
        let lasted = clock::Instant::saturating_duration_since(summary.last, summary.first);
        own::suppressed(
            summary.suppressed,
            lasted,
            &self.handler,
            event,
            summary.key,
        );
    }
}

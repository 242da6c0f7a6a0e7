//! Puts the current [context] on every `tracing` line of existing code.
//!
//! ```
//! use bedplate::context::{self, Key};
//! use tracing_subscriber::prelude::*;
//!
//! static REQUEST_ID: Key<u64> = Key::new("request_id");
//!
//! tracing_subscriber::registry()
//!     .with(tracing_subscriber::fmt::layer())
//!     .with(bedplate::tracing_bridge::layer()) // last!
//!     .init();
//!
//! context::with(&REQUEST_ID, 123, || tracing::info!("registered"));
//! // INFO ctx{ctx=request_id=123}: registered
//! ```
//!
//! # It must be the last `.with(…)`
//!
//! **Add this layer after every other layer and filter.** It opens a span in the moment in which an
//! event is about to be filtered. It can do so safely only if it is asked before every other filter;
//! a per-layer filter that was added later would lose its verdict on that event, and its layer would
//! print a line that it should not.
//!
//! # How it works
//!
//! A layer cannot add fields to another layer's event, but every layer prints the spans around it.
//! So when an event comes and the spans around it do not show the current context, the bridge opens
//! a span named `ctx` with one field `ctx` that does:
//!
//! ```text
//!   event ──▶ shown by the spans around it? ── yes ──▶ nothing to do
//!                        │ no
//!                        ▼
//!             open and enter ctx{ctx=…} inside the current span
//!                        │
//!    the context is no longer in force  ─┐
//!    the span it was opened in is exited ├──▶ exit and close it, on this thread
//!    the thread ends                    ─┘
//! ```
//!
//! An inner `ctx` span prints only the entries that no outer one shows. When an entry is shadowed
//! by a newer value, the span with the old value is exited first, so no value is printed twice or
//! out of date. The exception is a span of the program's own that was created in a context: it is a
//! child of that context's `ctx` span for as long as it lives, and goes on showing it.
//!
//! In a scope in which nothing is logged, no span is opened. A call site that all filters disable
//! stays disabled, because the layer says of itself that it wants no event (it is a per-layer filter
//! on a layer that does nothing); it costs what it would without the layer.
//!
//! The `ctx` span is opened without asking any filter (its level is `ERROR`, its target
//! [`TARGET`]): a filter that mentions only the program's own targets must not hide it.
//!
//! # What it does not do
//!
//! * An event with an explicit parent (`parent: …`) shows the spans of that parent.
//! * It needs the dispatcher it was built into. A layer put in later through
//!   `tracing_subscriber::reload` is never told of one, and shows nothing; reload the filters and
//!   layers below instead.

use alloc::sync::Arc;
use core::fmt;

use tracing_core::{
    Dispatch, Event, Interest, Kind, Level, LevelFilter, Metadata,
    callsite::Callsite,
    dispatcher::WeakDispatch,
    field::{self, Value},
    span::{Attributes, Id},
    subscriber::Subscriber,
};
use tracing_subscriber::{
    layer::{self, Filter, Layer},
    registry::LookupSpan,
};

use crate::{
    context::{self, Context},
    sync::OnceLock,
};

#[cfg(feature = "fmt")]
mod format;
mod opened;

#[cfg(feature = "fmt")]
pub use self::format::{InContext, format};

pub(crate) use self::opened::context_changed;

/// The target of the `ctx` spans.
pub const TARGET: &str = "bedplate::context";

/// The layer that shows the context; it must be the last `.with(…)`, see the [module](self).
///
/// ```
/// use tracing_subscriber::{filter::LevelFilter, fmt, prelude::*};
///
/// let subscriber = tracing_subscriber::registry()
///     .with(fmt::layer().with_filter(LevelFilter::INFO))
///     .with(fmt::layer().json().with_filter(LevelFilter::WARN))
///     .with(bedplate::tracing_bridge::layer());
/// # drop(subscriber);
/// ```
///
/// # Panics
///
/// `.with` panics if the subscriber below does not support per-layer filters. Of those in
/// `tracing_subscriber` that is `fmt::Subscriber`: instead of `tracing_subscriber::fmt().finish()`
/// start with `tracing_subscriber::registry().with(tracing_subscriber::fmt::layer())`.
pub fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let home = Arc::new(Home::default());
    Receiver(Arc::clone(&home)).with_filter(Bridge(home))
}

/// The dispatcher that one bridge belongs to.
#[derive(Debug, Default)]
struct Home {
    dispatch: OnceLock<WeakDispatch>,
}

impl Home {
    fn dispatch(&self) -> Option<Dispatch> {
        self.dispatch.get().and_then(WeakDispatch::upgrade)
    }
}

/// The layer below the filter. It learns its dispatcher, and wants nothing.
struct Receiver(Arc<Home>);

impl<S: Subscriber> Layer<S> for Receiver {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _only_the_first = self.0.dispatch.set(dispatch.downgrade());
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: layer::Context<'_, S>) -> bool {
        !is_forget_verdicts(metadata)
    }
}

/// Where the work is done. A filter is asked about every event that may be printed, before it is.
struct Bridge(Arc<Home>);

impl<S> Filter<S> for Bridge
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    /// The bridge wants no events. Anything else would keep call sites awake that all others
    /// disable; those that another layer wants become *sometimes*, so that `enabled` is asked.
    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, metadata: &Metadata<'_>, cx: &layer::Context<'_, S>) -> bool {
        if metadata.is_event() {
            self.show(cx);
            return false;
        }
        // Spans are wanted: their exits are needed, and they must be found on the way up.
        metadata.is_span() || is_forget_verdicts(metadata)
    }

    /// Reached only by an event for which `enabled` was not asked, so no verdict is pending.
    fn event_enabled(&self, _: &Event<'_>, cx: &layer::Context<'_, S>) -> bool {
        self.show(cx);
        false
    }

    fn on_exit(&self, id: &Id, _: layer::Context<'_, S>) {
        opened::span_exited(&self.0, id);
    }
}

impl Bridge {
    /// Sees to it that the spans around the event show the current context.
    fn show<S>(&self, cx: &layer::Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if context::is_empty() || opened::is_busy() {
            return;
        }
        let inside = cx.current_span().id().cloned();
        if let Some(inside) = &inside
            && opened::is_checked(&self.0, inside)
        {
            return;
        }
        let current = context::current();
        let shown = shown_around(cx);
        let missing = Missing {
            current: &current,
            shown: shown.as_ref(),
        };
        if missing.is_nothing() {
            if let Some(inside) = inside {
                opened::checked(&self.0, inside, current);
            }
            return;
        }
        let Some(dispatch) = self.0.dispatch() else {
            return;
        };
        let id = opened::while_busy(|| open(&dispatch, &missing));
        if let Some(span) = cx.span(&id) {
            span.extensions_mut().insert(Shown(current.clone()));
        }
        opened::checked(&self.0, id.clone(), current.clone());
        opened::entered(Arc::clone(&self.0), inside, id, current);
    }
}

/// The context that the current span and those around it show.
fn shown_around<S>(cx: &layer::Context<'_, S>) -> Option<Context>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    cx.lookup_current()?.scope().find_map(|span| {
        span.extensions()
            .get::<Shown>()
            .map(|shown| shown.0.clone())
    })
}

/// In the extensions of a `ctx` span: the context that it shows together with those around it.
struct Shown(Context);

/// The entries of `current` that are not shown yet.
struct Missing<'a> {
    current: &'a Context,
    shown: Option<&'a Context>,
}

impl Missing<'_> {
    fn entries(&self) -> impl Iterator<Item = (&'static str, &context::Value)> {
        self.current.entries().filter_map(|(key, value)| {
            let known = self.shown.and_then(|shown| shown.value_of(key));
            let is_missing = known.is_none_or(|known| !known.is_same(value));
            is_missing.then_some((key.name, value))
        })
    }

    fn dropped(&self) -> Option<u32> {
        let dropped = self.current.dropped();
        let known = self.shown.map_or(0, Context::dropped);
        (dropped != known).then_some(dropped)
    }

    fn is_nothing(&self) -> bool {
        self.shown.is_some_and(|shown| shown.is_same(self.current))
            || (self.entries().next().is_none() && self.dropped().is_none())
    }
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        context::write_entries(f, self.entries(), self.dropped())
    }
}

/// Opens and enters a `ctx` span, directly on its dispatcher: while an event is dispatched, the
/// macros see no dispatcher at all.
fn open(dispatch: &Dispatch, missing: &Missing<'_>) -> Id {
    // A verdict may be left over from a question that no event followed (`tracing::enabled!`). The
    // new span would take it for its own. A *no* from the last layer makes the filters forget it.
    dispatch.enabled(&FORGET_VERDICTS);

    let text = field::display(missing);
    let fields = SPAN.fields();
    let id = match fields.field("ctx") {
        Some(field) => {
            let values = [(&field, Some(&text as &dyn Value))];
            dispatch.new_span(&Attributes::new(&SPAN, &fields.value_set(&values)))
        }
        None => dispatch.new_span(&Attributes::new(&SPAN, &fields.value_set(&[]))),
    };
    dispatch.enter(&id);
    id
}

/// The call site of everything the bridge opens. It is never registered: no filter is asked.
struct OwnCallsite(&'static Metadata<'static>);

impl Callsite for OwnCallsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0
    }
}

static SPAN_CALLSITE: OwnCallsite = OwnCallsite(&SPAN);
static SPAN: Metadata<'static> = tracing_core::metadata! {
    name: "ctx",
    target: TARGET,
    level: Level::ERROR,
    fields: &["ctx"],
    callsite: &SPAN_CALLSITE,
    kind: Kind::SPAN,
};

static FORGET_CALLSITE: OwnCallsite = OwnCallsite(&FORGET_VERDICTS);
static FORGET_VERDICTS: Metadata<'static> = tracing_core::metadata! {
    name: "forget verdicts",
    target: TARGET,
    level: Level::ERROR,
    fields: &[],
    callsite: &FORGET_CALLSITE,
    kind: Kind::HINT,
};

fn is_forget_verdicts(metadata: &Metadata<'_>) -> bool {
    metadata.callsite() == FORGET_VERDICTS.callsite()
}

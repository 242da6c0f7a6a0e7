//! A call site that every layer disables is not even asked about because of the bridge.
//!
//! One test and no more: a call site's interest is the sum over all subscribers of the process, so
//! another test's would keep it awake.
#![cfg(feature = "tracing")]

extern crate alloc;

use alloc::sync::Arc;
use std::sync::Mutex;

use bedplate::{
    context::{self, Key},
    tracing_bridge,
};
use tracing::{
    Level, Metadata, debug, info, info_span,
    span::{Attributes, Id},
    subscriber::{Interest, Subscriber, with_default},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, Filter},
    prelude::*,
};

static REQUEST_ID: Key<u64> = Key::new("request_id");

/// What a layer with a filter of its own was asked and told, in order.
#[derive(Clone, Debug, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, what: String) {
        self.0.lock().expect("not poisoned").push(what);
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *self.0.lock().expect("not poisoned"))
    }
}

impl<S> Filter<S> for Journal {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let enabled = *metadata.level() <= Level::INFO;
        if !enabled {
            self.note(format!("asked for {}", metadata.level()));
        }
        enabled
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= Level::INFO {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note(format!("span {}", attributes.metadata().name()));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.note(format!("event {}", event.metadata().level()));
    }
}

#[test]
fn trap_2_a_disabled_call_site_stays_disabled_and_opens_nothing() {
    let journal = Journal::default();
    let subscriber = Registry::default()
        .with(journal.clone().with_filter(journal.clone()))
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            for _ in 0..3 {
                debug!("disabled, in a context");
                let _span = tracing::debug_span!("disabled").entered();
            }
            assert_eq!(journal.take(), [""; 0]);

            info_span!("enabled").in_scope(|| info!("enabled"));
            assert_eq!(journal.take(), ["span enabled", "span ctx", "event INFO"]);
        });
    });
}

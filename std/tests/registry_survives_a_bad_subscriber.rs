//! A subscriber that panics when it is asked whether it wants an event: what was registered is registered, and
//! who registered is told so.
#![cfg(feature = "tracing")]

use bedplate::registry::Registry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Metadata, span};

struct Bad;

impl Subscriber for Bad {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        panic!("a bad subscriber")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_subscriber_that_panics_when_asked_harms_no_registration() {
    tracing::subscriber::set_global_default(Bad).expect("the only one");
    let registry = Registry::<u64, u64>::new();
    let registered = catch_unwind(AssertUnwindSafe(|| registry.register(1, 1).is_ok()));
    assert_eq!(registered.ok(), Some(true));
    let mut owner = registry.owner().expect("an identity");
    let registered = catch_unwind(AssertUnwindSafe(|| owner.register(2, 2).is_ok()));
    assert_eq!(registered.ok(), Some(true));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(owner)));
    assert!(dropped.is_ok());
    assert_eq!((registry.len(), registry.whereis(&2)), (1, None));
}

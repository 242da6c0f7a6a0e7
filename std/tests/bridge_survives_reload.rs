//! Filters and layers below the bridge may be exchanged while the program runs, under as many dispatchers as there
//! are; a scope that was open meanwhile is shown by what came.
#![cfg(feature = "tracing")]

use bedplate::context::{self, Key};
use std::io;
use std::sync::{Arc, Mutex};
use tracing::subscriber::with_default;
use tracing::{Subscriber, debug, info};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, registry, reload};

static REQUEST: Key<u64> = Key::new("request_id");

/// What tracing remembers of call sites is for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> String {
        let bytes = core::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn text<S>(written: &Written) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = fmt::layer().with_writer(written.clone());
    layer.with_ansi(false).without_time().with_target(false)
}

#[test]
fn a_global_filter_is_exchanged() {
    let _alone = ALONE.lock();
    let written = Written::default();
    let (filter, handle) = reload::Layer::new(EnvFilter::new("warn"));
    let subscriber = registry()
        .with(filter)
        .with(text(&written))
        .with(bedplate::tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST, 1, || {
            info!("unwanted");
            assert_eq!(written.take(), "");
            handle.reload(EnvFilter::new("info")).unwrap();
            info!("wanted");
            debug!("unwanted");
            assert_eq!(written.take(), " INFO ctx{ctx=request_id=1}: wanted\n");
            handle
                .modify(|filter| *filter = EnvFilter::new("debug,bedplate=off"))
                .unwrap();
            debug!("now wanted");
            assert_eq!(written.take(), "DEBUG ctx{ctx=request_id=1}: now wanted\n");
        });
        handle.reload(EnvFilter::new("off")).unwrap();
        context::with(&REQUEST, 2, || info!("unwanted"));
        handle.reload(EnvFilter::new("info")).unwrap();
        info!("outside");
        assert_eq!(written.take(), " INFO outside\n");
    });
}

#[test]
fn the_filter_of_one_layer_is_exchanged() {
    let _alone = ALONE.lock();
    let [first, second] = [(); 2].map(|()| Written::default());
    let (filter, handle) = reload::Layer::new(LevelFilter::OFF);
    let subscriber = registry()
        .with(text(&first).with_filter(filter))
        .with(text(&second).with_filter(LevelFilter::INFO))
        .with(bedplate::tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST, 1, || {
            info!("one");
            handle.reload(LevelFilter::DEBUG).unwrap();
            info!("two");
            debug!("three");
        });
        info!("four");
    });
    // The span was opened while the first layer wanted nothing, and is shown to it all the same: it is asked nothing.
    assert_eq!(
        first.take(),
        " INFO ctx{ctx=request_id=1}: two\nDEBUG ctx{ctx=request_id=1}: three\n INFO four\n"
    );
    assert_eq!(
        second.take(),
        " INFO ctx{ctx=request_id=1}: one\n INFO ctx{ctx=request_id=1}: two\n INFO four\n"
    );
}

#[test]
fn a_layer_is_exchanged_for_another_writer() {
    let _alone = ALONE.lock();
    let [first, second] = [(); 2].map(|()| Written::default());
    let layer: Box<dyn Layer<Registry> + Send + Sync> = Box::new(text(&first));
    let (layer, handle) = reload::Layer::new(layer);
    let subscriber = registry()
        .with(layer)
        .with(bedplate::tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST, 1, || {
            info!("one");
            handle
                .reload(Box::new(text(&second)) as Box<dyn Layer<Registry> + Send + Sync>)
                .unwrap();
        });
        context::with(&REQUEST, 2, || info!("two"));
        info!("three");
    });
    assert_eq!(first.take(), " INFO ctx{ctx=request_id=1}: one\n");
    assert_eq!(
        second.take(),
        " INFO ctx{ctx=request_id=2}: two\n INFO three\n"
    );
}

#[test]
fn each_dispatcher_shows_it_for_itself_also_when_one_is_reloaded() {
    let _alone = ALONE.lock();
    let [first, second] = [(); 2].map(|()| Written::default());
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let one = registry()
        .with(filter)
        .with(text(&first))
        .with(bedplate::tracing_bridge::layer());
    let two = registry()
        .with(text(&second))
        .with(bedplate::tracing_bridge::layer());
    let (one, two) = (tracing::Dispatch::new(one), tracing::Dispatch::new(two));
    context::with(&REQUEST, 1, || {
        for wanted in [LevelFilter::OFF, LevelFilter::INFO] {
            handle.reload(wanted).unwrap();
            tracing::dispatcher::with_default(&one, || info!("in one"));
            tracing::dispatcher::with_default(&two, || info!("in two"));
        }
    });
    tracing::dispatcher::with_default(&one, || info!("outside"));
    assert_eq!(
        first.take(),
        " INFO ctx{ctx=request_id=1}: in one\n INFO outside\n"
    );
    assert_eq!(
        second.take(),
        " INFO ctx{ctx=request_id=1}: in two\n".repeat(2)
    );
}

/// Not a bridge, but the same promise: with the feature `fmt`, a formatter of the user's, exchanged or not.
#[cfg(feature = "fmt")]
#[test]
fn a_formatter_writes_the_context_in_front() {
    static USER: Key<String> = Key::new("user");
    let _alone = ALONE.lock();
    let written = Written::default();
    let format = fmt::format()
        .with_ansi(false)
        .without_time()
        .with_target(false);
    let layer = fmt::layer().with_writer(written.clone()).with_ansi(false);
    let subscriber = registry().with(layer.event_format(bedplate::tracing_bridge::format(format)));
    with_default(subscriber, || {
        info!("nothing");
        context::with(&REQUEST, 1, || {
            context::with(&USER, "a b".into(), || {
                context::with(&REQUEST, 2, || info!("on the stack"));
                let shared = context::capture();
                context::with(&REQUEST, 3, || info!("on the stack and shared"));
                context::Context::empty().run(|| info!("nothing"));
                shared.run(|| context::with(&REQUEST, 4, || info!("attached")));
            });
        });
    });
    assert_eq!(
        written.take(),
        " INFO nothing\n\
         ctx{request_id=2 user=\"a b\"}:  INFO on the stack\n\
         ctx{request_id=3 user=\"a b\"}:  INFO on the stack and shared\n \
         INFO nothing\n\
         ctx{request_id=4 user=\"a b\"}:  INFO attached\n"
    );
}

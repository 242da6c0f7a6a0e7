//! Lines of the `log` crate with their context: through a logger around another, and through `tracing`.
#![cfg(feature = "log")]

use bedplate::context::{self, Key};
use bedplate::log_bridge::InContext;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

static REQUEST: Key<u64> = Key::new("request_id");

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let (target, line, path) = (record.target(), record.line(), record.module_path());
        let mut pairs = String::new();
        struct Pairs<'a>(&'a mut String);
        impl<'kvs> log::kv::VisitSource<'kvs> for Pairs<'_> {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                self.0.push_str(&format!(" {key}={value}"));
                Ok(())
            }
        }
        record.key_values().visit(&mut Pairs(&mut pairs)).unwrap();
        let line = format!(
            "{} {target} {line:?} {path:?}: {}{pairs}",
            record.level(),
            record.args()
        );
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_around_another_keeps_all_of_a_record() {
    let kept: &'static Kept = Box::leak(Box::default());
    let logger = InContext::new(kept);
    let log = |message| {
        let mut record = Record::builder();
        record
            .level(Level::Info)
            .target("t")
            .line(Some(3))
            .module_path(Some("m"));
        logger.log(&record.key_values(&[("agent", 7)]).args(message).build());
    };
    log(format_args!("one"));
    context::with(&REQUEST, 1, || log(format_args!("two")));
    let mut unwanted = Record::builder();
    context::with(&REQUEST, 1, || {
        logger.log(
            &unwanted
                .level(Level::Debug)
                .args(format_args!("no"))
                .build(),
        )
    });
    assert_eq!(
        *kept.0.lock().unwrap(),
        [
            r#"INFO t Some(3) Some("m"): one agent=7"#,
            r#"INFO t Some(3) Some("m"): ctx{request_id=1}: two agent=7"#,
        ]
    );
}

/// In the one test of this file that installs a logger.
#[test]
fn records_that_become_tracing_events_pass_through_the_bridge() {
    use tracing_subscriber::prelude::*;
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(move || writer.clone())
                .with_ansi(false)
                .without_time(),
        )
        .with(bedplate::tracing_bridge::layer());
    tracing_log::LogTracer::builder()
        .with_max_level(LevelFilter::Info)
        .init()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        log::info!(target: "t", "one");
        context::with(&REQUEST, 1, || log::info!(target: "t", "two"));
        log::info!(target: "t", "three");
    });
    assert_eq!(
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap(),
        " INFO t: one\n INFO ctx{ctx=request_id=1}: t: two\n INFO t: three\n"
    );
}

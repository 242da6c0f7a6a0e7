//! A scope restores the context on return, on error and on panic. Cases C1, C2 and C7.

use core::panic::AssertUnwindSafe;
use std::panic;

use bedplate::context::{self, Context, Key, MAX_KEYS};

static A: Key<u64> = Key::new("a");
static B: Key<String> = Key::new("b");

/// C1: set, get, clear, get; and setting nothing.
#[test]
fn set_get_and_clear() {
    assert_eq!(context::get(&A), None);
    context::set(&A, 1);
    context::set(&B, "two".to_owned());
    assert_eq!(context::get(&A), Some(1));
    assert_eq!(context::current().to_string(), "b=two a=1");
    context::set(&A, 3);
    assert_eq!(context::current().to_string(), "a=3 b=two");

    context::clear();
    assert!(context::current().is_empty());
    assert_eq!(context::get(&A), None);
    context::clear();
    let nothing = Context::empty().attach();
    assert_eq!(context::current().to_string(), "");
    drop(nothing);
    assert_eq!(context::get(&B), None);
}

/// C2: inside a temporary context B is seen, afterwards A; with none before, none after.
#[test]
fn a_temporary_context_ends_with_its_body() {
    context::with(&A, 1, || {
        let returned = context::with(&A, 2, || context::get(&A));
        assert_eq!(returned, Some(2));
        assert_eq!(context::get(&A), Some(1));

        let failed: Result<(), &str> = context::with(&A, 3, || Err("failed"));
        assert_eq!(failed, Err("failed"));
        assert_eq!(context::get(&A), Some(1));
    });
    assert!(context::current().is_empty());
}

#[test]
fn a_panic_restores_every_scope_it_leaves() {
    context::with(&A, 1, || {
        let before = context::current().to_string();
        let caught = panic::catch_unwind(AssertUnwindSafe(|| {
            context::with(&B, "doomed".to_owned(), || {
                let _attached = Context::empty().with_value(&A, 9).attach();
                context::set(&A, 10);
                Context::empty().run(|| panic!("on purpose"));
            });
        }));
        assert!(caught.is_err());
        assert_eq!(context::current().to_string(), before);
    });
    assert!(context::current().is_empty());
}

#[test]
fn what_is_set_ends_with_the_enclosing_scope() {
    context::with(&A, 1, || {
        context::set(&A, 2);
        context::set(&B, "inner".to_owned());
        assert_eq!(context::current().to_string(), "b=inner a=2");
    });
    assert!(context::current().is_empty());

    let attached = Context::empty().with_value(&A, 1).attach();
    context::clear();
    assert!(context::current().is_empty());
    drop(attached);
    assert!(context::current().is_empty());
}

/// C7: deep nesting and many calls leave the values intact.
#[test]
fn deep_nesting_is_intact_at_every_level() {
    fn descend(level: u64) {
        if level == 500 {
            return;
        }
        context::with(&A, level, || {
            assert_eq!(context::get(&A), Some(level));
            descend(level + 1);
            assert_eq!(context::get(&A), Some(level));
            assert_eq!(context::get(&B).as_deref(), Some("outermost"));
        });
    }
    context::with(&B, "outermost".to_owned(), || descend(0));
    assert!(context::current().is_empty());
}

#[test]
fn a_value_beyond_the_limit_is_counted_and_never_stale() {
    static KEYS: [Key<usize>; MAX_KEYS] = [const { Key::new("k") }; MAX_KEYS];
    static ONE_MORE: Key<usize> = Key::new("one_more");

    let full = KEYS
        .iter()
        .enumerate()
        .fold(Context::empty(), |context, (index, key)| {
            context.with_value(key, index)
        });
    assert_eq!((full.len(), full.dropped()), (MAX_KEYS, 0));

    full.run(|| {
        context::with(&ONE_MORE, 1, || {
            assert_eq!(context::get(&ONE_MORE), None);
            assert_eq!(context::current().dropped(), 1);
            let printed = context::current().to_string();
            assert!(printed.ends_with(" context_dropped=1"), "{printed}");
        });
        assert_eq!(context::current().dropped(), 0);

        // A key that is there already still takes a new value.
        context::with(&KEYS[0], 100, || {
            assert_eq!(context::get(&KEYS[0]), Some(100));
            assert_eq!(context::current().dropped(), 0);
            assert_eq!(context::current().len(), MAX_KEYS);
        });
        assert_eq!(context::get(&KEYS[0]), Some(0));
    });
}

#[test]
fn values_keep_their_type_and_cannot_imitate_an_entry() {
    static SIGNED: Key<i16> = Key::new("signed");
    static TRUTH: Key<bool> = Key::new("truth");
    static SHARE: Key<f64> = Key::new("share");
    static TEXT: Key<&'static str> = Key::new("text");

    let context = Context::empty()
        .with_value(&SIGNED, -5)
        .with_value(&TRUTH, true)
        .with_value(&SHARE, 0.5)
        .with_value(&TEXT, "plain")
        .with_value(&B, "x\nERROR user=\"root\"".to_owned());
    assert_eq!(context.get(&SIGNED), Some(-5));
    assert_eq!(context.get(&TRUTH), Some(true));
    assert_eq!(context.get(&SHARE), Some(0.5));
    assert_eq!(context.get(&TEXT), Some("plain"));
    assert_eq!(
        context.to_string(),
        r#"b="x\nERROR user=\"root\"" text=plain share=0.5 truth=true signed=-5"#
    );
    let names: Vec<_> = context.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "text", "share", "truth", "signed"]);
}

/// Thread-locals are destroyed in an order nobody chooses: a scope opened by another
/// thread-local's destructor must neither panic nor leak.
#[test]
fn it_can_be_used_while_the_thread_is_ending() {
    use core::cell::RefCell;
    use std::{sync::mpsc, thread};

    struct UsesContextWhenDropped(mpsc::Sender<(bool, bool)>);

    impl Drop for UsesContextWhenDropped {
        fn drop(&mut self) {
            let seen = context::with(&A, 5, || context::get(&A));
            let attached = Context::empty().with_value(&A, 6).attach();
            context::set(&A, 7);
            drop(attached);
            // Either the context still works, or it is empty; never anything else.
            let sound = matches!(seen, Some(5) | None);
            let restored = context::get(&A).is_none_or(|value| value == 1);
            let _closed = self.0.send((sound, restored));
        }
    }

    thread_local! {
        static EARLY: RefCell<Option<UsesContextWhenDropped>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<UsesContextWhenDropped>> = const { RefCell::new(None) };
    }

    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        EARLY.with(|slot| *slot.borrow_mut() = Some(UsesContextWhenDropped(sender.clone())));
        context::set(&A, 1);
        LATE.with(|slot| *slot.borrow_mut() = Some(UsesContextWhenDropped(sender)));
    })
    .join()
    .expect("the thread ends without a panic");
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [(true, true); 2]);
}

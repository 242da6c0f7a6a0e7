//! Models of the handlers of events: those who call against those who attach, detach and reap.
//!
//! Values are [`Tracked`], as in the models of the registry: they count themselves in and out, and hold one of
//! loom's cells, so that a handler that is called after its detachment gave its value back, or before it was
//! initialised, is seen. Who calls is the thread that is spawned.

#[cfg(bedplate_loom)]
use loom::{cell::UnsafeCell, sync::Arc, sync::atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

use bedplate_core::handlers::{
    Attached, Called, Detaching, Editor, EventName, Handlers, Interest, Pattern,
};
use core::sync::atomic::Ordering::Relaxed;
use loom_tests::{check, check_deeply, thread};

struct Tracked {
    alive: Arc<AtomicUsize>,
    #[cfg(bedplate_loom)]
    number: UnsafeCell<u32>,
    #[cfg(not(bedplate_loom))]
    number: u32,
}

impl Tracked {
    fn new(number: u32, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Relaxed);
        #[cfg(bedplate_loom)]
        let number = UnsafeCell::new(number);
        Self {
            alive: Arc::clone(alive),
            number,
        }
    }

    #[cfg(bedplate_loom)]
    fn number(&self) -> u32 {
        // SAFETY: only read while shared; written once, before.
        self.number.with(|number| unsafe { *number })
    }

    #[cfg(not(bedplate_loom))]
    fn number(&self) -> u32 {
        self.number
    }
}

// SAFETY: the cell is only written when the value is made and when it is dropped.
#[cfg(bedplate_loom)]
unsafe impl Sync for Tracked {}
// SAFETY: as above.
#[cfg(bedplate_loom)]
unsafe impl Send for Tracked {}

impl Drop for Tracked {
    fn drop(&mut self) {
        #[cfg(bedplate_loom)]
        // SAFETY: dropped, so exclusively held; loom reports whoever still reads.
        self.number.with_mut(|number| unsafe { *number = u32::MAX });
        self.alive.fetch_sub(1, Relaxed);
    }
}

const PLACED: EventName<'static> = EventName::new("order.placed");

/// Handlers for all threads of one run of a model, freed at its end: the model joins its threads.
struct Scene {
    handlers: *mut Handlers<Tracked>,
    alive: Arc<AtomicUsize>,
}

impl Scene {
    fn new() -> Self {
        Self {
            handlers: Box::into_raw(Box::new(Handlers::new())),
            alive: Arc::new(AtomicUsize::new(0)),
        }
    }

    fn handlers(&self) -> &'static Handlers<Tracked> {
        // SAFETY: made from a box in `new`, and freed only when the run is over.
        unsafe { &*self.handlers }
    }

    fn editor(&self) -> Editor<'static, Tracked> {
        self.handlers().claim_editor().expect("nobody else edits")
    }

    fn attach(&self, editor: &mut Editor<'static, Tracked>, id: &str, number: u32) {
        let value = Tracked::new(number, &self.alive);
        editor
            .attach(id, &[Pattern::exactly(PLACED)], value)
            .expect("there is room");
    }

    /// Frees everything, of which nothing is left.
    fn end(self) {
        // SAFETY: made from a box in `new`; the run is over, so nobody borrows it any more.
        drop(unsafe { Box::from_raw(self.handlers) });
        assert_eq!(self.alive.load(Relaxed), 0, "nothing leaks");
    }
}

/// The numbers of those that are called.
fn call(handlers: &'static Handlers<Tracked>) -> Vec<u32> {
    let mut seen = Vec::new();
    let caller = handlers.caller().expect("there is room");
    caller
        .call(&PLACED, |handler: Attached<'_, Tracked>| {
            seen.push(handler.value.number());
        })
        .expect("not deep");
    seen
}

/// [H1, H7] Who is called was attached completely.
#[test]
fn attach_against_call() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        let caller = thread::spawn(move || call(handlers));
        scene.attach(&mut editor, "one", 1);
        let seen = caller.join().expect("no panic");
        assert!(seen.is_empty() || seen == [1], "{seen:?}");
        assert_eq!(call(handlers), [1], "attached is attached");
        drop(editor);
        scene.end();
    });
}

/// [H3, H4] A detached handler's value comes back only when nobody is in the handler, and nobody ever will be.
#[test]
fn detach_is_a_barrier() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        let caller = thread::spawn(move || call(handlers));
        let detaching = editor.detach("one").expect("it is attached");
        let detaching = match detaching.finish() {
            Ok(value) => {
                drop(value);
                None
            }
            Err(detaching) => Some(detaching),
        };
        let seen = caller.join().expect("no panic");
        assert!(seen.is_empty() || seen == [1], "{seen:?}");
        if let Some(detaching) = detaching {
            drop(detaching.finish().expect("the call is over"));
        }
        assert_eq!(scene.alive.load(Relaxed), 0, "the value was given back");
        drop(editor);
        scene.end();
    });
}

/// [H4] As above, where the caller goes on to another handler.
#[test]
fn detach_of_the_first_of_two() {
    check_deeply(3, || {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        scene.attach(&mut editor, "two", 2);
        let caller = thread::spawn(move || call(handlers));
        let detaching = editor.detach("one").expect("it is attached");
        let left = detaching.finish().map(drop).err();
        let seen = caller.join().expect("no panic");
        assert!(seen == [1, 2] || seen == [2], "{seen:?}");
        assert!(left.is_none_or(|detaching| detaching.finish().is_ok()));
        drop(editor);
        scene.end();
    });
}

/// [H2, H5] A list is freed when nobody reads it, and what was attached last in it.
#[test]
fn reap_against_call() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        let caller = thread::spawn(move || call(handlers));
        // Without looking whether it is silent: its value goes with the list.
        drop(editor.detach("one"));
        drop(editor.reap());
        let seen = caller.join().expect("no panic");
        assert!(seen.is_empty() || seen == [1], "{seen:?}");
        drop(editor.reap());
        assert_eq!(scene.alive.load(Relaxed), 0, "nobody reads it");
        drop(editor);
        scene.end();
    });
}

/// [H2, H5] As above, where nothing was detached: only the list that was replaced is freed.
#[test]
fn reap_after_attach_against_call() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        let caller = thread::spawn(move || call(handlers));
        scene.attach(&mut editor, "two", 2);
        drop(editor.reap());
        let seen = caller.join().expect("no panic");
        assert!(seen == [1] || seen == [1, 2], "{seen:?}");
        drop(editor);
        scene.end();
    });
}

/// [H6] Whose seat was another's is seen in it.
#[test]
fn a_seat_that_was_anothers() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        let first = thread::spawn(move || call(handlers));
        let second = thread::spawn(move || call(handlers));
        let left = editor.detach("one").expect("it is attached").finish();
        let left = left.map(drop).err();
        first.join().expect("no panic");
        second.join().expect("no panic");
        assert!(left.is_none_or(|detaching| detaching.finish().is_ok()));
        drop(editor);
        scene.end();
    });
}

/// What a call site remembers of a list holds for no other list.
#[test]
fn interest_against_attach() {
    check_deeply(3, || {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        let other = Tracked::new(9, &scene.alive);
        let elsewhere = [Pattern::exactly(EventName::new("order.paid"))];
        editor
            .attach("elsewhere", &elsewhere, other)
            .expect("there is room");
        let interest = Arc::new(Interest::unknown());
        let theirs = Arc::clone(&interest);
        let caller = thread::spawn(move || {
            if !handlers.may_want(&theirs) {
                return Called::default();
            }
            let caller = handlers.caller().expect("there is room");
            caller
                .call_from(&theirs, &PLACED, |handler| {
                    assert_eq!(handler.value.number(), 1);
                })
                .expect("not deep")
        });
        scene.attach(&mut editor, "one", 1);
        caller.join().expect("no panic");
        assert!(handlers.may_want(&interest), "it is wanted now");
        assert_eq!(call(handlers), [1]);
        drop(editor);
        scene.end();
    });
}

/// A handler detaches itself, while another thread is in it: the one is told that it runs, and so is the other.
#[test]
fn detach_from_within() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let mut editor = scene.editor();
        scene.attach(&mut editor, "one", 1);
        let caller = thread::spawn(move || call(handlers));
        let mine = handlers.caller().expect("there is room");
        let mut left: Option<Detaching<'_, Tracked>> = None;
        mine.call(&PLACED, |handler| {
            let detaching = editor.detach("one").expect("it is attached");
            left = detaching.finish().map(drop).err();
            assert!(left.is_some(), "we are in it");
            assert_eq!(handler.value.number(), 1);
        })
        .expect("not deep");
        assert_eq!(mine.call(&PLACED, |_| ()).map(|it| it.called), Ok(0));
        let left = left.expect("it was called").finish().map(drop).err();
        let seen = caller.join().expect("no panic");
        assert!(seen.is_empty() || seen == [1], "{seen:?}");
        assert!(left.is_none_or(|detaching| detaching.finish().is_ok()));
        drop((mine, editor));
        scene.end();
    });
}

/// [H8] Edits of one after the other.
#[test]
fn the_right_to_edit_is_handed_on() {
    check(|| {
        let scene = Scene::new();
        let handlers = scene.handlers();
        let alive = Arc::clone(&scene.alive);
        let other = thread::spawn(move || {
            if let Some(mut editor) = handlers.claim_editor() {
                let value = Tracked::new(2, &alive);
                editor
                    .attach("two", &[Pattern::EVERYTHING], value)
                    .expect("there is room");
            }
        });
        if let Some(mut editor) = handlers.claim_editor() {
            scene.attach(&mut editor, "one", 1);
            drop(editor.detach("two"));
            drop(editor.reap());
        }
        other.join().expect("no panic");
        drop(scene.editor().reap());
        scene.end();
    });
}

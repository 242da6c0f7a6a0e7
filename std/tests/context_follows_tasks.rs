//! Futures and rayon's pieces of work run in the context of whoever made them, and leave nothing behind.
#![cfg(all(feature = "future", feature = "rayon"))]

use bedplate::context::{self, Context, FutureExt as _, Key, rayon};
use bedplate::telemetry::{self, span};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

static REQUEST: Key<u64> = Key::new("request_id");
static WORKER: Key<u64> = Key::new("worker").local();

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut core::task::Context::from_waker(Waker::noop()))
}

#[test]
fn a_future_has_its_context_in_every_poll_on_whatever_thread() {
    let mut polls = 0;
    let task = context::with(&REQUEST, 7, || {
        context::with(&WORKER, 1, || {
            poll_fn(move |_| {
                polls += 1;
                assert_eq!(
                    (context::get(&REQUEST), context::get(&WORKER)),
                    (Some(7), None)
                );
                context::set(&REQUEST, 8);
                if polls < 3 {
                    Poll::Pending
                } else {
                    Poll::Ready(polls)
                }
            })
            .in_current_context()
        })
    });
    let mut task = Box::pin(task);
    context::with(&REQUEST, 100, || {
        assert_eq!(poll(task.as_mut()), Poll::Pending);
        assert_eq!(context::get(&REQUEST), Some(100));
    });
    let polled = thread::scope(|scope| {
        let mut task = task.as_mut();
        scope
            .spawn(move || (poll(task.as_mut()), poll(task)))
            .join()
            .unwrap()
    });
    assert_eq!(polled, (Poll::Pending, Poll::Ready(3)));
}

#[test]
fn a_future_that_panics_or_is_dropped_leaves_the_thread_as_it_was() {
    context::with(&REQUEST, 1, || {
        let other = Context::empty().with_value(&REQUEST, 2);
        let mut task = pin!(
            async { std::panic::resume_unwind(Box::new("on purpose")) }
                .in_context_of(other.clone())
        );
        let polled = catch_unwind(AssertUnwindSafe(|| poll::<_>(task.as_mut()).map(|()| ())));
        assert!(polled.is_err());
        assert_eq!(context::get(&REQUEST), Some(1));
        let mut pending = Box::pin(core::future::pending::<()>().in_context_of(other));
        assert_eq!(poll(pending.as_mut()), Poll::Pending);
        drop(pending);
        assert_eq!(context::get(&REQUEST), Some(1));
    });
}

#[test]
fn a_pool_runs_in_the_callers_context_and_keeps_none() {
    let pool = rayon_core::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let see = || context::get(&REQUEST);
    context::with(&REQUEST, 7, || {
        assert_eq!(
            rayon::install(&pool, || rayon::join(see, see)),
            (Some(7), Some(7))
        );
        assert_eq!(rayon::broadcast(&pool, see), [Some(7); 2]);
        let seen = rayon::install(&pool, || {
            let (tell, told) = std::sync::mpsc::channel();
            rayon::scope(|scope| {
                for _ in 0..4 {
                    let tell = tell.clone();
                    rayon::in_scope(scope, move |_| tell.send(see()).unwrap());
                }
            });
            drop(tell);
            told.into_iter().collect::<Vec<_>>()
        });
        assert_eq!(seen, [Some(7); 4]);
    });
    assert_eq!(pool.broadcast(|_| see()), [None; 2]);
}

#[test]
fn tasks_are_in_the_span_of_whoever_made_them() {
    let outer = telemetry::span!("tasks.outer");
    let own = outer.traceparent();
    let mut polls = 0;
    let mut task = Box::pin(
        poll_fn(move |_| {
            polls += 1;
            assert_eq!(span::current(), own);
            // What is left open in one poll is not current in the next.
            core::mem::forget(telemetry::span!("tasks.left"));
            if polls < 3 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .in_current_context(),
    );
    assert_eq!(poll(task.as_mut()), Poll::Pending);
    assert_eq!(span::current(), own);
    let elsewhere = thread::spawn(move || {
        let theirs = telemetry::span!("tasks.theirs");
        let polled = (poll(task.as_mut()), poll(task.as_mut()));
        assert_eq!(span::current(), theirs.traceparent());
        polled
    });
    assert_eq!(elsewhere.join().unwrap(), (Poll::Pending, Poll::Ready(())));

    let pool = rayon_core::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    assert_eq!(
        rayon::install(&pool, || rayon::join(span::current, span::current)),
        (own, own)
    );
    drop(outer);
    assert_eq!(pool.broadcast(|_| span::current()), [None; 2]);
}

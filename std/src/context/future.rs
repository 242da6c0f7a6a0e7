//! A future that is polled in the context of whoever made it.

use core::future::Future;
use core::pin::Pin;
use core::task::{self, Poll};

use pin_project_lite::pin_project;

use super::{Context, capture};

/// Gives a future the context it runs in. With the feature `future`.
///
/// ```
/// use bedplate::context::{self, FutureExt as _, Key};
/// # use core::{future::Future as _, pin::pin, task::{Context, Poll, Waker}};
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// let task = context::with(&REQUEST_ID, 7, || async { context::get(&REQUEST_ID) }.in_current_context());
/// assert_eq!(context::get(&REQUEST_ID), None);
/// # let mut waker = Context::from_waker(Waker::noop());
/// // … and wherever an executor polls it:
/// assert_eq!(pin!(task).poll(&mut waker), Poll::Ready(Some(7)));
/// ```
pub trait FutureExt: Future + Sized {
    /// The same future, polled in the context [captured](capture) now, on whatever thread.
    ///
    /// Each poll begins in that context, and ends with the thread's own restored, also when it panics; a value that
    /// was [set](super::set) in one poll is gone in the next.
    fn in_current_context(self) -> InContextFuture<Self> {
        self.in_context_of(capture())
    }

    /// The same future, polled in `context`.
    fn in_context_of(self, context: Context) -> InContextFuture<Self> {
        InContextFuture {
            future: self,
            context,
        }
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future with a context; made by [`FutureExt`].
    ///
    /// It is dropped in the context of whoever drops it.
    #[derive(Clone, Debug)]
    #[must_use = "a future does nothing unless it is polled"]
    pub struct InContextFuture<F> {
        #[pin]
        future: F,
        context: Context,
    }
}

impl<F: Future> Future for InContextFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.context.clone().run(|| this.future.poll(task))
    }
}

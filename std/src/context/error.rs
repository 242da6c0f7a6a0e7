//! Errors that know in which context they arose.

use core::{error::Error, fmt};

use super::key::{ContextValue, Key};
use super::{CORRELATION_ID, Context};

/// Attaches the current context to the error of a result.
///
/// ```
/// use bedplate::context::{self, Key, ResultExt as _};
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// fn parse(text: &str) -> Result<u8, Box<dyn std::error::Error>> {
///     Ok(text.parse::<u8>().in_context()?)
/// }
///
/// let error = context::with(&REQUEST_ID, 123, || parse("many")).unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string (request_id=123)");
/// ```
///
/// # With other crates
///
/// An [`InContext`] is an error like any other: `anyhow` and `eyre` take it with `?`, and a variant of a `thiserror`
/// enum can hold one as its `#[from]` or `#[source]`. What is already an `anyhow::Error` or an `eyre::Report` is no
/// [`Error`]; there, a [`Context`] is what is attached: `.context(context::current())`, `.wrap_err(context::current())`.
pub trait ResultExt {
    /// The same result, with an error that keeps the current context.
    type InContext;

    /// Attaches the current context to an error; a success stays as it is, and costs nothing.
    ///
    /// Nothing is formatted until the error is printed: it costs what [`current`](super::current) does.
    fn in_context(self) -> Self::InContext;
}

impl<T, E> ResultExt for Result<T, E> {
    type InContext = Result<T, InContext<E>>;

    #[inline]
    fn in_context(self) -> Result<T, InContext<E>> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(InContext::new(error)),
        }
    }
}

/// Adds the current context to an error that may know some of it already.
///
/// Implemented for [`InContext`]; implement it for an error type of your own that holds a [`Context`].
///
/// ```
/// use bedplate::context::{self, Enrich as _, InContext, Key, ResultExt as _};
/// static OPERATION: Key<&'static str> = Key::new("operation");
/// static USER: Key<&'static str> = Key::new("user");
///
/// let inner: Result<(), _> = context::with(&OPERATION, "read", || Err("disk full").in_context());
/// let outer = context::with(&USER, "ada", || context::with(&OPERATION, "retry", || inner.enrich()));
/// assert_eq!(outer.unwrap_err().to_string(), "disk full (operation=read user=ada)");
/// ```
pub trait Enrich {
    /// Adds the entries of the current context whose keys the error does not have. What it has, it keeps.
    #[must_use]
    fn enrich(self) -> Self;
}

impl<E> Enrich for InContext<E> {
    fn enrich(mut self) -> Self {
        self.context = self.context.completed(&super::current());
        self
    }
}

/// Enriches an error; a success stays as it is.
impl<T, E: Enrich> Enrich for Result<T, E> {
    fn enrich(self) -> Self {
        self.map_err(Enrich::enrich)
    }
}

/// An error, and the context in which it arose.
///
/// It prints as the error does, with the context behind it, and its [`source`](Error::source) is the error's: the
/// error itself is not among the sources, since it would be told twice. `{:#}` leaves the context out; the alternate
/// `{:#?}` is that of the parts.
#[derive(Clone)]
pub struct InContext<E> {
    error: E,
    context: Context,
}

impl<E> InContext<E> {
    /// `error` in the current context, local keys included.
    #[inline]
    pub fn new(error: E) -> Self {
        Self {
            error,
            context: super::current(),
        }
    }

    /// `error` in `context`.
    pub const fn of(error: E, context: Context) -> Self {
        Self { error, context }
    }

    /// Adds an entry that belongs to the error itself: it replaces one from around it, and no
    /// [`enrich`](Enrich::enrich) changes it.
    #[must_use]
    pub fn with_value<T: ContextValue>(mut self, key: &'static Key<T>, value: T) -> Self {
        self.context = self.context.with_value(key, value);
        self
    }

    /// The error.
    pub const fn error(&self) -> &E {
        &self.error
    }

    /// The context in which it arose.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Its value of [`CORRELATION_ID`], which is that of the innermost place where there was one.
    #[must_use]
    pub fn correlation_id(&self) -> Option<alloc::sync::Arc<str>> {
        self.context.get(&CORRELATION_ID)
    }

    /// The error alone.
    pub fn into_error(self) -> E {
        self.error
    }

    /// Another error in the same context.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> InContext<F> {
        InContext {
            error: change(self.error),
            context: self.context,
        }
    }
}

impl<E: fmt::Display> fmt::Display for InContext<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        if f.alternate() || self.context.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.context)
    }
}

impl<E: fmt::Debug> fmt::Debug for InContext<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let breadcrumbs = self.context.breadcrumbs();
        let mut parts = f.debug_struct("InContext");
        parts.field("error", &self.error);
        parts.field("context", &self.context);
        if breadcrumbs.clone().next().is_some() {
            parts.field("breadcrumbs", &breadcrumbs);
        }
        parts.finish()
    }
}

impl<E: Error> Error for InContext<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

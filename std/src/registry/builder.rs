//! How a registry is made to measure.

use super::shared::{Inner, Key, Registry, Value};
use super::{Change, FeedTooLarge, OpenError, catalogue};
use crate::process::panic::contain;
use crate::sync::Arc;
use core::fmt;
use foldhash::fast::RandomState;

/// Makes a [`Registry`]; see [`Registry::builder`].
///
/// ```
/// use bedplate::registry::{News, Registry};
///
/// let prices = Registry::<&str, u64>::builder()
///     .limit(10_000)
///     .audit(|change| println!("{:?} of {:?} by {}", change.reason, change.key, change.owner))
///     .feed(64)?
///     .open("prices")?;
/// let mut changes = prices.changes().expect("there is a feed");
/// prices.register("tea", 7)?;
/// let told = prices.with(|guard| match changes.next(guard) {
///     Some(News::Change(change)) => Some((change.key.to_owned(), *change.value)),
///     _ => None,
/// });
/// assert_eq!(told, Some(("tea".to_owned(), 7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing before it is told to build"]
pub struct Builder<K: Key, V: Value> {
    core: bedplate_core::registry::Builder<K, V, RandomState>,
    limit: usize,
}

impl<K: Key, V: Value> Builder<K, V> {
    pub(super) fn new() -> Self {
        Self {
            core: bedplate_core::registry::EpochRegistry::builder(RandomState::default()),
            limit: usize::MAX,
        }
    }

    /// More than `limit` entries are refused.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self.core = self.core.limit(limit);
        self
    }

    /// `audit` is called for every change, by the thread that made it, right after it: also by one that is
    /// ending, for what it leaves. Others may see the change, and change the same key again, before; the number
    /// tells in which order that was.
    ///
    /// It may read the registry. What it changes in it on the same thread is refused as
    /// [`Busy`](super::RegisterError::Busy), if the change was the thread's and not an
    /// [`Owner`](super::Owner)'s. A panic of it is printed, and goes no further.
    pub fn audit(mut self, audit: impl Fn(&Change<'_, K, V>) + Send + Sync + 'static) -> Self {
        self.core = self.core.audit(move |change| contain(|| audit(change)));
        self
    }

    /// The last changes, `capacity` of them, rounded up to a power of two (at least one), can be followed; see
    /// [`Registry::changes`]. Every change then allocates, and clones key and value, which must not panic.
    ///
    /// # Errors
    /// [`FeedTooLarge`] if that is more than [`LARGEST_FEED`](super::LARGEST_FEED).
    pub fn feed(mut self, capacity: usize) -> Result<Self, FeedTooLarge>
    where
        K: Clone,
        V: Clone,
    {
        self.core = self.core.feed(capacity)?;
        Ok(self)
    }

    /// A registry without a name.
    #[must_use]
    pub fn build(self) -> Registry<K, V> {
        Registry(Arc::new(self.into_inner(None)))
    }

    /// The registry called `name`: the one there is, as it was made, or else a new one, made like this. It keeps
    /// its name as long as it lives.
    ///
    /// # Errors
    /// As [`Registry::open`].
    ///
    /// # Concurrency
    /// As [`Registry::open`].
    pub fn open(self, name: &str) -> Result<Registry<K, V>, OpenError> {
        catalogue::open(name, self)
    }

    pub(super) fn into_inner(self, name: Option<Arc<str>>) -> Inner<K, V> {
        Inner::new(name, self.limit, self.core.build())
    }
}

impl<K: Key, V: Value> fmt::Debug for Builder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

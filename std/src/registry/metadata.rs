//! What is known about a registry as a whole.

use super::{MetadataError, is_usable};
use crate::sync::{Arc, Mutex};
use alloc::collections::BTreeMap;
use core::any::Any;
use core::fmt;

/// So many values may be noted about one registry.
const LIMIT: usize = 1_024;

/// Values of any type, each under a key, that belong to a registry and go with it: who made it, which
/// version of a protocol its values speak. See [`Registry::metadata`](super::Registry::metadata).
///
/// # Concurrency
/// Blocking: every operation holds a lock for a few instructions, under which no code of a user runs.
///
/// ```
/// use bedplate::registry::Registry;
///
/// let topics = Registry::<String, u64>::new();
/// topics.metadata().put("version", 3_u32)?;
/// assert_eq!(topics.metadata().get::<u32>("version").as_deref(), Some(&3));
/// assert_eq!(topics.metadata().get::<String>("version"), None);   // it is no text
/// assert!(topics.metadata().remove("version"));
/// # Ok::<(), bedplate::registry::MetadataError<u32>>(())
/// ```
#[derive(Default)]
pub struct Metadata(Mutex<BTreeMap<Box<str>, Noted>>);

type Noted = Arc<dyn Any + Send + Sync>;

impl Metadata {
    /// Notes `value` under `key`, in the place of what was there.
    ///
    /// # Errors
    /// [`MetadataError`] if the key cannot be used, or is new and there are 1,024.
    pub fn put<T: Send + Sync + 'static>(
        &self,
        key: &str,
        value: T,
    ) -> Result<(), MetadataError<T>> {
        if !is_usable(key) {
            return Err(MetadataError::BadKey { value });
        }
        let mut noted = self.0.lock();
        if noted.len() >= LIMIT && !noted.contains_key(key) {
            drop(noted);
            return Err(MetadataError::Full {
                limit: LIMIT,
                value,
            });
        }
        let before = noted.insert(Box::from(key), Arc::new(value));
        drop(noted);
        // Outside the lock: it is a value of the user.
        drop(before);
        Ok(())
    }

    /// What is noted under `key`; `None` if that is nothing, or of another type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self, key: &str) -> Option<Arc<T>> {
        let noted = self.0.lock().get(key).cloned();
        noted?.downcast().ok()
    }

    /// Takes back what is noted under `key`. Returns whether that was anything.
    pub fn remove(&self, key: &str) -> bool {
        let before = self.0.lock().remove(key);
        before.is_some()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

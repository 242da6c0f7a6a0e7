//! The registries of this process that have names.
//!
//! The catalogue keeps nobody alive: a named registry lives as long as somebody has a handle on it or a
//! registration in it. No registry is dropped while the catalogue is locked, since that frees what is a
//! user's, and takes the registry out.

use super::shared::{Inner, Key, Value};
use super::{Builder, Health, OpenError, Registry, is_usable};
use crate::sync::{Arc, Mutex, Weak};
use alloc::collections::BTreeMap;
use core::any::{Any, type_name};

/// So many named registries there may be.
const LIMIT: usize = 1_024;

static CATALOGUE: Mutex<BTreeMap<Arc<str>, Listed>> = Mutex::new(BTreeMap::new());

struct Listed {
    registry: Weak<dyn AnyRegistry>,
    id: u64,
    type_name: &'static str,
}

/// A registry of whatever keys and values.
trait AnyRegistry: Send + Sync {
    fn health(&self) -> Health;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<K: Key, V: Value> AnyRegistry for Inner<K, V> {
    fn health(&self) -> Health {
        self.health()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The registries that have names, in the order of these, and how they do.
///
/// # Concurrency
/// Blocking: the list of names is locked for a moment, together with whoever opens a registry. O(named
/// registries).
#[must_use]
pub fn all() -> Vec<(Arc<str>, Health)> {
    let there: Vec<_> = CATALOGUE
        .lock()
        .iter()
        .filter_map(|(name, listed)| Some((name.clone(), listed.registry.upgrade()?)))
        .collect();
    there
        .into_iter()
        .map(|(name, registry)| (name, registry.health()))
        .collect()
}

/// The registry called `name`, made if there is none.
pub(super) fn open<K: Key, V: Value>(
    name: &str,
    builder: Builder<K, V>,
) -> Result<Registry<K, V>, OpenError> {
    if !is_usable(name) {
        return Err(OpenError::BadName);
    }
    let mut catalogue = CATALOGUE.lock();
    let there = catalogue
        .get(name)
        .and_then(|listed| Some((listed.registry.upgrade()?, listed.type_name)));
    if let Some((there, type_name)) = there {
        drop(catalogue);
        return match there.into_any().downcast::<Inner<K, V>>() {
            Ok(inner) => Ok(Registry(inner)),
            Err(_) => Err(OpenError::OtherType { there: type_name }),
        };
    }
    if catalogue.len() >= LIMIT && !catalogue.contains_key(name) {
        return Err(OpenError::Full { limit: LIMIT });
    }
    let name: Arc<str> = Arc::from(name);
    let inner = Arc::new(builder.into_inner(Some(name.clone())));
    let weak = Arc::downgrade(&inner);
    let listed = Listed {
        registry: weak,
        id: inner.id,
        type_name: type_name::<Registry<K, V>>(),
    };
    catalogue.insert(name, listed);
    Ok(Registry(inner))
}

/// Takes a registry out that is gone.
pub(super) fn forget(name: &str, id: u64) {
    let mut catalogue = CATALOGUE.lock();
    // Another one may have got the name already.
    if catalogue.get(name).is_some_and(|listed| listed.id == id) {
        catalogue.remove(name);
    }
}

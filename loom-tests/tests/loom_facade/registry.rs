//! What an incarnation holds: shipped, over a registry that is a table of names under a lock. That a name is only taken
//! out for who holds it is core's business, and modelled there (`loom_registry.rs`).

#[path = "../../../std/src/registry/holdings.rs"]
mod holdings;
#[path = "../../../std/src/registry/wait.rs"]
mod wait;

pub(crate) use holdings::Holdings;
pub(crate) use shared::{Names, Registry};

use crate::HOUR;
use crate::stop::StopToken;

mod shared {
    use crate::process::Pid;
    use crate::sync::{Arc, Mutex};
    use alloc::collections::BTreeMap;

    pub(crate) trait Key: Ord + Clone + Send + Sync + 'static {}
    pub(crate) trait Value: Send + Sync + 'static {}

    impl Key for &'static str {}
    impl Value for () {}

    pub(crate) struct Registry<K, V>(pub(super) Arc<Inner<K, V>>);

    impl<K, V> Clone for Registry<K, V> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    pub(crate) type Names = Registry<&'static str, ()>;

    pub(crate) struct Inner<K, V> {
        pub(super) id: u64,
        pub(super) entries: Mutex<BTreeMap<K, (Pid, V)>>,
    }

    impl Names {
        pub(crate) fn new() -> Self {
            let entries = Mutex::new(BTreeMap::new());
            Self(Arc::new(Inner { id: 1, entries }))
        }

        /// Who has this name.
        pub(crate) fn holder(&self, name: &'static str) -> Option<Pid> {
            self.0.entries.lock().get(name).map(|&(holder, ())| holder)
        }
    }
}

mod owner {
    use super::shared::{Key, Registry, Value};
    use crate::process::Pid;

    /// The names that one holder has.
    pub(super) struct Held<K: Key, V: Value> {
        registry: Registry<K, V>,
        holder: Pid,
        keys: Vec<K>,
    }

    impl<K: Key, V: Value> Held<K, V> {
        pub(super) fn new(registry: &Registry<K, V>, holder: Pid) -> Self {
            Self {
                registry: registry.clone(),
                holder,
                keys: Vec::new(),
            }
        }

        pub(super) const fn is_empty(&self) -> bool {
            self.keys.is_empty()
        }

        /// Whether it was free.
        pub(super) fn register(&mut self, key: K, value: V) -> bool {
            let mut entries = self.registry.0.entries.lock();
            let is_free = !entries.contains_key(&key);
            if is_free {
                entries.insert(key.clone(), (self.holder, value));
                self.keys.push(key);
            }
            is_free
        }
    }

    impl<K: Key, V: Value> Drop for Held<K, V> {
        fn drop(&mut self) {
            for key in &self.keys {
                let mut entries = self.registry.0.entries.lock();
                let (holder, _) = entries.remove(key).expect("nobody else takes it out");
                assert_eq!(holder, self.holder);
            }
        }
    }
}

mod report {
    pub(super) const fn thread_ends() {}
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    Yes,
    /// Somebody else has the name.
    Taken,
    /// Whoever wanted it is over.
    Over,
}

/// Registers `name` for whom `holdings` belongs to.
pub(crate) fn register(holdings: &Holdings, names: &Names, name: &'static str) -> Registered {
    let Ok(mut held) = holdings.borrow(names) else {
        return Registered::Over;
    };
    if !held.register(name, ()) {
        return Registered::Taken;
    }
    held.added = true;
    Registered::Yes
}

/// Why nothing was waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitError {
    Timeout,
    Stopped,
}

/// Who waits for keys of one registry.
#[derive(Default)]
pub(crate) struct Waits(wait::Waiting);

impl Waits {
    /// Registers `key`, which `register` does.
    pub(crate) fn register(&self, key: &str, register: impl FnOnce()) {
        let notice = self.0.before(key);
        register();
        self.0.after(notice);
    }

    pub(crate) fn wait(
        &self,
        key: &str,
        stop: Option<&StopToken>,
        mut is_registered: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        let look = move || is_registered().then_some(());
        self.0.wait(key, HOUR, stop, look)
    }

    pub(crate) async fn wait_as_task(&self, key: &str, mut is_registered: impl FnMut() -> bool) {
        let look = move || is_registered().then_some(());
        self.0.wait_as_task(key, look).await;
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.0.count()
    }
}

//! A registry is a map from keys to who holds them with what.

use bedplate_core::id::Pid;
use std::collections::BTreeMap;

/// The truth about a registry of at most `limit` entries.
#[derive(Clone, Debug)]
pub struct Registry<K, V> {
    limit: usize,
    entries: BTreeMap<K, (Pid, V)>,
}

/// Why the truth refuses a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key is held by this process.
    AlreadyRegistered(Pid),
    /// There are as many entries as there may be.
    Full,
}

impl<K: Ord + Clone, V: Clone> Registry<K, V> {
    /// Nothing registered.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: BTreeMap::new(),
        }
    }

    /// `pid` registers `key`.
    ///
    /// # Errors
    /// If the key is held or the registry is full, in this order.
    pub fn register(&mut self, pid: Pid, key: K, value: V) -> Result<(), Refused> {
        if let Some((holder, _)) = self.entries.get(&key) {
            return Err(Refused::AlreadyRegistered(*holder));
        }
        if self.entries.len() >= self.limit {
            return Err(Refused::Full);
        }
        self.entries.insert(key, (pid, value));
        Ok(())
    }

    /// `pid` takes `key` over; who held it with what.
    ///
    /// # Errors
    /// If nobody held it and the registry is full.
    pub fn take_over(&mut self, pid: Pid, key: K, value: V) -> Result<Option<(Pid, V)>, Refused> {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.limit {
            return Err(Refused::Full);
        }
        Ok(self.entries.insert(key, (pid, value)))
    }

    /// `pid` replaces the value of `key`; whether it held it.
    pub fn update(&mut self, pid: Pid, key: &K, value: V) -> bool {
        match self.entries.get_mut(key) {
            Some((holder, old)) if *holder == pid => {
                *old = value;
                true
            }
            _ => false,
        }
    }

    /// `pid` hands `key` on to `to`; whether it held it.
    pub fn give_away(&mut self, pid: Pid, key: &K, to: Pid) -> bool {
        match self.entries.get_mut(key) {
            Some((holder, _)) if *holder == pid => {
                *holder = to;
                true
            }
            _ => false,
        }
    }

    /// `pid` gives up `key`; whether it held it.
    pub fn unregister(&mut self, pid: Pid, key: &K) -> bool {
        let holds = self
            .entries
            .get(key)
            .is_some_and(|(holder, _)| *holder == pid);
        holds && self.entries.remove(key).is_some()
    }

    /// `pid` is gone.
    pub fn owner_died(&mut self, pid: Pid) {
        self.entries.retain(|_, (holder, _)| *holder != pid);
    }

    /// Who holds `key`, with what.
    #[must_use]
    pub fn lookup(&self, key: &K) -> Option<(Pid, V)> {
        self.entries.get(key).cloned()
    }

    /// Everything, by key.
    #[must_use]
    pub fn list(&self) -> Vec<(K, Pid, V)> {
        self.entries
            .iter()
            .map(|(key, (pid, value))| (key.clone(), *pid, value.clone()))
            .collect()
    }

    /// What `pid` holds.
    #[must_use]
    pub fn held_by(&self, pid: Pid) -> usize {
        self.entries
            .values()
            .filter(|(holder, _)| *holder == pid)
            .count()
    }
}

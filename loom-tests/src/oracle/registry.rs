//! A registry is a map from keys to who holds them with what.

use bedplate_core::id::Pid;
use bedplate_core::registry::Reason;
use std::collections::BTreeMap;

/// The truth about a registry of at most `limit` entries.
#[derive(Clone, Debug)]
pub struct Registry<K, V> {
    limit: usize,
    entries: BTreeMap<K, (Pid, V)>,
    history: Vec<Event<K, V>>,
}

/// A change: what happened, to which key, with which value, and whose it is or was.
pub type Event<K, V> = (Reason, K, V, Pid);

/// Why the truth refuses a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key is held by this process.
    AlreadyRegistered(Pid),
    /// There are as many entries as there may be.
    Full,
}

/// Why the truth refuses a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedMany {
    /// The key of this pair is that of an earlier one.
    Repeated(usize),
    /// The key of this pair is held by this process.
    AlreadyRegistered(usize, Pid),
    /// There is no room for all.
    Full,
}

impl<K: Ord + Clone, V: Clone> Registry<K, V> {
    /// Nothing registered.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// Every change there was, in order; of several that one operation made, in some order.
    #[must_use]
    pub fn history(&self) -> &[Event<K, V>] {
        &self.history
    }

    fn note(&mut self, reason: Reason, key: &K) {
        let (pid, value) = &self.entries[key];
        self.history
            .push((reason, key.clone(), value.clone(), *pid));
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
        self.entries.insert(key.clone(), (pid, value));
        self.note(Reason::Registered, &key);
        Ok(())
    }

    /// `pid` registers all of these, or none.
    ///
    /// # Errors
    /// If a key is there twice, is held, or there is no room for all, in this order; of several keys, the first.
    pub fn register_many(&mut self, pid: Pid, pairs: &[(K, V)]) -> Result<(), RefusedMany> {
        for (at, (key, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(before, _)| before == key) {
                return Err(RefusedMany::Repeated(at));
            }
        }
        for (at, (key, _)) in pairs.iter().enumerate() {
            if let Some((holder, _)) = self.entries.get(key) {
                return Err(RefusedMany::AlreadyRegistered(at, *holder));
            }
        }
        if self.entries.len() + pairs.len() > self.limit {
            return Err(RefusedMany::Full);
        }
        for (key, value) in pairs {
            self.entries.insert(key.clone(), (pid, value.clone()));
            self.note(Reason::Registered, key);
        }
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
        let before = self.entries.insert(key.clone(), (pid, value));
        let reason = match before {
            Some((from, _)) => Reason::TakenOver { from },
            None => Reason::Registered,
        };
        self.note(reason, &key);
        Ok(before)
    }

    /// `pid` replaces the value of `key`; whether it held it.
    pub fn update(&mut self, pid: Pid, key: &K, value: V) -> bool {
        match self.entries.get_mut(key) {
            Some((holder, old)) if *holder == pid => {
                *old = value;
                self.note(Reason::Updated, key);
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
                self.note(Reason::GivenAway { from: pid }, key);
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
        if holds {
            self.note(Reason::Unregistered, key);
            self.entries.remove(key);
        }
        holds
    }

    /// `pid` is gone.
    pub fn owner_died(&mut self, pid: Pid) {
        let own = self
            .entries
            .iter()
            .filter(|(_, (holder, _))| *holder == pid);
        let own: Vec<K> = own.map(|(key, _)| key.clone()).collect();
        for key in own {
            self.note(Reason::OwnerDied, &key);
            self.entries.remove(&key);
        }
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

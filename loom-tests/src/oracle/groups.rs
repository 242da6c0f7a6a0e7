//! Groups are a list of who is where with what.

use bedplate_core::id::Pid;

/// The truth about groups of at most `limit` memberships.
#[derive(Clone, Debug)]
pub struct Groups<K, V> {
    limit: usize,
    joined: usize,
    members: Vec<Membership<K, V>>,
}

/// One membership.
#[derive(Clone, Debug)]
struct Membership<K, V> {
    /// The how-manieth it is.
    number: usize,
    key: K,
    pid: Pid,
    value: V,
}

impl<K: Ord + Clone, V: Ord + Clone> Groups<K, V> {
    /// Nobody is anywhere.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            joined: 0,
            members: Vec::new(),
        }
    }

    /// `pid` joins; which membership that is, or `None` if there are as many as there may be.
    pub fn join(&mut self, pid: Pid, key: K, value: V) -> Option<usize> {
        if self.members.len() >= self.limit {
            return None;
        }
        self.joined += 1;
        self.members.push(Membership {
            number: self.joined,
            key,
            pid,
            value,
        });
        Some(self.joined)
    }

    /// One membership ends; whether it had not ended before.
    pub fn leave(&mut self, number: usize) -> bool {
        self.leave_if(|membership| membership.number == number) == 1
    }

    /// `pid` leaves the group of `key`; how many memberships end.
    pub fn leave_all(&mut self, pid: Pid, key: &K) -> usize {
        self.leave_if(|membership| membership.pid == pid && membership.key == *key)
    }

    /// `pid` ends what `condition` holds for; how many memberships.
    pub fn leave_where(&mut self, pid: Pid, condition: impl Fn(&K, &V) -> bool) -> usize {
        self.leave_if(|membership| {
            membership.pid == pid && condition(&membership.key, &membership.value)
        })
    }

    /// `pid` is gone.
    pub fn owner_died(&mut self, pid: Pid) {
        self.leave_if(|membership| membership.pid == pid);
    }

    fn leave_if(&mut self, condition: impl Fn(&Membership<K, V>) -> bool) -> usize {
        let before = self.members.len();
        self.members.retain(|membership| !condition(membership));
        before - self.members.len()
    }

    /// Who is in the group of `key` with what, in order.
    #[must_use]
    pub fn members(&self, key: &K) -> Vec<(Pid, V)> {
        self.sorted(|membership| {
            (membership.key == *key).then(|| (membership.pid, membership.value.clone()))
        })
    }

    /// The groups `pid` is in, with what.
    #[must_use]
    pub fn held_by(&self, pid: Pid) -> Vec<(K, V)> {
        self.sorted(|membership| {
            (membership.pid == pid).then(|| (membership.key.clone(), membership.value.clone()))
        })
    }

    /// Everything, in order.
    #[must_use]
    pub fn list(&self) -> Vec<(K, Pid, V)> {
        self.sorted(
            |Membership {
                 key, pid, value, ..
             }| Some((key.clone(), *pid, value.clone())),
        )
    }

    /// The keys that have members, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        let mut keys = self.sorted(|membership| Some(membership.key.clone()));
        keys.dedup();
        keys
    }

    fn sorted<T: Ord>(&self, f: impl Fn(&Membership<K, V>) -> Option<T>) -> Vec<T> {
        let mut all: Vec<_> = self.members.iter().filter_map(f).collect();
        all.sort();
        all
    }
}

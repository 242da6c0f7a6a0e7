//! Contexts as lists of pairs, and everything that is open as a list of what it will restore.

/// An oracle of frames without limit.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    /// Newest last, each key once.
    current: Vec<(u8, u32)>,
    open: Vec<Open>,
    next: usize,
}

#[derive(Clone, Debug)]
struct Open {
    name: usize,
    is_scope: bool,
    before: Vec<(u8, u32)>,
    gone: bool,
}

impl Contexts {
    /// What is in force, newest first.
    #[must_use]
    pub fn current(&self) -> Vec<(u8, u32)> {
        self.current.iter().rev().copied().collect()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u8) -> Option<u32> {
        let found = self.current.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| *value)
    }

    /// Puts a value under a key until what is open ends.
    pub fn set(&mut self, key: u8, value: u32) {
        self.current.retain(|(other, _)| *other != key);
        self.current.push((key, value));
    }

    /// Replaces all until what is open ends; newest first.
    pub fn reset(&mut self, all: &[(u8, u32)]) {
        self.current = all.iter().rev().copied().collect();
    }

    /// Begins a scope, or attaches; its name. What it changes is changed afterwards.
    pub fn open(&mut self, is_scope: bool) -> usize {
        self.next += 1;
        self.open.push(Open {
            name: self.next,
            is_scope,
            before: self.current.clone(),
            gone: false,
        });
        self.next
    }

    /// Ends the scope that began last.
    ///
    /// # Panics
    /// If none is open.
    pub fn leave(&mut self) {
        let at = self.open.iter().rposition(|open| open.is_scope);
        let at = at.expect("a scope is open");
        self.open.truncate(at + 1);
        self.open[at].gone = true;
        self.settle();
    }

    /// Detaches what has this name, if its scope has not ended.
    pub fn detach(&mut self, name: usize) {
        if let Some(open) = self.open.iter_mut().find(|open| open.name == name) {
            open.gone = true;
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(last) = self.open.pop_if(|open| open.gone) {
            self.current = last.before;
        }
    }
}

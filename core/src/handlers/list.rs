//! One state of what is attached: immutable, in the order of attachment.

use super::name::{EventName, Pattern};
use crate::sync::{AtomicBool, UnsafeCell, Watched};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A handler, shared by the lists it is in.
pub(super) struct Entry<H> {
    pub(super) id: Box<str>,
    pub(super) patterns: Box<[OwnedPattern]>,
    /// Set when it is detached, and never taken back.
    pub(super) dead: AtomicBool,
    /// Read by callers that have noted the entry and found it alive. Taken out by whoever detached it, once it
    /// is silent.
    pub(super) value: UnsafeCell<Option<H>>,
}

/// A [`Pattern`] that owns its text.
pub(super) struct OwnedPattern {
    /// Empty where everything matches.
    text: Box<str>,
    hash: u64,
    segments: u8,
    exact: bool,
}

impl OwnedPattern {
    pub(super) fn new(pattern: &Pattern<'_>) -> Self {
        match &pattern.name {
            Some(name) => Self {
                text: Box::from(name.as_str()),
                hash: name.hash64(),
                #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SEGMENTS")]
                segments: name.depth() as u8,
                exact: pattern.exact,
            },
            None => Self {
                text: Box::from(""),
                hash: 0,
                segments: 0,
                exact: false,
            },
        }
    }

    pub(super) fn get(&self) -> Pattern<'_> {
        match EventName::parse(&self.text) {
            Ok(name) if self.exact => Pattern::exactly(name),
            Ok(name) => Pattern::under(name),
            Err(_) => Pattern::EVERYTHING,
        }
    }
}

/// What of a pattern can be compared without following a pointer.
struct Route {
    hash: u64,
    /// Which entry of the list, and which pattern of it.
    entry: u32,
    pattern: u16,
    segments: u8,
    exact: bool,
}

pub(super) struct List<H> {
    /// Not zero.
    pub(super) version: usize,
    pub(super) entries: Vec<Arc<Entry<H>>>,
    routes: Vec<Route>,
    watched: Watched,
}

impl<H> List<H> {
    pub(super) fn new(version: usize, entries: Vec<Arc<Entry<H>>>) -> Self {
        let mut routes = Vec::new();
        for (entry, of) in (0..).zip(&entries) {
            for (pattern, owned) in (0..).zip(&of.patterns) {
                routes.push(Route {
                    hash: owned.hash,
                    entry,
                    pattern,
                    segments: owned.segments,
                    exact: owned.exact,
                });
            }
        }
        Self {
            version,
            entries,
            routes,
            watched: Watched::new(),
        }
    }

    /// The entries that have a pattern which `name` matches, in the order of attachment, each once.
    pub(super) fn matching<'l>(
        &'l self,
        name: &'l EventName<'_>,
    ) -> impl Iterator<Item = &'l Entry<H>> {
        self.watched.read();
        let mut last = None;
        self.routes.iter().filter_map(move |route| {
            // The routes of an entry are neighbours.
            if last == Some(route.entry) || !self.matches(route, name) {
                return None;
            }
            last = Some(route.entry);
            Some(&*self.entries[route.entry as usize])
        })
    }

    #[inline]
    fn matches(&self, route: &Route, name: &EventName<'_>) -> bool {
        let text = || &*self.entries[route.entry as usize].patterns[route.pattern as usize].text;
        match (route.segments, route.exact) {
            (0, _) => true,
            (segments, true) => {
                usize::from(segments) == name.depth()
                    && route.hash == name.hash64()
                    && text() == name.as_str()
            }
            (segments, false) => {
                // Before the text is looked for.
                usize::from(segments) <= name.depth()
                    && name.has_prefix(route.hash, segments, text())
            }
        }
    }
}

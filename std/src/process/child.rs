//! One incarnation as others see it: who it is, whether it lives, how it ended, who watches.
//!
//! ```text
//!  Alive { watchers } ──publish(reason)──► Over(reason)
//! ```
//!
//! `publish` happens once; whoever comes second (the thread itself, or whoever abandons it) is
//! told so and changes nothing. Watchers are taken out in the same step, so a monitor is either in
//! the list that was taken, or sees the reason: its `Down` comes exactly once.

use super::{ExitReason, Fence, LifeSpan, Lineage, Pid, leave};
use crate::monitor::{InboxShared, MonitorRef};
use crate::registry::Holdings;
use crate::sync::{Arc, Mutex, Weak};
use alloc::collections::BTreeMap;
use core::fmt;
use core::hash::{Hash, Hasher};

/// A handle on one incarnation of a child; it never means a later one.
///
/// It owns nothing: clones may be kept anywhere and keep nobody alive. The reason of an
/// incarnation that ended is kept as long as a handle on it.
#[derive(Clone)]
pub struct ChildRef(Arc<Shared>);

struct Shared {
    path: Arc<str>,
    lineage: Lineage,
    pid: Pid,
    incarnation: u64,
    fence: Arc<Fence>,
    holdings: Arc<Holdings>,
    life: Mutex<Life>,
    span: LifeSpan,
}

type Watchers = BTreeMap<MonitorRef, Weak<InboxShared>>;

enum Life {
    Alive(Watchers),
    Over(ExitReason),
}

impl ChildRef {
    /// `birth` is how many incarnations of the process there were before it, this one included.
    pub(super) fn new(
        (path, lineage): (Arc<str>, Lineage),
        pid: Pid,
        incarnation: u64,
        birth: u64,
    ) -> Self {
        let life = Mutex::new(Life::Alive(Watchers::new()));
        Self(Arc::new(Shared {
            path,
            lineage,
            pid,
            incarnation,
            fence: Arc::new(Fence::new(birth)),
            holdings: Arc::new(Holdings::new(pid)),
            life,
            span: LifeSpan::default(),
        }))
    }

    /// Stands for an incarnation of which nothing is known but that it is over.
    pub(crate) fn gone(pid: Pid) -> Self {
        let life = Mutex::new(Life::Over(ExitReason::Gone));
        Self(Arc::new(Shared {
            path: Arc::from("?"),
            lineage: Lineage::NONE,
            pid,
            incarnation: 0,
            fence: Arc::new(Fence::new(0)),
            holdings: Arc::new(Holdings::new(pid)),
            life,
            span: LifeSpan::default(),
        }))
    }

    /// The name of the supervisor and the id of the child, as in `app/ingest`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The id of the child within its supervisor.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.path.rsplit('/').next().unwrap_or_default()
    }

    /// The identity of this incarnation.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.0.pid
    }

    /// Which incarnation of the child this is, counted from 1; starts that failed count too.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0.incarnation
    }

    /// Whether this incarnation has not ended. The answer may be old when it arrives; to be told
    /// of the end, monitor it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(*self.0.life.lock(), Life::Alive(_))
    }

    /// How this incarnation ended; `None` while it is alive.
    #[must_use]
    pub fn exit_reason(&self) -> Option<ExitReason> {
        match &*self.0.life.lock() {
            Life::Alive(_) => None,
            Life::Over(reason) => Some(reason.clone()),
        }
    }

    /// Within which its path is that of one child.
    pub(crate) fn lineage(&self) -> Lineage {
        self.0.lineage
    }

    /// What is done in it is done within this.
    pub(crate) fn span(&self) -> &LifeSpan {
        &self.0.span
    }

    /// Whether it may act in its own name.
    pub(crate) fn fence(&self) -> &Arc<Fence> {
        &self.0.fence
    }

    /// What it holds in registries.
    pub(crate) fn holdings(&self) -> &Arc<Holdings> {
        &self.0.holdings
    }

    /// A handle that does not keep the exit reason.
    pub(crate) fn downgrade(&self) -> WeakChild {
        WeakChild(Arc::downgrade(&self.0))
    }

    /// Ends this incarnation: it changes no checkpoint any more, what it holds in registries is free, its reason is published,
    /// and its identity is given back and every monitor is told, in this order. Returns whether this is how it ended; if it had
    /// ended already, nothing is changed.
    ///
    /// Both who ran it and who abandons it call this, perhaps at once.
    pub(crate) fn end(&self, reason: ExitReason) -> bool {
        // First, and by whoever loses, too: who is told of the end may take what was held, and who takes it restores what
        // was saved last.
        self.0.fence.close(&reason);
        self.0.holdings.release();
        let obituary = self.publish(reason);
        let is_how = obituary.is_some();
        obituary.into_iter().for_each(Obituary::deliver);
        is_how
    }

    /// Makes `reason` the way this incarnation ended, unless it has ended already (`None`).
    fn publish(&self, reason: ExitReason) -> Option<Obituary> {
        let mut life = self.0.life.lock();
        match &mut *life {
            Life::Alive(watchers) => {
                let watchers = core::mem::take(watchers);
                *life = Life::Over(reason.clone());
                Some(Obituary {
                    child: self.clone(),
                    reason,
                    watchers,
                })
            }
            Life::Over(_) => None,
        }
    }

    /// Adds a watcher, or says how the incarnation ended.
    pub(crate) fn watch(
        &self,
        monitor: MonitorRef,
        inbox: Weak<InboxShared>,
    ) -> Result<(), ExitReason> {
        match &mut *self.0.life.lock() {
            Life::Alive(watchers) => {
                watchers.insert(monitor, inbox);
                Ok(())
            }
            Life::Over(reason) => Err(reason.clone()),
        }
    }

    pub(crate) fn unwatch(&self, monitor: MonitorRef) {
        if let Life::Alive(watchers) = &mut *self.0.life.lock() {
            watchers.remove(&monitor);
        }
    }
}

impl fmt::Debug for ChildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildRef({} {})", self.path(), self.pid())
    }
}

impl fmt::Display for ChildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path(), self.pid())
    }
}

impl PartialEq for ChildRef {
    fn eq(&self, other: &Self) -> bool {
        self.pid() == other.pid()
    }
}

impl Eq for ChildRef {}

impl Hash for ChildRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid().hash(state);
    }
}

/// A [`ChildRef`] for the registry: when it is freed, some time later on some thread, no destructor
/// of a user's value runs with it.
pub(crate) struct WeakChild(Weak<Shared>);

impl WeakChild {
    /// The handle again, as long as anybody has one. The process table has while the child lives.
    pub(crate) fn upgrade(&self) -> Option<ChildRef> {
        self.0.upgrade().map(ChildRef)
    }
}

/// A published end that nobody has been told of yet.
#[must_use]
struct Obituary {
    child: ChildRef,
    reason: ExitReason,
    watchers: Watchers,
}

impl Obituary {
    /// Gives the identity back and tells every watcher, in the order in which they came. No value of
    /// a user dies here: an inbox that its owner dropped meanwhile is empty.
    fn deliver(self) {
        let Self {
            child,
            reason,
            watchers,
        } = self;
        leave(child.pid());
        for (monitor, inbox) in watchers {
            if let Some(inbox) = inbox.upgrade() {
                inbox.deliver(monitor, &child, &reason);
            }
        }
    }
}

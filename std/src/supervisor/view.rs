//! A supervisor with all that is below it, as it was at one moment.

use super::tree::Tree;
use super::{ChildInfo, ChildState, Strategy};
use core::fmt;

/// A supervisor, its children, and theirs. Prints as a tree, a line for each.
///
/// ```
/// use bedplate::supervisor::{ChildSpec, Supervisor};
///
/// let empty = || Supervisor::builder("pool");
/// let supervisor = Supervisor::builder("app").child(ChildSpec::supervisor("pool", empty)).start()?;
/// let tree = supervisor.handle().tree().expect("it runs").to_string();
/// assert_eq!(tree, "app (one for one)\n└─ pool (one for one): running\n");
/// # Ok::<(), bedplate::supervisor::StartError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TreeView {
    name: String,
    strategy: Strategy,
    children: Vec<(ChildInfo, Option<Self>)>,
}

impl TreeView {
    pub(super) fn of(tree: &Tree) -> Self {
        // No two locks are held together.
        let (strategy, branches) = tree.branches();
        let children = branches.into_iter().map(|(info, nested)| {
            let nested = nested.map(|nested| Self::of(&nested));
            (info, nested)
        });
        Self {
            name: tree.name().to_owned(),
            strategy,
            children: children.collect(),
        }
    }

    /// The path of the supervisor.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which children it restarts when one ends.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Its children in start order, each with what is below it if it is a supervisor that has been started.
    #[must_use]
    pub fn children(&self) -> &[(ChildInfo, Option<Self>)] {
        &self.children
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, indent: &mut String) -> fmt::Result {
        for (index, (info, nested)) in self.children.iter().enumerate() {
            let is_last = index + 1 == self.children.len();
            let (branch, below) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            write!(f, "{indent}{branch}{}", info.id)?;
            if let Some(nested) = nested {
                write!(f, " ({})", word(nested.strategy))?;
            }
            write!(f, ": {}", doing(info.state))?;
            if info.restarts > 0 {
                write!(f, ", incarnation {}", info.incarnation)?;
            }
            if let Some(reason) = &info.last_exit {
                write!(f, "; before, {reason}")?;
            }
            writeln!(f)?;
            if let Some(nested) = nested {
                let length = indent.len();
                indent.push_str(below);
                nested.print(f, indent)?;
                indent.truncate(length);
            }
        }
        Ok(())
    }
}

impl fmt::Display for TreeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, word(self.strategy))?;
        self.print(f, &mut String::new())
    }
}

const fn word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::OneForOne => "one for one",
        Strategy::OneForAll => "one for all",
        Strategy::RestForOne => "rest for one",
        Strategy::Dynamic => "dynamic",
        _ => "another strategy",
    }
}

const fn doing(state: ChildState) -> &'static str {
    match state {
        ChildState::Waiting => "waiting for its turn",
        ChildState::Starting => "starting",
        ChildState::Running => "running",
        ChildState::Stopping { .. } => "stopping",
        ChildState::Backoff { .. } => "waiting to be restarted",
        ChildState::Stopped => "stopped",
        _ => "in another state",
    }
}

//! A supervisor with all that is below it, as it was at one moment.

use super::tree::Tree;
use super::{ChildInfo, ChildState, Kind, Strategy};
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
    branches: Vec<TreeBranch>,
}

/// A child of a [`TreeView`], and what is below it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeBranch {
    /// The child.
    pub info: ChildInfo,
    /// If the child is a supervisor that has been started, that; and if its body has started supervisors by
    /// [`start`](super::SupervisorBuilder::start), those that have not ended.
    pub below: Vec<TreeView>,
}

impl TreeView {
    pub(super) fn of(tree: &Tree) -> Self {
        // No two locks are held together.
        let (strategy, branches) = tree.branches();
        let branches = branches.into_iter().map(|(info, below)| {
            let below = below.iter().filter(|below| !below.is_over());
            let below = below.map(|below| Self::of(below)).collect();
            TreeBranch { info, below }
        });
        Self {
            name: tree.name().to_owned(),
            strategy,
            branches: branches.collect(),
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

    /// Its children in start order.
    #[must_use]
    pub fn branches(&self) -> &[TreeBranch] {
        &self.branches
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, indent: &mut String) -> fmt::Result {
        for (index, branch) in self.branches.iter().enumerate() {
            let is_last = index + 1 == self.branches.len();
            let below = line(f, indent, is_last)?;
            branch.print(f, indent, below)?;
        }
        Ok(())
    }
}

impl TreeBranch {
    fn print(&self, f: &mut fmt::Formatter<'_>, indent: &mut String, below: &str) -> fmt::Result {
        let Self { info, below: trees } = self;
        write!(f, "{}", info.id)?;
        let itself = trees.first().filter(|_| info.kind == Kind::Supervisor);
        if let Some(itself) = itself {
            write!(f, " ({})", word(itself.strategy))?;
        }
        write!(f, ": {}", doing(info.state))?;
        if info.stuck {
            write!(f, ", stuck")?;
        }
        if info.restarts > 0 {
            write!(f, ", incarnation {}", info.incarnation)?;
        }
        if let Some(reason) = &info.last_exit {
            write!(f, "; before, {reason}")?;
        }
        writeln!(f)?;
        let length = indent.len();
        indent.push_str(below);
        match itself {
            Some(itself) => itself.print(f, indent)?,
            None => {
                for (index, tree) in trees.iter().enumerate() {
                    let below = line(f, indent, index + 1 == trees.len())?;
                    writeln!(f, "{} ({})", tree.name, word(tree.strategy))?;
                    let length = indent.len();
                    indent.push_str(below);
                    tree.print(f, indent)?;
                    indent.truncate(length);
                }
            }
        }
        indent.truncate(length);
        Ok(())
    }
}

/// Begins a line; what those below it are indented by.
fn line(
    f: &mut fmt::Formatter<'_>,
    indent: &str,
    is_last: bool,
) -> Result<&'static str, fmt::Error> {
    let (branch, below) = if is_last {
        ("└─ ", "   ")
    } else {
        ("├─ ", "│  ")
    };
    write!(f, "{indent}{branch}")?;
    Ok(below)
}

impl fmt::Display for TreeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, word(self.strategy))?;
        self.print(f, &mut String::new())
    }
}

pub(super) const fn word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::OneForOne => "one for one",
        Strategy::OneForAll => "one for all",
        Strategy::RestForOne => "rest for one",
        Strategy::Dynamic => "dynamic",
        _ => "another strategy",
    }
}

pub(super) const fn doing(state: ChildState) -> &'static str {
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

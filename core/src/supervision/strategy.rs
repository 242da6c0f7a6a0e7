//! What is said about a supervisor before it runs.
//!
//! ```text
//!  b ends     one_for_one    rest_for_one      one_for_all      dynamic
//!  a b c d    a B c d        a B C D           A B C D          like one_for_one; children have
//!             only b         b and those       all              no order, and are stopped all
//!                            started after it                   at once
//! ```

use super::intensity::RestartIntensity;
use core::fmt;
use core::time::Duration;

/// Which children are restarted when one ends and is to be restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Only the one that ended.
    #[default]
    OneForOne,
    /// All: the others are stopped in reverse order, then all are started in order.
    OneForAll,
    /// The one that ended, and those that were started after it.
    RestForOne,
    /// Only the one that ended, among many that come and go: children have no ids and no order, are
    /// forgotten whenever they end for good, and are stopped all at once. Erlang's
    /// `simple_one_for_one`, Elixir's `DynamicSupervisor`.
    Dynamic,
}

/// Whether the end of a significant child ends its supervisor. It has to end by itself and for good:
/// not because it was terminated, or stopped with others, and not to be restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AutoShutdown {
    /// No.
    #[default]
    Never,
    /// The first such end does.
    AnySignificant,
    /// The last one does: no significant child runs any more or is about to.
    AllSignificant,
}

/// The most incarnations that one supervisor can have abandoned before it gives up.
pub const MOST_ABANDONED: usize = 16;

/// What is said about a supervisor.
///
/// ```
/// use bedplate_core::supervision::{Config, RestartIntensity, Strategy};
/// use core::time::Duration;
///
/// let limit = RestartIntensity::<8>::new(3, Duration::from_secs(5))?;
/// let config = Config::new(Strategy::RestForOne, limit)
///     .shutdown_budget(Duration::from_secs(20))
///     .max_children(100);
/// assert!(config.check().is_ok());
/// # Ok::<(), bedplate_core::supervision::IntensityError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config<const MAX: usize> {
    pub(super) strategy: Strategy,
    pub(super) limit: RestartIntensity<MAX>,
    pub(super) auto_shutdown: AutoShutdown,
    pub(super) max_children: usize,
    pub(super) shutdown_budget: Option<Duration>,
    pub(super) max_abandoned: usize,
    pub(super) seed: u64,
}

impl<const MAX: usize> Config<MAX> {
    /// A supervisor that never shuts down by itself, has as many children as there is room for, no
    /// limit for its whole shutdown, and gives up at the ninth abandoned incarnation.
    #[must_use]
    pub const fn new(strategy: Strategy, limit: RestartIntensity<MAX>) -> Self {
        Self {
            strategy,
            limit,
            auto_shutdown: AutoShutdown::Never,
            max_children: usize::MAX,
            shutdown_budget: None,
            max_abandoned: 8,
            seed: 0,
        }
    }

    /// Whether the ends of significant children end the supervisor.
    #[must_use]
    pub const fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// At most so many children, also those that are being restarted; not more than there is room for.
    #[must_use]
    pub const fn max_children(mut self, most: usize) -> Self {
        self.max_children = most;
        self
    }

    /// How long all children together may take to stop when the supervisor ends. A child's own limit
    /// is cut to what is left; when nothing is left, the rest is asked and abandoned at once.
    #[must_use]
    pub const fn shutdown_budget(mut self, total: Duration) -> Self {
        self.shutdown_budget = Some(total);
        self
    }

    /// So many abandoned incarnations may go on at a time; one more, and the supervisor gives up.
    #[must_use]
    pub const fn max_abandoned(mut self, most: usize) -> Self {
        self.max_abandoned = most;
        self
    }

    /// Where the jitter of back-off delays begins. Equal seeds give equal delays.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether there can be such a supervisor.
    ///
    /// # Errors
    /// What is wrong with it.
    pub const fn check(&self) -> Result<(), ConfigError> {
        let never = matches!(self.auto_shutdown, AutoShutdown::Never);
        if matches!(self.strategy, Strategy::Dynamic) && !never {
            return Err(ConfigError::DynamicAutoShutdown);
        }
        if self.max_abandoned > MOST_ABANDONED {
            return Err(ConfigError::MaxAbandonedTooHigh);
        }
        Ok(())
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A dynamic supervisor has no significant children, and does not shut down by itself.
    DynamicAutoShutdown,
    /// More abandoned incarnations than can be told apart, which is [`MOST_ABANDONED`].
    MaxAbandonedTooHigh,
    /// A dynamic supervisor with children cannot become another, nor the reverse.
    ChildrenInTheWay,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DynamicAutoShutdown => {
                f.write_str("a dynamic supervisor does not shut down by itself")
            }
            Self::MaxAbandonedTooHigh => {
                write!(f, "at most {MOST_ABANDONED} abandoned incarnations")
            }
            Self::ChildrenInTheWay => {
                f.write_str("a supervisor with children cannot become dynamic or cease to be")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

//! Which version of a state is restored after a crash?
//!
//! Two are kept, in two places of whoever has the values: the *current* one, and the *older* one that it took the place of.
//! Nothing here has a value, or a clock: [`Versions`] says where a value goes, and which one counts.
//!
//! ```text
//!            save v3: into the place of v1                   v2 restored, crash, three times
//!  ┌────┬────┐          ┌────┬────┐              ┌────┬────┐           ┌────┬────┐          ┌────┬────┐
//!  │ v1 │ v2 │ ───────► │ v3 │ v2 │              │ v1 │ v2 │ ────────► │ v1 │    │ ───────► │    │    │
//!  └────┴────┘          └────┴────┘              └────┴────┘           └────┴────┘  and v1  └────┴────┘
//!  older current       current older             older current        current
//! ```
//!
//! Whoever works with it *opens* it and so has an [`Opening`]; the one before is then fenced: it saves nothing any more,
//! however late it comes. When a run is over, [`Versions::ended`] is told how. A version that was restored when so many runs in
//! a row crashed [soon](CrashLimit) afterwards is given up, and the older one is current again, if there is one. A run that ended
//! otherwise says nothing about the version; a run that lasted longer, however it ended, acquits it.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::clock::Instant;

/// When a version is given up: after so many crashes in a row, each at most `within` after the version was restored.
///
/// ```
/// use bedplate_core::checkpoint::CrashLimit;
/// use core::time::Duration;
///
/// assert_eq!(CrashLimit::default(), CrashLimit::new(3, Duration::from_secs(1))?);
/// # Ok::<(), bedplate_core::checkpoint::ZeroCrashes>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashLimit {
    /// Never, if 0.
    crashes: u32,
    within: Duration,
}

impl CrashLimit {
    /// Three crashes, each within a second.
    pub const USUAL: Self = Self {
        crashes: 3,
        within: Duration::from_secs(1),
    };

    /// However often it crashes, the current version is restored.
    pub const NEVER: Self = Self {
        crashes: 0,
        within: Duration::ZERO,
    };

    /// So many crashes, each at most `within` after the version was restored; exactly `within` is soon enough.
    ///
    /// # Errors
    /// [`ZeroCrashes`]: a version that has never crashed cannot be given up. For none at all there is [`NEVER`](Self::NEVER).
    pub const fn new(crashes: u32, within: Duration) -> Result<Self, ZeroCrashes> {
        if crashes == 0 {
            return Err(ZeroCrashes);
        }
        Ok(Self { crashes, within })
    }
}

impl Default for CrashLimit {
    /// [`USUAL`](Self::USUAL).
    fn default() -> Self {
        Self::USUAL
    }
}

/// A limit of no crashes is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZeroCrashes;

impl fmt::Display for ZeroCrashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version is given up after one crash at the earliest")
    }
}

impl Error for ZeroCrashes {}

/// The right to save, of whoever has opened [`Versions`] last. One of another `Versions` means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening(u64);

/// One of the two places for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first one.
    First,
    /// The second one.
    Second,
}

impl Place {
    /// 0 or 1.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A version, and where its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number. The first one is 1, and none is given twice.
    pub version: u64,
    /// Where its value is.
    pub place: Place,
}

/// How the run of whoever had opened ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It crashed.
    Crashed,
    /// It finished, or it was asked to stop, whatever came of that.
    Otherwise,
}

/// A version was given up, because it was restored when one run after the other crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBack {
    /// Which one. Its place is free.
    pub given_up: Kept,
    /// After how many crashes.
    pub crashes: u32,
    /// Which one is current now; `None` if there is none.
    pub to: Option<Kept>,
}

/// Somebody has opened it since, or the run was said to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fenced;

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only whoever has opened the checkpoint last may change it")
    }
}

impl Error for Fenced {}

/// What is kept of one state, and who may change it.
///
/// Everything takes O(1) time and no memory.
///
/// # From interrupts
/// It is plain data behind `&mut self`. Whoever shares it, and the values, with an interrupt has them under one lock.
///
/// ```
/// use bedplate_core::checkpoint::{CrashLimit, Ending, Versions};
/// use bedplate_core::clock::Instant;
/// use core::time::Duration;
///
/// let mut versions = Versions::new(CrashLimit::new(1, Duration::from_secs(1))?);
/// let mut values = [0_u32; 2];
///
/// let first = versions.open();
/// for value in [10, 20] {
///     let saved = versions.save(first)?;
///     values[saved.place.index()] = value;
/// }
/// let second = versions.open();
/// assert!(versions.save(first).is_err());                       // however late it comes
///
/// let restored = versions.restore(second, Instant::ZERO).map(|it| values[it.place.index()]);
/// assert_eq!(restored, Some(20));
/// versions.ended(second, Ending::Crashed, Instant::from_nanos(5));
///
/// let third = versions.open();
/// let restored = versions.restore(third, Instant::from_nanos(9)).map(|it| values[it.place.index()]);
/// assert_eq!(restored, Some(10));                               // 20 was too much for it
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Versions {
    limit: CrashLimit,
    /// The last number that was given to a version.
    last: u64,
    current: Option<Kept>,
    /// Never there without a current one.
    older: Option<Kept>,
    /// The last number that was given to an opening, and whether that is still open.
    opened: u64,
    open: bool,
    /// When the present opening restored what is current; `None` if it has not.
    restored: Option<Instant>,
    /// How many runs in a row have crashed soon after they had restored what is current.
    crashes: u32,
}

impl Versions {
    /// Nothing is kept, and nobody has opened it.
    #[must_use]
    pub const fn new(limit: CrashLimit) -> Self {
        Self {
            limit,
            last: 0,
            current: None,
            older: None,
            opened: 0,
            open: false,
            restored: None,
            crashes: 0,
        }
    }

    /// From now on whoever this is returned to may save, and nobody else. How the run before ended is to be said
    /// [before](Self::ended); otherwise it counts neither as a crash nor as one that lasted.
    pub const fn open(&mut self) -> Opening {
        self.opened += 1;
        self.open = true;
        self.restored = None;
        Opening(self.opened)
    }

    /// The version to be restored, if there is any, which counts as restored at `now`. For whoever is fenced it is only shown.
    pub fn restore(&mut self, opening: Opening, now: Instant) -> Option<Kept> {
        if self.may_change(opening).is_ok() && self.current.is_some() {
            self.restored = Some(now);
        }
        self.current
    }

    /// Makes a new version current, and the current one the older one. Where the value is to be put, before anything
    /// else is asked for: what is there is kept no longer.
    ///
    /// # Errors
    /// [`Fenced`]; then nothing has changed.
    pub fn save(&mut self, opening: Opening) -> Result<Kept, Fenced> {
        self.may_change(opening)?;
        self.last += 1;
        let place = self
            .current
            .map_or(Place::First, |current| current.place.other());
        self.older = self.current;
        let saved = Kept {
            version: self.last,
            place,
        };
        self.current = Some(saved);
        self.restored = None;
        self.crashes = 0;
        Ok(saved)
    }

    /// Keeps nothing any more; both places are free.
    ///
    /// # Errors
    /// [`Fenced`]; then nothing has changed.
    pub fn forget(&mut self, opening: Opening) -> Result<(), Fenced> {
        self.may_change(opening)?;
        self.current = None;
        self.older = None;
        self.restored = None;
        self.crashes = 0;
        Ok(())
    }

    /// The run of whoever has opened it ended at `at`: it is fenced. If it crashed once too often, which version was given up.
    /// Nothing changes if it was fenced before.
    pub fn ended(&mut self, opening: Opening, how: Ending, at: Instant) -> Option<FellBack> {
        self.may_change(opening).ok()?;
        self.open = false;
        let restored = self.restored.take()?;
        if at.saturating_duration_since(restored) > self.limit.within {
            self.crashes = 0;
            return None;
        }
        if how == Ending::Otherwise {
            return None;
        }
        self.crashes = self.crashes.saturating_add(1);
        if self.limit.crashes == 0 || self.crashes < self.limit.crashes {
            return None;
        }
        let given_up = self.current?;
        self.current = self.older.take();
        Some(FellBack {
            given_up,
            crashes: core::mem::take(&mut self.crashes),
            to: self.current,
        })
    }

    /// The version that would be restored.
    #[must_use]
    pub const fn current(&self) -> Option<Kept> {
        self.current
    }

    /// The version that would be restored if the current one were given up.
    #[must_use]
    pub const fn older(&self) -> Option<Kept> {
        self.older
    }

    /// How many runs in a row have crashed soon after they had restored the current version.
    #[must_use]
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }

    fn may_change(&self, opening: Opening) -> Result<(), Fenced> {
        if self.open && opening.0 == self.opened {
            Ok(())
        } else {
            Err(Fenced)
        }
    }
}

#[cfg(test)]
mod tests;

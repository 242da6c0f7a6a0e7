//! What a checkpoint is to restore, found anew each time in the whole history.

/// How often a version has to crash, and how soon after it was restored.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `None`: however often.
    pub crashes: Option<usize>,
    /// In units of time.
    pub within: u64,
}

/// What happened to one saved value.
#[derive(Clone, Debug)]
struct Version {
    value: u8,
    /// Of each run that ended after it had restored this: whether it crashed, and after how long.
    runs: Vec<(bool, u64)>,
    gone: bool,
}

/// Everything that was ever saved.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    limit: Limit,
    versions: Vec<Version>,
    /// Who has opened it last and is not over, and when it restored which version last.
    holder: Option<(u64, Option<(u64, u64)>)>,
}

impl Checkpoint {
    /// Nothing was saved.
    #[must_use]
    pub const fn new(limit: Limit) -> Self {
        Self {
            limit,
            versions: Vec::new(),
            holder: None,
        }
    }

    /// The last two that are not gone, the later one first: its number, counted from 1, and its value.
    #[must_use]
    pub fn kept(&self) -> Vec<(u64, u8)> {
        let there = (0..self.versions.len())
            .rev()
            .filter(|&index| !self.versions[index].gone);
        there
            .take(2)
            .map(|index| (number(index), self.versions[index].value))
            .collect()
    }

    /// `run` may change it, and nobody else.
    pub const fn open(&mut self, run: u64) {
        self.holder = Some((run, None));
    }

    /// What `run` is to begin with.
    pub fn restore(&mut self, run: u64, now: u64) -> Option<(u64, u8)> {
        let (number, value) = *self.kept().first()?;
        if let Some((holder, restored)) = &mut self.holder
            && *holder == run
        {
            *restored = Some((number, now));
        }
        Some((number, value))
    }

    /// Whether `run` may save, and has.
    pub fn save(&mut self, run: u64, value: u8) -> bool {
        let may = self.is_held_by(run);
        if may {
            let kept = self.kept();
            // A third one has no room.
            if let [_, (oldest, _)] = kept[..] {
                self.version(oldest).gone = true;
            }
            // Should it be returned to, it is judged anew.
            if let [(current, _), ..] = kept[..] {
                self.version(current).runs.clear();
            }
            self.versions.push(Version {
                value,
                runs: Vec::new(),
                gone: false,
            });
        }
        may
    }

    /// Whether `run` may forget everything, and has.
    pub fn forget(&mut self, run: u64) -> bool {
        let may = self.is_held_by(run);
        if may {
            self.versions
                .iter_mut()
                .for_each(|version| version.gone = true);
        }
        may
    }

    /// `run` is over. The number of the version that is given up for it.
    pub fn ended(&mut self, run: u64, crashed: bool, now: u64) -> Option<u64> {
        if !self.is_held_by(run) {
            return None;
        }
        let (_, restored) = self.holder.take()?;
        let (restored, since) = restored?;
        let &(current, _) = self.kept().first()?;
        if restored != current {
            return None;
        }
        let limit = self.limit;
        let version = self.version(current);
        version.runs.push((crashed, now - since));
        let soon = |&&(_, after): &&(bool, u64)| after <= limit.within;
        let last = version.runs.iter().rev().take_while(soon);
        let crashes = last.filter(|&&(crashed, _)| crashed).count();
        version.gone = crashed && limit.crashes.is_some_and(|most| crashes >= most);
        version.gone.then_some(current)
    }

    fn version(&mut self, number: u64) -> &mut Version {
        &mut self.versions[usize::try_from(number).unwrap() - 1]
    }

    fn is_held_by(&self, run: u64) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == run)
    }
}

/// The first version has the number 1.
fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap() + 1
}

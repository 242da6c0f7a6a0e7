//! The header in which each system that a trace passes through keeps something for itself.
//!
//! As the W3C's *Trace Context* says (<https://www.w3.org/TR/trace-context/#tracestate-header>): at most 32 members, each
//! key once, the one that changed last in front.

use core::error::Error;
use core::fmt;

/// How many members there are at most.
const MEMBERS: usize = 32;

/// How long a key or a value is at most.
const LONGEST: usize = 256;

/// Members longer than this go first when there is no room for all.
const LONG: usize = 128;

/// The members of one or several headers, newest first; borrowed from them.
///
/// ```
/// use bedplate_core::context::TraceState;
///
/// let mut state = TraceState::parse("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE")?;
/// assert_eq!(state.get("congo"), Some("t61rcWkgMzE"));
/// state.put("congo", "7")?;
/// assert_eq!(state.to_string(), "congo=7,rojo=00f067aa0ba902b7");
/// # Ok::<(), bedplate_core::context::TraceStateError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState<'a> {
    members: heapless::Vec<(&'a str, &'a str), MEMBERS>,
}

impl<'a> TraceState<'a> {
    /// Without members.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: heapless::Vec::new(),
        }
    }

    /// The members of a header.
    ///
    /// # Errors
    /// [`TraceStateError`]; then nothing of the header is to be passed on.
    pub fn parse(header: &'a str) -> Result<Self, TraceStateError> {
        let mut state = Self::new();
        state.append(header)?;
        Ok(state)
    }

    /// Adds the members of a further header behind those that are there, as if both had been one. O(members²).
    ///
    /// # Errors
    /// [`TraceStateError`]; then some members may have been added, and nothing is to be passed on.
    pub fn append(&mut self, header: &'a str) -> Result<(), TraceStateError> {
        let blank = |c| c == ' ' || c == '\t';
        for member in header.split(',').map(|member| member.trim_matches(blank)) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=').ok_or(TraceStateError::Value)?;
            check(key, value)?;
            if self.get(key).is_some() {
                return Err(TraceStateError::Duplicate);
            }
            let added = self.members.push((key, value));
            added.map_err(|_| TraceStateError::TooMany)?;
        }
        Ok(())
    }

    /// The value of a key. O(members).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.members.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| *value)
    }

    /// The members, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> {
        self.members.iter().copied()
    }

    /// Puts a member in front, in place of what the key had before. If there are 32 others, the last one goes, and is
    /// returned.
    ///
    /// # Errors
    /// [`TraceStateError`] if key or value are not what the standard allows; nothing has changed.
    pub fn put(
        &mut self,
        key: &'a str,
        value: &'a str,
    ) -> Result<Option<(&'a str, &'a str)>, TraceStateError> {
        check(key, value)?;
        self.remove(key);
        let gone = if self.members.is_full() {
            self.members.pop()
        } else {
            None
        };
        // There is room now.
        let _full = self.members.insert(0, (key, value));
        Ok(gone)
    }

    /// Removes a member; its value, if it was there.
    pub fn remove(&mut self, key: &str) -> Option<&'a str> {
        let place = self.members.iter().position(|(other, _)| *other == key)?;
        Some(self.members.remove(place).1)
    }

    /// How many bytes the header has.
    #[must_use]
    pub fn length(&self) -> usize {
        let members = self
            .members
            .iter()
            .map(|(key, value)| key.len() + 1 + value.len());
        members.sum::<usize>() + self.members.len().saturating_sub(1)
    }

    /// Removes members until the header has at most so many bytes, first those of more than 128 bytes, then from the
    /// end. How many went. Whoever passes a trace on must be able to pass on 512 bytes.
    pub fn shorten(&mut self, bytes: usize) -> usize {
        let before = self.members.len();
        while self.length() > bytes {
            let is_long = |(key, value): &(&str, &str)| key.len() + 1 + value.len() > LONG;
            match self.members.iter().rposition(is_long) {
                Some(place) => drop(self.members.remove(place)),
                None => drop(self.members.pop()),
            }
        }
        before - self.members.len()
    }
}

impl fmt::Display for TraceState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (key, value) in &self.members {
            write!(f, "{separator}{key}={value}")?;
            separator = ",";
        }
        Ok(())
    }
}

fn check(key: &str, value: &str) -> Result<(), TraceStateError> {
    let in_key = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let begins = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let key = key.as_bytes();
    if key.len() > LONGEST || !key.first().is_some_and(begins) || !key.iter().all(|b| in_key(*b)) {
        return Err(TraceStateError::Key);
    }
    let in_value = |b: u8| matches!(b, b' '..=b'~') && b != b',' && b != b'=';
    let value = value.as_bytes();
    let ends = value.last().is_some_and(|b| *b != b' ');
    if value.len() > LONGEST || !ends || !value.iter().all(|b| in_value(*b)) {
        return Err(TraceStateError::Value);
    }
    Ok(())
}

/// Why a header is none, or a member cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceStateError {
    /// A key that is empty, too long, or has characters it must not have.
    Key,
    /// A value that is missing, empty, too long, or has characters it must not have.
    Value,
    /// A key comes twice.
    Duplicate,
    /// More than 32 members.
    TooMany,
}

impl fmt::Display for TraceStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "a key is not as it must be",
            Self::Value => "a value is not as it must be",
            Self::Duplicate => "a key comes twice",
            Self::TooMany => "there are more than 32 members",
        })
    }
}

impl Error for TraceStateError {}

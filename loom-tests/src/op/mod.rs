//! What can be asked of each structure, and sequences of it read from bytes.

pub mod checkpoint;
pub mod context;
pub mod dedup;
pub mod dedup_shared;
pub mod drain;
pub mod groups;
pub mod handlers;
pub mod intensity;
pub mod registry;
pub mod ring;
pub mod spans;
pub mod supervision;
pub mod trace;

/// Bytes as a source of decisions; after the last one there are only zeros and no more operations.
#[derive(Clone, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether something is left.
    #[must_use]
    pub const fn more(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next byte, or zero.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// One of `all`, if there is one; of very many, one of the first 256.
    pub fn one_of<'b, T>(&mut self, all: &'b [T]) -> Option<&'b T> {
        if all.is_empty() {
            return None;
        }
        let byte = usize::from(self.byte());
        all.get(byte % all.len())
    }
}

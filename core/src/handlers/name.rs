//! Names of events: segments between dots, hashed when they are made.

use core::fmt;

/// The most segments a name has.
pub const MAX_SEGMENTS: usize = 8;

/// The longest name, in bytes.
pub const MAX_LENGTH: usize = 128;

/// The name of an event: one to eight segments between dots, as in `registry.register`. A segment
/// consists of ASCII letters, digits, `_` and `-`; a name has at most 128 bytes.
///
/// A name that is made in a constant is checked, cut and hashed by the compiler; what is left at run time
/// are comparisons. The hash (FNV-1a, of each prefix) only spares comparisons of text: two names are the
/// same if their texts are.
///
/// ```
/// use bedplate_core::handlers::{BadName, EventName};
///
/// const PLACED: EventName = EventName::new("shop.order.placed");
/// assert_eq!(PLACED.segments().collect::<Vec<_>>(), ["shop", "order", "placed"]);
/// assert!(PLACED.is_under(&EventName::new("shop.order")));
/// assert!(!PLACED.is_under(&EventName::new("shop.ord")));
///
/// assert_eq!(EventName::parse("shop..placed"), Err(BadName::EmptySegment));
/// ```
#[derive(Clone, Copy)]
pub struct EventName<'n> {
    text: &'n str,
    /// Of the prefix of so many segments and one; behind the last one, zeros.
    hashes: [u64; MAX_SEGMENTS],
    segments: u8,
}

/// Why a text is not the name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadName {
    /// It has no segment.
    Empty,
    /// Nothing stands before, behind or between two of its dots.
    EmptySegment,
    /// This byte stands in none.
    BadByte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// It has more than [`MAX_SEGMENTS`].
    TooManySegments,
    /// It is longer than [`MAX_LENGTH`].
    TooLong,
}

impl<'n> EventName<'n> {
    /// The name `text`, for a constant or a static: there, what is no name is refused by the compiler.
    ///
    /// # Panics
    /// If [`parse`](Self::parse) would refuse it.
    ///
    /// ```compile_fail
    /// use bedplate_core::handlers::EventName;
    /// const BAD: EventName = EventName::new("no name");
    /// ```
    #[must_use]
    pub const fn new(text: &'n str) -> Self {
        match Self::parse(text) {
            Ok(name) => name,
            Err(BadName::Empty) => panic!("the name of an event has at least one segment"),
            Err(BadName::EmptySegment) => panic!("a segment of the name of an event is empty"),
            Err(BadName::BadByte { .. }) => {
                panic!("the name of an event has ASCII letters, digits, `_`, `-` and dots")
            }
            Err(BadName::TooManySegments) => panic!("the name of an event has too many segments"),
            Err(BadName::TooLong) => panic!("the name of an event is too long"),
        }
    }

    /// The name `text`, if it is one. O(bytes), at most [`MAX_LENGTH`] of them are looked at.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub const fn parse(text: &'n str) -> Result<Self, BadName> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(BadName::Empty);
        }
        if bytes.len() > MAX_LENGTH {
            return Err(BadName::TooLong);
        }
        let mut hashes = [0; MAX_SEGMENTS];
        let mut segments = 0;
        let mut hash = FNV_OFFSET;
        let (mut at, mut begun) = (0, 0);
        loop {
            if at == bytes.len() || bytes[at] == b'.' {
                if at == begun {
                    return Err(BadName::EmptySegment);
                }
                if segments == MAX_SEGMENTS {
                    return Err(BadName::TooManySegments);
                }
                hashes[segments] = hash;
                segments += 1;
                begun = at + 1;
                if at == bytes.len() {
                    break;
                }
            } else if !is_allowed(bytes[at]) {
                return Err(BadName::BadByte {
                    byte: bytes[at],
                    at,
                });
            }
            hash = (hash ^ bytes[at] as u64).wrapping_mul(FNV_PRIME);
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SEGMENTS")]
        let segments = segments as u8;
        Ok(Self {
            text,
            hashes,
            segments,
        })
    }

    /// The whole name.
    #[must_use]
    pub const fn as_str(&self) -> &'n str {
        self.text
    }

    /// Its segments, in their order.
    pub fn segments(&self) -> impl Iterator<Item = &'n str> + use<'n> {
        self.text.split('.')
    }

    /// How many segments it has.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.segments as usize
    }

    /// Its hash: the same in every process.
    #[must_use]
    pub const fn hash64(&self) -> u64 {
        self.hashes[self.segments as usize - 1]
    }

    /// Whether it is `prefix`, or begins with all segments of `prefix`.
    #[must_use]
    pub fn is_under(&self, prefix: &EventName<'_>) -> bool {
        self.has_prefix(prefix.hash64(), prefix.segments, prefix.text)
    }

    /// The same with the parts of a prefix that is kept elsewhere.
    #[inline]
    pub(super) fn has_prefix(&self, hash: u64, segments: u8, text: &str) -> bool {
        let (own, text) = (self.text.as_bytes(), text.as_bytes());
        segments <= self.segments
            && self.hashes[segments as usize - 1] == hash
            && own.starts_with(text)
            && own.get(text.len()).is_none_or(|&next| next == b'.')
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl PartialEq for EventName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.hash64() == other.hash64() && self.text == other.text
    }
}

impl Eq for EventName<'_> {}

impl core::hash::Hash for EventName<'_> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for EventName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventName({})", self.text)
    }
}

impl fmt::Display for EventName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name of an event has at least one segment"),
            Self::EmptySegment => f.write_str("a segment of the name of an event is empty"),
            Self::BadByte { byte, at } => write!(
                f,
                "byte {byte:#04x} at {at}: the name of an event has ASCII letters, digits, `_`, `-` and dots"
            ),
            Self::TooManySegments => write!(
                f,
                "the name of an event has at most {MAX_SEGMENTS} segments"
            ),
            Self::TooLong => write!(f, "the name of an event has at most {MAX_LENGTH} bytes"),
        }
    }
}

impl core::error::Error for BadName {}

/// Which events somebody wants to be told of.
///
/// ```
/// use bedplate_core::handlers::{EventName, Pattern};
///
/// let registry = EventName::new("registry");
/// let register = EventName::new("registry.register");
/// assert!(Pattern::exactly(register).matches(&register));
/// assert!(!Pattern::exactly(registry).matches(&register));
/// assert!(Pattern::under(registry).matches(&register));
/// assert!(Pattern::under(registry).matches(&registry));
/// assert!(Pattern::EVERYTHING.matches(&register));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pattern<'n> {
    pub(super) name: Option<EventName<'n>>,
    pub(super) exact: bool,
}

impl<'n> Pattern<'n> {
    /// Every event.
    pub const EVERYTHING: Pattern<'static> = Pattern {
        name: None,
        exact: false,
    };

    /// The event of this name, and no other.
    #[must_use]
    pub const fn exactly(name: EventName<'n>) -> Self {
        Self {
            name: Some(name),
            exact: true,
        }
    }

    /// The event of this name and every event whose name begins with all of its segments.
    #[must_use]
    pub const fn under(prefix: EventName<'n>) -> Self {
        Self {
            name: Some(prefix),
            exact: false,
        }
    }

    /// Whether an event of this name is wanted.
    #[must_use]
    pub fn matches(&self, name: &EventName<'_>) -> bool {
        match &self.name {
            None => true,
            Some(own) if self.exact => own == name,
            Some(prefix) => name.is_under(prefix),
        }
    }
}

impl<'n> From<EventName<'n>> for Pattern<'n> {
    fn from(name: EventName<'n>) -> Self {
        Self::exactly(name)
    }
}

/// As in `registry.register`, `registry.*` for what is under a prefix, and `*` for everything.
impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.exact) {
            (Some(name), true) => f.write_str(name.text),
            (Some(name), false) => write!(f, "{name}.*"),
            (None, _) => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_name_is_told_why() {
        let refused = |text| EventName::parse(text).unwrap_err();
        assert_eq!(refused(""), BadName::Empty);
        for text in [".", ".a", "a.", "a..b"] {
            assert_eq!(refused(text), BadName::EmptySegment, "{text}");
        }
        assert_eq!(refused("a.b c"), BadName::BadByte { byte: b' ', at: 3 });
        assert_eq!(refused("ä"), BadName::BadByte { byte: 0xc3, at: 0 });
        assert_eq!(refused("a.b.c.d.e.f.g.h.i"), BadName::TooManySegments);
        let long = "a".repeat(MAX_LENGTH + 1);
        assert_eq!(refused(&long), BadName::TooLong);
        assert!(EventName::parse(&long[1..]).is_ok());
        assert_eq!(EventName::new("a.b.c.d.e.f.g.h").depth(), 8);
    }

    #[test]
    fn a_prefix_ends_with_a_segment() {
        let name = EventName::new("a.bc.d");
        let under = |prefix| name.is_under(&EventName::new(prefix));
        assert!(under("a") && under("a.bc") && under("a.bc.d"));
        assert!(!under("a.b") && !under("a.bc.d.e") && !under("bc"));
    }

    proptest! {
        #[test]
        fn a_name_is_what_joining_its_segments_gives(
            segments in prop::collection::vec("[a-zA-Z0-9_-]{1,12}", 1..=MAX_SEGMENTS),
        ) {
            let text = segments.join(".");
            let name = EventName::parse(&text).expect("a good name");
            prop_assert_eq!(name.segments().collect::<Vec<_>>(), segments.clone());
            for depth in 1..=segments.len() {
                let prefix: String = segments[..depth].join(".");
                let prefix = EventName::parse(&prefix).expect("a good name");
                prop_assert!(name.is_under(&prefix));
                prop_assert_eq!(prefix == name, depth == segments.len());
            }
        }
    }
}

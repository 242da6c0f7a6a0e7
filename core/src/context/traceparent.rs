//! The header that names a trace and the span in it from which a request came.
//!
//! Read and written as the W3C's *Trace Context* says (<https://www.w3.org/TR/trace-context/>), level 1, with the one
//! flag that level 2 adds. No crate is used for it: those there are need an allocator or `std`, and have not
//! been kept for years.

use core::error::Error;
use core::fmt;
use core::num::{NonZeroU64, NonZeroU128};
use core::str::FromStr;

/// How long the header is in the version that is written here.
const LENGTH: usize = 55;

/// Where the dashes are.
const DASHES: [usize; 3] = [2, 35, 52];

/// Which trace: 128 bits, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub NonZeroU128);

/// Which span of a trace: 64 bits, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub NonZeroU64);

/// What is said about a trace besides its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// The caller may have recorded the trace.
    pub const SAMPLED: Self = Self(1);
    /// At least the lower 56 bits of the trace's id are random.
    pub const RANDOM: Self = Self(2);

    /// The flags of a byte. Those that have no meaning here are not passed on, and so left out.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte & (Self::SAMPLED.0 | Self::RANDOM.0))
    }

    /// As a byte.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// These flags and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// A trace, and the span in it that a request belongs to.
///
/// ```
/// use bedplate_core::context::{TraceFlags, TraceParent};
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = header.parse()?;
/// assert_eq!(parent.trace_id.0.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
/// assert!(parent.flags.has(TraceFlags::SAMPLED));
/// assert_eq!(parent.to_string(), header);
/// # Ok::<(), bedplate_core::context::TraceParentError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in which the request was made: the parent of what the receiver does.
    pub parent_id: SpanId,
    /// What is said about the trace.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// Reads a header's value. O(1), whatever its length.
    ///
    /// Headers of later versions are read as far as this version knows, as the standard asks for. White space around the
    /// value is the business of whoever reads the headers.
    ///
    /// # Errors
    /// [`TraceParentError`]; then there is no parent, and the receiver begins a trace of its own.
    pub fn parse(header: &[u8]) -> Result<Self, TraceParentError> {
        if header.len() < LENGTH {
            return Err(TraceParentError::Length);
        }
        let version = match hex(&header[..2]) {
            Some(0xff) | None => return Err(TraceParentError::Version),
            Some(version) => version,
        };
        let longer = header.len() > LENGTH;
        if longer && (version == 0 || header[LENGTH] != b'-') {
            return Err(TraceParentError::Length);
        }
        if DASHES.iter().any(|at| header[*at] != b'-') {
            return Err(TraceParentError::Form);
        }
        let (Some(trace_id), Some(parent_id), Some(flags)) = (
            hex(&header[3..35]),
            hex(&header[36..52]),
            hex(&header[53..55]),
        ) else {
            return Err(TraceParentError::Form);
        };
        let Some(trace_id) = NonZeroU128::new(trace_id) else {
            return Err(TraceParentError::ZeroTraceId);
        };
        // Sixteen digits and two of them fit, as they were read.
        let (Ok(parent_id), Ok(flags)) = (u64::try_from(parent_id), u8::try_from(flags)) else {
            return Err(TraceParentError::Form);
        };
        let Some(parent_id) = NonZeroU64::new(parent_id) else {
            return Err(TraceParentError::ZeroParentId);
        };
        Ok(Self {
            trace_id: TraceId(trace_id),
            parent_id: SpanId(parent_id),
            flags: TraceFlags::from_byte(flags),
        })
    }

    /// The header's value, in version 00: ASCII.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut header = [b'-'; LENGTH];
        write_hex(&mut header[0..2], 0);
        write_hex(&mut header[3..35], self.trace_id.0.get());
        write_hex(&mut header[36..52], self.parent_id.0.get().into());
        write_hex(&mut header[53..55], self.flags.0.into());
        header
    }
}

/// The number that lower-case digits stand for.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Writes the lowest digits of `number`, as many as there is room for.
fn write_hex(room: &mut [u8], mut number: u128) {
    for place in room.iter_mut().rev() {
        *place = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(header: &str) -> Result<Self, TraceParentError> {
        Self::parse(header.as_bytes())
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags.0;
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.parent_id)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceParentError {
    /// Too short, or longer than its version allows.
    Length,
    /// No version, or the one that is forbidden.
    Version,
    /// A dash or a lower-case digit is not where it should be.
    Form,
    /// The trace has no name.
    ZeroTraceId,
    /// The span has no name.
    ZeroParentId,
}

impl fmt::Display for TraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the header has not the length of its version",
            Self::Version => "the header has no version that is allowed",
            Self::Form => "a dash or a lower-case digit is missing in the header",
            Self::ZeroTraceId => "the trace's id is zero",
            Self::ZeroParentId => "the parent's id is zero",
        })
    }
}

impl Error for TraceParentError {}

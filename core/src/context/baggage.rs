//! The header that carries an application's own values along.
//!
//! As the W3C's *Baggage* says (<https://www.w3.org/TR/baggage/>): members `key=value;property`, whose values are UTF-8
//! with percent signs, and at most 64 of them in 8,192 bytes.

use core::error::Error;
use core::fmt::{self, Write};

/// How many members there are at most.
const MEMBERS: usize = 64;

/// How many bytes there are at most.
const BYTES: usize = 8192;

/// The members of a header, which it borrows.
///
/// ```
/// use bedplate_core::context::Baggage;
///
/// let baggage = Baggage::parse("user=Am%C3%A9lie, server = DF%2028;ttl=3")?;
/// let user = baggage.get("user").expect("it is there");
/// assert_eq!(user.value().to_string(), "Amélie");
/// assert_eq!(baggage.get("server").and_then(|server| server.properties), Some("ttl=3"));
/// # Ok::<(), bedplate_core::context::BaggageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baggage<'a> {
    /// Of the right form.
    header: &'a str,
}

/// One value of a [`Baggage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaggageMember<'a> {
    /// Its name.
    pub key: &'a str,
    /// As it stands in the header, with its percent signs.
    pub raw_value: &'a str,
    /// What else is said about it: what follows the first `;`, as it stands in the header.
    pub properties: Option<&'a str>,
}

impl<'a> Baggage<'a> {
    /// Reads a header. O(length).
    ///
    /// # Errors
    /// [`BaggageError`]; then nothing of the header is to be passed on.
    pub fn parse(header: &'a str) -> Result<Self, BaggageError> {
        if header.len() > BYTES {
            return Err(BaggageError::TooLong);
        }
        let mut count = 0;
        for member in members(header) {
            let BaggageMember {
                key,
                raw_value,
                properties,
            } = split(member).ok_or(BaggageError::Value)?;
            check(key, raw_value)?;
            for property in properties.into_iter().flat_map(|all| all.split(';')) {
                match property.split_once('=') {
                    Some((key, value)) => check(trim(key), trim(value))?,
                    None => check(trim(property), "")?,
                }
            }
            count += 1;
        }
        if count > MEMBERS {
            return Err(BaggageError::TooMany);
        }
        Ok(Self { header })
    }

    /// The members, in order. A key may come more than once.
    pub fn iter(&self) -> impl Iterator<Item = BaggageMember<'a>> + use<'a> {
        members(self.header).filter_map(split)
    }

    /// The first member of that name. O(length).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<BaggageMember<'a>> {
        self.iter().find(|member| member.key == key)
    }
}

impl<'a> BaggageMember<'a> {
    /// Its value, decoded.
    #[must_use]
    pub const fn value(&self) -> BaggageValue<'a> {
        BaggageValue(self.raw_value)
    }
}

/// A value without its percent signs, as text. Where the bytes are not UTF-8, U+FFFD stands for them, as the standard
/// asks for.
#[derive(Clone, Copy, Debug)]
pub struct BaggageValue<'a>(&'a str);

impl BaggageValue<'_> {
    /// The bytes it stands for.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + Clone {
        let mut rest = self.0.as_bytes();
        core::iter::from_fn(move || {
            let (&first, after) = rest.split_first()?;
            let digits = match (first, after) {
                (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
                _ => None,
            };
            if let Some((high, low)) = digits {
                rest = &after[2..];
                return Some(high << 4 | low);
            }
            rest = after;
            Some(first)
        })
    }
}

impl fmt::Display for BaggageValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes of at most one character, and one that does not belong to it.
        let mut pending = heapless::Vec::<u8, 4>::new();
        for byte in self.bytes() {
            // It never holds four that are no character.
            let _full = pending.push(byte);
            flush(f, &mut pending)?;
        }
        match pending.is_empty() {
            true => Ok(()),
            false => f.write_char(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Writes what is complete, and leaves the beginning of a character.
fn flush(f: &mut fmt::Formatter<'_>, pending: &mut heapless::Vec<u8, 4>) -> fmt::Result {
    while !pending.is_empty() {
        let (written, gone) = match str::from_utf8(pending) {
            Ok(text) => {
                f.write_str(text)?;
                (true, pending.len())
            }
            Err(error) => match error.error_len() {
                None => return Ok(()),
                Some(wrong) => (false, error.valid_up_to() + wrong),
            },
        };
        if !written {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
        }
        let left = heapless::Vec::from_slice(&pending[gone..]).unwrap_or_default();
        *pending = left;
    }
    Ok(())
}

/// Writes a header, member by member.
///
/// ```
/// use bedplate_core::context::{Baggage, BaggageWriter};
///
/// let mut header = String::new();
/// let mut writer = BaggageWriter::new(&mut header);
/// writer.member("user", "Amélie")?;
/// writer.member("quota", "50%")?;
/// assert_eq!(header, "user=Am%C3%A9lie,quota=50%25");
/// assert_eq!(Baggage::parse(&header)?.get("quota").unwrap().value().to_string(), "50%");
/// # Ok::<(), bedplate_core::context::BaggageError>(())
/// ```
#[derive(Debug)]
pub struct BaggageWriter<W> {
    out: W,
    members: usize,
    bytes: usize,
}

impl<W: Write> BaggageWriter<W> {
    /// A header in `out`.
    pub const fn new(out: W) -> Self {
        Self {
            out,
            members: 0,
            bytes: 0,
        }
    }

    /// Writes a member; `value` is any text.
    ///
    /// # Errors
    /// [`BaggageError`]: if the key cannot be one, or the header would have more than 64 members or 8,192 bytes,
    /// nothing was written; if `out` has no room ([`BaggageError::Write`]), part of the member may have been.
    pub fn member(&mut self, key: &str, value: &str) -> Result<(), BaggageError> {
        check(key, "")?;
        if self.members == MEMBERS {
            return Err(BaggageError::TooMany);
        }
        let comma = usize::from(self.members > 0);
        let bytes: usize = value
            .bytes()
            .map(|byte| if plain(byte) { 1 } else { 3 })
            .sum();
        let length = self.bytes + comma + key.len() + 1 + bytes;
        if length > BYTES {
            return Err(BaggageError::TooLong);
        }
        self.write(comma, key, value)
            .map_err(|_| BaggageError::Write)?;
        self.members += 1;
        self.bytes = length;
        Ok(())
    }

    fn write(&mut self, comma: usize, key: &str, value: &str) -> fmt::Result {
        self.out.write_str(&","[..comma])?;
        self.out.write_str(key)?;
        self.out.write_char('=')?;
        for byte in value.bytes() {
            match plain(byte) {
                true => self.out.write_char(byte.into())?,
                false => write!(self.out, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c| c == ' ' || c == '\t')
}

fn members(header: &str) -> impl Iterator<Item = &str> {
    header
        .split(',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

fn split(member: &str) -> Option<BaggageMember<'_>> {
    let (member, properties) = match member.split_once(';') {
        Some((member, properties)) => (member, Some(trim(properties))),
        None => (member, None),
    };
    let (key, value) = member.split_once('=')?;
    Some(BaggageMember {
        key: trim(key),
        raw_value: trim(value),
        properties,
    })
}

fn check(key: &str, value: &str) -> Result<(), BaggageError> {
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if key.is_empty() || !key.bytes().all(in_token) {
        return Err(BaggageError::Key);
    }
    if !value.bytes().all(|byte| plain(byte) || byte == b'%') {
        return Err(BaggageError::Value);
    }
    Ok(())
}

/// Whether a byte of a value stands for itself: what the standard calls a baggage-octet, without the percent sign.
const fn plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b',' | b';' | b'\\' | b'%')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Why a header is none, or a member does not fit into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BaggageError {
    /// A key that is empty or has characters it must not have.
    Key,
    /// A value that is missing or has characters it must not have.
    Value,
    /// More than 64 members.
    TooMany,
    /// More than 8,192 bytes.
    TooLong,
    /// There was no room in what was written to.
    Write,
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "a key is not as it must be",
            Self::Value => "a value is not as it must be",
            Self::TooMany => "there are more than 64 members",
            Self::TooLong => "there are more than 8,192 bytes",
            Self::Write => "there is no room for the member",
        })
    }
}

impl Error for BaggageError {}

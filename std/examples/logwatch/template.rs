//! What a message says apart from its numbers, as one 64-bit key.
//!
//! The template of a message has [`MASK`] in place of
//!
//! * numbers, with their sign and what joins them: `42`, `-7`, `2.36-9`, `12:30:45`, `10.0.0.1:8080`, `0x7ffe`;
//! * the digits in other words, paths included: `eth0`, `deb12u13`, `item-7.txt`, `/users/17/mail`;
//! * hexadecimal words of four letters or more that have a digit: `9a3f00c1`, `0fd3`;
//! * UUIDs, IPv6 and hardware addresses.
//!
//! Quoted strings are not masked as a whole: what is in them (a request, a file, the name of a
//! table) mostly is what tells two messages apart. Numbers in them are masked like all others.
//!
//! The key hashes source, severity, code and template. The template is never held as a whole: it is
//! made and hashed in pieces. Two different templates get the same key with a probability of 2⁻⁶⁴;
//! with n windows open, a message is suppressed wrongly with a probability of at most n · 2⁻⁶⁴.

use crate::shape::Severity;
use core::hash::{BuildHasher, Hasher};
use foldhash::quality::FixedState;

/// Stands for what is masked. No byte of UTF-8, so no text looks like it.
pub(crate) const MASK: u8 = 0xFF;

/// Makes keys for the messages of one source.
#[derive(Debug)]
pub(crate) struct Keys {
    hasher: FixedState,
}

impl Keys {
    pub(crate) fn new(source: usize) -> Self {
        Self {
            hasher: FixedState::with_seed(source as u64),
        }
    }

    pub(crate) fn key(&self, severity: Severity, code: u16, message: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32((severity as u32) << 16 | u32::from(code));
        mask(message, |piece| hasher.write(piece));
        hasher.finish()
    }
}

const DIGIT: u8 = 1;
/// `a` to `f`.
const HEX: u8 = 2;
/// Other letters, and bytes beyond ASCII.
const LETTER: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let class = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' | 0x80.. => LETTER,
            _ => 0,
        };
        classes[byte] = class;
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// A piece of template on its way out.
struct Pieces<S> {
    buffer: [u8; 256],
    length: usize,
    sink: S,
}

impl<S: FnMut(&[u8])> Pieces<S> {
    #[inline]
    fn push(&mut self, byte: u8) {
        if self.length == self.buffer.len() {
            (self.sink)(&self.buffer);
            self.length = 0;
        }
        self.buffer[self.length] = byte;
        self.length += 1;
    }
}

/// Gives the template of `message` to `sink`, piece by piece.
pub(crate) fn mask(message: &[u8], sink: impl FnMut(&[u8])) {
    let mut out = Pieces {
        buffer: [0; 256],
        length: 0,
        sink,
    };
    let mut at = 0;
    while let Some(&byte) = message.get(at) {
        if class(byte) == 0 {
            let shortened = byte == b':' && message.get(at + 1) == Some(&b':');
            if let Some(length) = shortened.then(|| address(&message[at..])).flatten() {
                out.push(MASK);
                at += length;
                continue;
            }
            if byte != b'-' || !is_sign(message, at) {
                out.push(byte);
            }
            at += 1;
            continue;
        }
        let start = at;
        let mut classes = 0;
        while let Some(class) = message.get(at).map(|&byte| class(byte)).filter(|&c| c != 0) {
            classes |= class;
            at += 1;
        }
        at = word(message, start, at, classes, &mut out);
    }
    (out.sink)(&out.buffer[..out.length]);
}

/// Whether the minus at `at` belongs to the number behind it, rather than joining two words.
fn is_sign(message: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| message[before]);
    message.get(at + 1).is_some_and(u8::is_ascii_digit)
        && matches!(before, None | Some(b' ' | b'=' | b'(' | b',' | b'[' | b':'))
}

/// Masks the word `start..end`; returns where to go on, which may be behind it.
#[inline]
fn word<S: FnMut(&[u8])>(
    message: &[u8],
    start: usize,
    end: usize,
    classes: u8,
    out: &mut Pieces<S>,
) -> usize {
    let text = &message[start..end];
    if classes & LETTER == 0 {
        let masked = match message.get(end) {
            Some(b'-') => uuid(&message[start..]),
            Some(b':') => address(&message[start..]),
            _ => None,
        };
        if let Some(length) = masked {
            out.push(MASK);
            return start + length;
        }
    }
    if classes & DIGIT == 0 {
        text.iter().for_each(|&byte| out.push(byte));
        return end;
    }
    let is_number =
        classes == DIGIT || (classes & LETTER == 0 && text.len() >= 4) || text.starts_with(b"0x");
    if is_number {
        out.push(MASK);
    } else {
        let mut in_digits = false;
        for &byte in text {
            let is_digit = byte.is_ascii_digit();
            if !is_digit {
                out.push(byte);
            } else if !in_digits {
                out.push(MASK);
            }
            in_digits = is_digit;
        }
    }
    let mut at = end;
    if class(text[text.len() - 1]) == DIGIT || is_number {
        // What joins numbers belongs to them.
        while let (Some(b'.' | b',' | b':' | b'-'), Some(b'0'..=b'9')) =
            (message.get(at), message.get(at + 1))
        {
            at += 2;
            while message.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
        }
    }
    at
}

/// How long the UUID is that the text begins with.
fn uuid(text: &[u8]) -> Option<usize> {
    let text = text.get(..36)?;
    let fits = text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(36)
}

/// How long the IPv6 or hardware address is that the text begins with.
fn address(text: &[u8]) -> Option<usize> {
    let taken = text
        .iter()
        .take(46)
        .take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':');
    let length = taken.count();
    let text = text[..length]
        .strip_suffix(b":")
        .filter(|text| !text.ends_with(b":"))
        .unwrap_or(&text[..length]);
    let (mut groups, mut empty, mut pairs, mut digits) = (0, 0, 0, false);
    for group in text.split(|&byte| byte == b':') {
        groups += 1;
        empty += usize::from(group.is_empty());
        pairs += usize::from(group.len() == 2);
        digits |= group.iter().any(u8::is_ascii_digit);
        if group.len() > 4 {
            return None;
        }
    }
    let shortened = empty > 0 && (3..=8).contains(&groups) && digits;
    let is_address = shortened || (groups == 8 && empty == 0) || (groups == 6 && pairs == 6);
    is_address.then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(message: &[u8]) -> String {
        let mut template = Vec::new();
        mask(message, |piece| template.extend_from_slice(piece));
        template
            .iter()
            .map(|&byte| if byte == MASK { '#' } else { char::from(byte) })
            .collect()
    }

    #[test]
    fn vectors() {
        for (message, expected) in [
            ("", ""),
            ("no numbers at all, face it", "no numbers at all, face it"),
            ("took 42 ms", "took # ms"),
            ("took 12.5ms", "took #ms"),
            ("libc6:amd64 2.36-9+deb12u13", "libc#:amd# #+deb#u#"),
            ("at 12:30:45, then", "at #, then"),
            ("2026-11-24T13:54:42.123Z", "#T#Z"),
            ("from 10.0.0.1:8080 port 22", "from # port #"),
            ("from 10.0.0.1: refused", "from #: refused"),
            ("peer 2001:db8::8a2e:370:7334 gone", "peer # gone"),
            ("peer ::1 gone", "peer # gone"),
            ("peer fe80::1%eth0", "peer #%eth#"),
            ("bind [::]:80", "bind [::]:#"),
            ("use std::fmt and dead::beef", "use std::fmt and dead::beef"),
            ("mac 02:42:ac:11:00:02 up", "mac # up"),
            ("id 550e8400-e29b-41d4-a716-446655440000.", "id #."),
            ("id abcdefab-abcd-abcd-abcd-abcdefabcdef", "id #"),
            ("commit 9a3f00c1 at 0x7ffe12", "commit # at #"),
            ("/users/17/profile/3", "/users/#/profile/#"),
            ("item-7.txt eth0", "item-#.txt eth#"),
            (
                "\"GET /p?id=5 HTTP/1.1\" 200 15",
                "\"GET /p?id=# HTTP/#\" # #",
            ),
            ("x = y + -12, (-3) =-4 -5", "x = y + #, (#) =# #"),
            ("#12 x-1-2-", "## x-#-"),
        ] {
            assert_eq!(template(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn keys_tell_apart_what_should_be() {
        let (keys, others) = (Keys::new(0), Keys::new(1));
        let key = keys.key(Severity::Info, 200, b"user 5 in");
        assert_eq!(key, keys.key(Severity::Info, 200, b"user 77 in"));
        assert_ne!(key, keys.key(Severity::Info, 200, b"user 5 out"));
        assert_ne!(key, keys.key(Severity::Error, 200, b"user 5 in"));
        assert_ne!(key, keys.key(Severity::Info, 404, b"user 5 in"));
        assert_ne!(key, others.key(Severity::Info, 200, b"user 5 in"));
        let long =
            |digits: &str| format!("{} {digits} {}", "long ".repeat(100), "tail".repeat(100));
        let (one, other) = (long("1"), long("23456"));
        let key = |text: &str| keys.key(Severity::Info, 0, text.as_bytes());
        assert_eq!(key(&one), key(&other));
        assert_ne!(key(&one), key(&one[1..]));
    }

    proptest! {
        #[test]
        fn digits_never_survive_and_length_never_grows(message: Vec<u8>) {
            let template = template(&message);
            prop_assert!(!template.bytes().any(|byte| byte.is_ascii_digit()));
            prop_assert!(template.chars().count() <= message.len());
        }

        #[test]
        fn a_number_does_not_matter(a in 0u64..1 << 40, b in 0u64..1 << 40, text in "[a-z /=]{0,30}") {
            let message = |number: u64| format!("{text} {number} {text}").into_bytes();
            prop_assert_eq!(template(&message(a)), template(&message(b)));
        }
    }
}

//! The W3C's headers, read the obvious way: split into parts, each of which is checked by itself.

use std::collections::BTreeSet;

/// A `traceparent`: trace, parent, and the flags that are passed on.
#[must_use]
pub fn parent(header: &str) -> Option<(u128, u64, u8)> {
    let parts: Vec<&str> = header.split('-').collect();
    let [version, trace, parent, flags, rest @ ..] = parts.as_slice() else {
        return None;
    };
    let version = u8::try_from(hex(version, 2)?).ok()?;
    if version == 255 || (version == 0 && !rest.is_empty()) {
        return None;
    }
    let trace = hex(trace, 32)?;
    let parent = u64::try_from(hex(parent, 16)?).ok()?;
    let flags = u8::try_from(hex(flags, 2)?).ok()?;
    (trace != 0 && parent != 0).then_some((trace, parent, flags & 3))
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = text.chars().all(|c| "0123456789abcdef".contains(c));
    (lower && text.len() == digits).then(|| u128::from_str_radix(text, 16).ok())?
}

/// A `tracestate`: its members.
#[must_use]
pub fn state(header: &str) -> Option<Vec<(String, String)>> {
    let mut keys = BTreeSet::new();
    let mut members = Vec::new();
    for member in header.split(',') {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let at = member.find('=')?;
        let (key, value) = (&member[..at], &member[at + 1..]);
        let key_fits = !key.is_empty()
            && key.len() <= 256
            && !key.starts_with(['_', '-', '*', '/', '@'])
            && key
                .chars()
                .all(|c| "abcdefghijklmnopqrstuvwxyz0123456789_-*/@".contains(c));
        let value_fits = !value.is_empty()
            && value.len() <= 256
            && !value.ends_with(' ')
            && value.chars().all(|c| (' '..='~').contains(&c) && c != '=');
        if !key_fits || !value_fits || !keys.insert(key) {
            return None;
        }
        members.push((key.to_owned(), value.to_owned()));
    }
    (members.len() <= 32).then_some(members)
}

/// A `baggage`: keys, and values decoded.
#[must_use]
pub fn baggage(header: &str) -> Option<Vec<(String, String)>> {
    if header.len() > 8192 {
        return None;
    }
    let mut members = Vec::new();
    for member in header.split(',') {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        for (index, pair) in member.split(';').enumerate() {
            let (key, value) = match pair.find('=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None if index > 0 => (pair, ""),
                None => return None,
            };
            let (key, value) = (
                key.trim_matches([' ', '\t']),
                value.trim_matches([' ', '\t']),
            );
            let in_key = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let in_value = |c: char| ('!'..='~').contains(&c) && !"\",;\\".contains(c);
            if key.is_empty() || !key.chars().all(in_key) || !value.chars().all(in_value) {
                return None;
            }
            if index == 0 {
                members.push((key.to_owned(), decode(value)));
            }
        }
    }
    (members.len() <= 64).then_some(members)
}

fn decode(value: &str) -> String {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let coded = value
            .get(at + 1..at + 3)
            .filter(|digits| value[at..].starts_with('%') && !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(value.as_bytes()[at]));
        at += if coded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

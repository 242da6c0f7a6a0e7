//! What kind of line it is: where its time, its severity and its message are.
//!
//! The first byte and a few fixed places decide; a line that fits nothing is plain text. Nothing is
//! copied: what is found are pieces of the line.

use crate::time;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The shapes that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Syslog3164,
    Syslog5424,
    Dpkg,
    Access,
    Json,
    Postgres,
    Redis,
    Plain,
}

/// How bad it is, from worst to least; `Unknown` when the line does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    Fatal,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
    Unknown,
}

/// A line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed<'a> {
    pub(crate) shape: Shape,
    pub(crate) severity: Severity,
    /// The line's own time in nanoseconds, and its text.
    pub(crate) time: Option<(u64, &'a [u8])>,
    /// A number that tells messages apart although numbers do not: the status of a request.
    pub(crate) code: u16,
    /// What is said, without time and severity where they stand apart.
    pub(crate) message: &'a [u8],
}

impl Shape {
    /// How many there are.
    pub(crate) const COUNT: usize = 8;

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Syslog3164 => "syslog-rfc3164",
            Self::Syslog5424 => "syslog-rfc5424",
            Self::Dpkg => "dpkg",
            Self::Access => "access",
            Self::Json => "json",
            Self::Postgres => "postgresql",
            Self::Redis => "redis",
            Self::Plain => "plain",
        }
    }
}

impl Severity {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Unknown => "unknown",
        }
    }

    /// The severity in a syslog priority.
    const fn of_priority(priority: u32) -> Self {
        match priority % 8 {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The severity a word stands for, in any case.
    fn of_word(word: &[u8]) -> Option<Self> {
        const WORDS: [(&[u8], Severity); 22] = [
            (b"error", Severity::Error),
            (b"info", Severity::Info),
            (b"warning", Severity::Warning),
            (b"warn", Severity::Warning),
            (b"debug", Severity::Debug),
            (b"notice", Severity::Notice),
            (b"log", Severity::Info),
            (b"fatal", Severity::Fatal),
            (b"err", Severity::Error),
            (b"trace", Severity::Debug),
            (b"panic", Severity::Fatal),
            (b"crit", Severity::Fatal),
            (b"critical", Severity::Fatal),
            (b"alert", Severity::Fatal),
            (b"emerg", Severity::Fatal),
            (b"emergency", Severity::Fatal),
            (b"information", Severity::Info),
            (b"statement", Severity::Info),
            (b"detail", Severity::Info),
            (b"hint", Severity::Info),
            (b"context", Severity::Info),
            (b"verbose", Severity::Debug),
        ];
        let known = WORDS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map(|(_, severity)| *severity)
    }
}

/// Takes a line apart.
pub(crate) fn parse(line: &[u8]) -> Parsed<'_> {
    let special = match line.first() {
        Some(b'{') => json(line),
        Some(b'<') => syslog_with_priority(line),
        Some(b'A' | b'D' | b'F' | b'J' | b'M' | b'N' | b'O' | b'S') => syslog_in_file(line),
        Some(b'0'..=b'9') => dated(line).or_else(|| redis(line)),
        _ => None,
    };
    special
        .or_else(|| access(line))
        .unwrap_or_else(|| plain(line))
}

/// `<34>1 2003-10-11T22:14:15.003Z host app pid id [data] message`, or `<34>` and RFC 3164.
fn syslog_with_priority(line: &[u8]) -> Option<Parsed<'_>> {
    let close = line.iter().take(5).position(|&byte| byte == b'>')?;
    let priority: u32 = core::str::from_utf8(&line[1..close]).ok()?.parse().ok()?;
    let severity = Severity::of_priority(priority);
    let rest = &line[close + 1..];
    if priority > 191 {
        return None;
    }
    if !rest.starts_with(b"1 ") {
        return Some(Parsed {
            severity,
            ..syslog_in_file(rest)?
        });
    }
    let (stamp, rest) = word(&rest[2..]);
    let time = time::iso(stamp).map(|(time, _)| (time, stamp));
    if time.is_none() && stamp != b"-" {
        return None;
    }
    let (_host, message) = word(rest);
    Some(Parsed {
        shape: Shape::Syslog5424,
        severity,
        time,
        code: 0,
        message,
    })
}

/// `Nov 24 13:54:42 host tag[1]: message`, as syslog writes it to files.
fn syslog_in_file(line: &[u8]) -> Option<Parsed<'_>> {
    let (time, taken) = time::bsd(line)?;
    let rest = line.get(taken + 1..)?;
    let (_host, message) = word(rest);
    Some(Parsed {
        shape: Shape::Syslog3164,
        severity: level_in(message),
        time: Some((time, &line[..taken])),
        code: 0,
        message,
    })
}

/// What begins with a date: dpkg's lines, PostgreSQL's, and plain text.
fn dated(line: &[u8]) -> Option<Parsed<'_>> {
    let (time, taken) = time::iso(line)?;
    let (text, rest) = line.split_at(taken);
    let message = rest.trim_ascii_start();
    let dpkg = if taken == 19 { dpkg(message) } else { None };
    let (shape, severity, message) = dpkg
        .or_else(|| postgres(message))
        .unwrap_or_else(|| (Shape::Plain, level_in(message), message));
    let time = Some((time, text));
    Some(Parsed {
        shape,
        severity,
        time,
        code: 0,
        message,
    })
}

/// `status installed adduser:all 3.134`, after the date.
fn dpkg(message: &[u8]) -> Option<(Shape, Severity, &[u8])> {
    const ACTIONS: [&[u8]; 9] = [
        b"status",
        b"install",
        b"upgrade",
        b"configure",
        b"trigproc",
        b"remove",
        b"purge",
        b"startup",
        b"conffile",
    ];
    let known = ACTIONS.contains(&word(message).0);
    known.then_some((Shape::Dpkg, Severity::Info, message))
}

/// `[123] user@database LOG:  message`, after the date: Debian's setting. A zone of letters may
/// come before it.
fn postgres(rest: &[u8]) -> Option<(Shape, Severity, &[u8])> {
    let process = if rest.starts_with(b"[") {
        rest
    } else {
        word(rest).1
    };
    let close = process.iter().take(12).position(|&byte| byte == b']')?;
    let number = process[..close].strip_prefix(b"[")?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let message = process[close + 1..].trim_ascii_start();
    let colon = message.iter().take(160).position(|&byte| byte == b':')?;
    let level = message[..colon].rsplit(|&byte| byte == b' ').next()?;
    if !level.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    Some((Shape::Postgres, Severity::of_word(level)?, message))
}

/// `28069:M 24 Nov 2026 14:21:25.068 * message`.
fn redis(line: &[u8]) -> Option<Parsed<'_>> {
    let colon = line.iter().take(9).position(|&byte| byte == b':')?;
    let [role, b' ', rest @ ..] = &line[colon + 1..] else {
        return None;
    };
    if !role.is_ascii_uppercase() {
        return None;
    }
    let (time, taken) = time::redis(rest)?;
    let severity = match rest.get(taken..taken + 3)? {
        b" . " | b" - " => Severity::Debug,
        b" * " => Severity::Notice,
        b" # " => Severity::Warning,
        _ => return None,
    };
    let time = Some((time, &rest[..taken]));
    let message = &rest[taken + 3..];
    Some(Parsed {
        shape: Shape::Redis,
        severity,
        time,
        code: 0,
        message,
    })
}

/// `host - user [24/Nov/2026:13:54:42 +0000] "GET / HTTP/1.1" 200 15 "referrer" "agent"`. Who asked
/// and with what is no part of the message.
fn access(line: &[u8]) -> Option<Parsed<'_>> {
    let open = memchr::memchr(b'[', &line[..line.len().min(256)])?;
    let (time, taken) = time::access(&line[open + 1..])?;
    let close = open + 1 + taken;
    let rest = line.get(close..)?.strip_prefix(b"] \"")?;
    let quote = memchr::memchr_iter(b'"', rest).find(|&at| at == 0 || rest[at - 1] != b'\\')?;
    let (status, after) = word(rest.get(quote + 2..)?);
    let code: u16 = core::str::from_utf8(status).ok()?.parse().ok()?;
    let severity = match code {
        500.. => Severity::Error,
        400.. => Severity::Warning,
        _ => Severity::Info,
    };
    let size = word(after).0.len();
    let end = line.len() - after.len() + size;
    Some(Parsed {
        shape: Shape::Access,
        severity,
        time: Some((time, &line[open + 1..close])),
        code,
        message: &line[close + 2..end],
    })
}

/// One object; the usual names of the fields are known.
fn json(line: &[u8]) -> Option<Parsed<'_>> {
    struct Fields<'a> {
        time: Option<&'a RawValue>,
        level: Option<&'a RawValue>,
        message: Option<&'a RawValue>,
    }
    struct FieldsVisitor;
    impl<'a> Visitor<'a> for FieldsVisitor {
        type Value = Fields<'a>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Fields<'a>, M::Error> {
            let mut fields = Fields {
                time: None,
                level: None,
                message: None,
            };
            while let Some((key, value)) = map.next_entry::<&'a RawValue, &'a RawValue>()? {
                match key.get() {
                    r#""time""# | r#""timestamp""# | r#""ts""# | r#""@timestamp""# => {
                        fields.time = Some(value);
                    }
                    r#""level""# | r#""severity""# | r#""lvl""# | r#""log.level""# => {
                        fields.level = Some(value);
                    }
                    r#""msg""# | r#""message""# => fields.message = Some(value),
                    _ => {}
                }
            }
            Ok(fields)
        }
    }
    let mut input = serde_json::Deserializer::from_slice(line);
    let fields = de::Deserializer::deserialize_map(&mut input, FieldsVisitor).ok()?;
    input.end().ok()?;
    let level = fields.level.map_or(&b""[..], unquoted);
    let severity = Severity::of_word(level).unwrap_or(match level {
        b"10" | b"20" => Severity::Debug,
        b"30" => Severity::Info,
        b"40" => Severity::Warning,
        b"50" => Severity::Error,
        b"60" => Severity::Fatal,
        _ => Severity::Unknown,
    });
    let time = fields
        .time
        .map(unquoted)
        .and_then(|text| Some((time_of_json(text)?, text)));
    let message = fields.message.map_or(line, unquoted);
    Some(Parsed {
        shape: Shape::Json,
        severity,
        time,
        code: 0,
        message,
    })
}

/// ISO 8601, or a number of seconds or milliseconds since 1970.
fn time_of_json(text: &[u8]) -> Option<u64> {
    if let Some((time, _)) = time::iso(text) {
        return Some(time);
    }
    let number: f64 = core::str::from_utf8(text).ok()?.parse().ok()?;
    let seconds = if number > 1e11 { number / 1e3 } else { number };
    let time = core::time::Duration::try_from_secs_f64(seconds).ok()?;
    u64::try_from(time.as_nanos()).ok()
}

/// The text of a JSON value without its quotes, escapes as they are.
fn unquoted(value: &RawValue) -> &[u8] {
    let text = value.get().as_bytes();
    text.strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text)
}

/// Perhaps a time, perhaps in brackets; perhaps a level; and the rest.
fn plain(line: &[u8]) -> Parsed<'_> {
    let inner = line.strip_prefix(b"[").unwrap_or(line);
    let offset = line.len() - inner.len();
    let found = time::iso(inner).or_else(|| time::bsd(inner));
    let (time, message) = match found {
        Some((time, taken)) => {
            let rest = &inner[taken..];
            let rest = if offset == 1 {
                rest.strip_prefix(b"]").unwrap_or(rest)
            } else {
                rest
            };
            (Some((time, &inner[..taken])), rest.trim_ascii_start())
        }
        None => (None, line),
    };
    Parsed {
        shape: Shape::Plain,
        severity: level_in(message),
        time,
        code: 0,
        message,
    }
}

/// The first word up to a space, and what follows the space.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// The level a message names near its beginning: in capitals, in brackets, or before a colon.
fn level_in(message: &[u8]) -> Severity {
    let head = &message[..message.len().min(72)];
    let mut at = 0;
    while at < head.len() {
        if !head[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let start = at;
        while at < head.len() && head[at].is_ascii_alphanumeric() {
            at += 1;
        }
        let word = &head[start..at];
        if !(3..=11).contains(&word.len()) {
            continue;
        }
        let before = start.checked_sub(1).map(|at| head[at]);
        let marked = matches!(head.get(at), Some(b':' | b']' | b'>'))
            || matches!(before, Some(b'[' | b'<'))
            || word.iter().all(u8::is_ascii_uppercase);
        if let Some(severity) = marked.then(|| Severity::of_word(word)).flatten() {
            return severity;
        }
    }
    Severity::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, shape: Shape, severity: Severity, time: &str, message: &str) {
        let parsed = parse(line.as_bytes());
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let found = parsed.time.map_or(String::new(), |(_, time)| text(time));
        assert_eq!(
            (
                parsed.shape,
                parsed.severity,
                found.as_str(),
                text(parsed.message).as_str()
            ),
            (shape, severity, time, message),
            "{line}"
        );
    }

    #[test]
    fn syslog() {
        use Severity::{Error, Fatal, Notice, Unknown};
        use Shape::{Syslog3164, Syslog5424};
        let time = "Nov  4 13:54:42";
        check(
            "Nov  4 13:54:42 web01 su: no",
            Syslog3164,
            Unknown,
            time,
            "su: no",
        );
        check(
            "<34>Nov  4 13:54:42 web01 su[3]: no",
            Syslog3164,
            Fatal,
            time,
            "su[3]: no",
        );
        let message = "nginx: 2026/11/24 13:54:43 [error] 7#7: *1 denied";
        check(
            &format!("{time} web01 {message}"),
            Syslog3164,
            Error,
            time,
            message,
        );
        check(
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time",
            Syslog5424,
            Notice,
            "2003-08-24T05:14:15.000003-07:00",
            "myproc 8710 - - %% It's time",
        );
        check(
            "<191>1 - - - - - -",
            Syslog5424,
            Severity::Debug,
            "",
            "- - - - -".get(2..).unwrap(),
        );
    }

    #[test]
    fn logs_of_programs() {
        let (dpkg, access) = (Shape::Dpkg, Shape::Access);
        check(
            "2026-11-24 13:54:01 status installed adduser:all 3.134",
            dpkg,
            Severity::Info,
            "2026-11-24 13:54:01",
            "status installed adduser:all 3.134",
        );
        check(
            r#"127.0.0.1 - ann [24/Nov/2026:13:54:42 +0000] "GET /a\"b HTTP/1.0" 404 153 "-" "x""#,
            access,
            Severity::Warning,
            "24/Nov/2026:13:54:42 +0000",
            r#""GET /a\"b HTTP/1.0" 404 153"#,
        );
        check(
            r#"::1 - - [24/Nov/2026:13:54:42 +0000] "GET / HTTP/1.0" 502 -"#,
            access,
            Severity::Error,
            "24/Nov/2026:13:54:42 +0000",
            r#""GET / HTTP/1.0" 502 -"#,
        );
        check(
            "2026-11-24 13:54:42.123 UTC [17] app@postgres ERROR:  no table \"t\" at character 3",
            Shape::Postgres,
            Severity::Error,
            "2026-11-24 13:54:42.123 UTC",
            "app@postgres ERROR:  no table \"t\" at character 3",
        );
        check(
            "28069:M 24 Nov 2026 14:21:25.068 # WARNING overcommit",
            Shape::Redis,
            Severity::Warning,
            "24 Nov 2026 14:21:25.068",
            "WARNING overcommit",
        );
    }

    #[test]
    fn json_lines() {
        let line = r#"{"ts":"2026-11-24T13:54:42Z","level":"warn","msg":"disk \"a\" full","n":1}"#;
        check(
            line,
            Shape::Json,
            Severity::Warning,
            "2026-11-24T13:54:42Z",
            r#"disk \"a\" full"#,
        );
        let line = r#"{"time":1795528482000,"level":50,"message":"x"}"#;
        check(line, Shape::Json, Severity::Error, "1795528482000", "x");
        assert_eq!(
            parse(line.as_bytes()).time.map(|time| time.0),
            Some(1_795_528_482_000_000_000)
        );
        let line = r#"{"a":1}"#;
        check(line, Shape::Json, Severity::Unknown, "", line);
        for line in [r#"{"a":1"#, r#"{"a":1} x"#, "{}}", "{not json}"] {
            check(line, Shape::Plain, Severity::Unknown, "", line);
        }
    }

    #[test]
    fn plain_text() {
        let (plain, time) = (Shape::Plain, "2026-11-24T13:54:42.5Z");
        check("", plain, Severity::Unknown, "", "");
        check(
            "error handling is on",
            plain,
            Severity::Unknown,
            "",
            "error handling is on",
        );
        check("error: no", plain, Severity::Error, "", "error: no");
        check(
            &format!("{time} INFO up"),
            plain,
            Severity::Info,
            time,
            "INFO up",
        );
        check(
            &format!("[{time}] [warn] x"),
            plain,
            Severity::Warning,
            time,
            "[warn] x",
        );
        check(
            "[core] <debug> x",
            plain,
            Severity::Debug,
            "",
            "[core] <debug> x",
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            start in "(<[0-9]{0,4}>1? ?)?(Nov  4 13:54:42|2026-11-24 13:54:42|[0-9]+:M 24 Nov 2026 14:21:25|\\{\"|\\[24/Nov/2026:13:54:42 \\+01)?",
            rest: Vec<u8>, cut: prop::sample::Index,
        ) {
            let mut line = start.into_bytes();
            line.extend(rest);
            line.truncate(cut.index(line.len() + 1));
            let parsed = parse(&line);
            prop_assert!(parsed.message.len() <= line.len());
        }
    }
}

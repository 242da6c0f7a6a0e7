//! The times that log lines begin with.
//!
//! All of them become nanoseconds since 1970 UTC. A time without a year is put into the year 2000,
//! and one without a zone is taken as UTC: good for telling how far two lines of one log are apart,
//! which is all that is asked.

const NANOS: u64 = 1_000_000_000;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A time, and how many bytes of text it took.
pub(crate) type Parsed = Option<(u64, usize)>;

/// `2026-11-24T13:54:42.123Z`, `2026-11-24 13:54:42,123+01:00`, `2026/11/24 13:54:42 UTC`.
pub(crate) fn iso(text: &[u8]) -> Parsed {
    let separator = *text.get(4)?;
    if !matches!(separator, b'-' | b'/') || text.get(7) != Some(&separator) {
        return None;
    }
    if !matches!(text.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let days = days(
        number(text, 0, 4)?,
        number(text, 5, 2)?,
        number(text, 8, 2)?,
    )?;
    let (of_day, mut at) = clock(text, 11)?;
    let mut time = i64::try_from(days * 86_400 * NANOS + of_day).ok()?;
    match text.get(at) {
        Some(b'Z' | b'z') => at += 1,
        Some(sign @ (b'+' | b'-')) => {
            if let Some((offset, taken)) = zone(&text[at + 1..]) {
                time += if *sign == b'+' { -offset } else { offset };
                at += 1 + taken;
            }
        }
        Some(b' ') if text[at..].starts_with(b" UTC") => at += 4,
        _ => {}
    }
    Some((u64::try_from(time).ok()?, at))
}

/// `Nov 24 13:54:42`, as RFC 3164 has it, the day with a space or a zero before it.
pub(crate) fn bsd(text: &[u8]) -> Parsed {
    let month = month(text.get(..3)?)?;
    let day = match (*text.get(4)?, *text.get(5)?) {
        (b' ', digit @ b'0'..=b'9') => u64::from(digit - b'0'),
        _ => number(text, 4, 2)?,
    };
    if text[3] != b' ' || text.get(6) != Some(&b' ') {
        return None;
    }
    let (of_day, at) = clock(text, 7)?;
    Some((days(2000, month, day)? * 86_400 * NANOS + of_day, at))
}

/// `24/Nov/2026:13:54:42 +0100`, as in access logs.
pub(crate) fn access(text: &[u8]) -> Parsed {
    if text.get(2) != Some(&b'/') || text.get(6) != Some(&b'/') || text.get(11) != Some(&b':') {
        return None;
    }
    let days = days(
        number(text, 7, 4)?,
        month(&text[3..6])?,
        number(text, 0, 2)?,
    )?;
    let (of_day, mut at) = clock(text, 12)?;
    let mut time = i64::try_from(days * 86_400 * NANOS + of_day).ok()?;
    if let Some([b' ', sign @ (b'+' | b'-')]) = text.get(at..at + 2) {
        let (offset, taken) = zone(&text[at + 2..])?;
        time += if *sign == b'+' { -offset } else { offset };
        at += 2 + taken;
    }
    Some((u64::try_from(time).ok()?, at))
}

/// `24 Nov 2026 14:21:25.068`, as Redis has it.
pub(crate) fn redis(text: &[u8]) -> Parsed {
    if text.get(2) != Some(&b' ') || text.get(6) != Some(&b' ') || text.get(11) != Some(&b' ') {
        return None;
    }
    let days = days(
        number(text, 7, 4)?,
        month(&text[3..6])?,
        number(text, 0, 2)?,
    )?;
    let (of_day, at) = clock(text, 12)?;
    Some((days * 86_400 * NANOS + of_day, at))
}

/// A time since 1970 as `2026-11-24T13:54:42.123Z`.
pub(crate) fn to_iso(since_1970: core::time::Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let millis = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// `13:54:42` with an optional fraction after `.` or `,`: nanoseconds, and where it ends.
fn clock(text: &[u8], at: usize) -> Parsed {
    let [_, _, b':', _, _, b':', _, _] = text.get(at..at + 8)? else {
        return None;
    };
    let (hours, minutes, seconds) = (
        number(text, at, 2)?,
        number(text, at + 3, 2)?,
        number(text, at + 6, 2)?,
    );
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let mut nanos = (hours * 3600 + minutes * 60 + seconds) * NANOS;
    let mut at = at + 8;
    if let (Some(b'.' | b','), Some(b'0'..=b'9')) = (text.get(at), text.get(at + 1)) {
        at += 1;
        let mut unit = NANOS / 10;
        while let Some(digit @ b'0'..=b'9') = text.get(at) {
            nanos += u64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    Some((nanos, at))
}

/// `0100` or `01:00` in nanoseconds, and its length.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let hours = number(text, 0, 2)?;
    let (minutes, taken) = match text.get(2) {
        Some(b':') => (number(text, 3, 2)?, 5),
        _ => (
            number(text, 2, 2).unwrap_or(0),
            if number(text, 2, 2).is_some() { 4 } else { 2 },
        ),
    };
    Some((
        i64::try_from((hours * 3600 + minutes * 60) * NANOS).ok()?,
        taken,
    ))
}

fn number(text: &[u8], at: usize, digits: usize) -> Option<u64> {
    let mut value = 0;
    for byte in text.get(at..at + digits)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value)
}

fn month(name: &[u8]) -> Option<u64> {
    MONTHS
        .iter()
        .zip(1..)
        .find(|(month, _)| month.as_slice() == name)
        .map(|(_, number)| number)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; counts from March, so that the leap
/// day comes last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    (year * 365 + year / 4 - year / 100 + year / 400 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 1_795_528_482; // 2026-11-24 13:54:42 UTC

    #[test]
    fn dates_are_counted() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(1969, 12, 31), None);
        assert_eq!(days(2026, 13, 1), None);
    }

    #[test]
    fn a_time_that_is_printed_is_read_back() {
        for seconds in [0, 951_782_400, 951_868_800, TIME, 4_107_542_399] {
            let text = to_iso(core::time::Duration::from_millis(seconds * 1000 + 7));
            assert_eq!(
                iso(text.as_bytes()),
                Some((seconds * NANOS + 7_000_000, 24)),
                "{text}"
            );
        }
    }

    #[test]
    fn the_forms_agree() {
        for (text, taken) in [
            (&b"2026-11-24T13:54:42Z rest"[..], 20),
            (b"2026/11/24 13:54:42 rest", 19),
            (b"2026-11-24 14:54:42+01:00", 25),
            (b"2026-11-24 12:24:42-0130", 24),
            (b"2026-11-24 13:54:42 UTC [1]", 23),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(iso(text), Some((TIME * NANOS, taken)), "{shown}");
        }
        assert_eq!(
            iso(b"2026-11-24 13:54:42,120"),
            Some((TIME * NANOS + 120_000_000, 23))
        );
        assert_eq!(
            access(b"24/Nov/2026:14:54:42 +0100]"),
            Some((TIME * NANOS, 26))
        );
        assert_eq!(
            redis(b"24 Nov 2026 13:54:42.5 - x"),
            Some((TIME * NANOS + NANOS / 2, 22))
        );
        let (first, second) = (bsd(b"Nov  4 23:59:59 x"), bsd(b"Nov 05 00:00:01 x"));
        assert_eq!(second.unwrap().0 - first.unwrap().0, 2 * NANOS);
    }

    #[test]
    fn other_things_are_no_times() {
        for text in [
            &b""[..],
            b"2026",
            b"2026-11-24",
            b"2026-11-24 25:00:00",
            b"2026-1x-24 13:54:42",
            b"2026-11/24 13:54:42",
            b"2026-00-24 13:54:42",
            b"Nov",
            b"November 5 13:54:42",
            b"0000-01-01 00:00:00",
        ] {
            assert_eq!(iso(text), None);
            assert_eq!(bsd(text), None);
            assert_eq!(access(text), None);
            assert_eq!(redis(text), None);
        }
    }
}

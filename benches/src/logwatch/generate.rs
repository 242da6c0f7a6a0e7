//! A log as a busy machine writes it: always the same for the same number of lines.
//!
//! Two in five lines are from a web server, the others from the system, from an application that
//! writes JSON and from one that writes text. Most repeat a few messages with other numbers; now and
//! then comes one that nothing else resembles.

use std::io::{self, Write};

/// Marsaglia's xorshift: all that is needed is that it looks uneven and is always the same.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, limit: u64) -> u64 {
        let first = self.below(limit);
        self.below(first + 1)
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.skewed(choices.len() as u64);
        choices[usize::try_from(index).unwrap_or_default()]
    }
}

const PATHS: [&str; 12] = [
    "/",
    "/static/app.js",
    "/api/orders/",
    "/api/users/",
    "/login",
    "/search?q=",
    "/static/img/",
    "/api/stock/",
    "/help",
    "/cart/",
    "/checkout/",
    "/favicon.ico",
];
const SERVICES: [&str; 10] = [
    "sshd", "cron", "kernel", "systemd", "dhclient", "postfix", "rsyslogd", "sudo", "ntpd",
    "dockerd",
];
const DEEDS: [&str; 12] = [
    "session opened for user",
    "session closed for user",
    "connection from peer",
    "job started",
    "job finished",
    "lease renewed for",
    "mail queued as",
    "link is up on port",
    "retrying request",
    "watchdog fed by unit",
    "queue length is",
    "clock stepped by",
];
const COMPONENTS: [&str; 8] = [
    "billing",
    "search",
    "cache",
    "ingest",
    "gateway",
    "mailer",
    "scheduler",
    "auth",
];
const EVENTS: [&str; 9] = [
    "request handled",
    "cache miss for key",
    "slow query took",
    "retry of message",
    "connection pool has",
    "token issued to",
    "batch written of",
    "upstream timed out after",
    "shard moved to node",
];
const LEVELS: [&str; 4] = ["INFO", "DEBUG", "WARN", "ERROR"];
const STATUSES: [&str; 6] = ["200", "304", "404", "302", "500", "503"];

/// Writes `lines` lines, about a hundred bytes each.
pub fn write(out: &mut impl Write, lines: u64) -> io::Result<()> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut millis = 0;
    for _ in 0..lines {
        millis += dice.below(4);
        let clock = Clock(millis);
        match dice.below(20) {
            0..8 => access(out, &mut dice, &clock)?,
            8..12 => syslog(out, &mut dice, &clock)?,
            12..15 => json(out, &mut dice, &clock)?,
            _ => text(out, &mut dice, &clock)?,
        }
    }
    Ok(())
}

/// Milliseconds since the first of January.
struct Clock(u64);

impl Clock {
    /// Day of the month (there are 28), hour, minute, second, millisecond.
    fn parts(&self) -> (u64, u64, u64, u64, u64) {
        let seconds = self.0 / 1000;
        let day = seconds / 86_400 % 28 + 1;
        (
            day,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            self.0 % 1000,
        )
    }
}

fn access(out: &mut impl Write, dice: &mut Dice, clock: &Clock) -> io::Result<()> {
    let (day, hour, minute, second, _) = clock.parts();
    let (a, b, size) = (dice.below(250), dice.below(250), dice.skewed(90_000));
    let path = dice.one_of(&PATHS);
    write!(
        out,
        "10.1.{a}.{b} - - [{day:02}/Jan/2026:{hour:02}:{minute:02}:{second:02} +0000] \"GET {path}"
    )?;
    if path.len() > 1 && !path.ends_with(|last: char| last.is_ascii_lowercase()) {
        write!(out, "{}", dice.below(1_000_000))?;
    }
    writeln!(
        out,
        " HTTP/1.1\" {} {size} \"-\" \"Mozilla/5.0\"",
        dice.one_of(&STATUSES)
    )
}

fn syslog(out: &mut impl Write, dice: &mut Dice, clock: &Clock) -> io::Result<()> {
    let (day, hour, minute, second, _) = clock.parts();
    let (service, deed) = (dice.one_of(&SERVICES), dice.one_of(&DEEDS));
    let (pid, number, host) = (dice.below(32_768), dice.below(100_000), dice.below(4));
    write!(
        out,
        "Jan {day:>2} {hour:02}:{minute:02}:{second:02} node-{host} {service}[{pid}]: {deed} {number}"
    )?;
    writeln!(
        out,
        " from 192.168.{}.{} port {}",
        dice.below(9),
        dice.below(250),
        dice.below(65_536)
    )
}

fn json(out: &mut impl Write, dice: &mut Dice, clock: &Clock) -> io::Result<()> {
    let (day, hour, minute, second, millis) = clock.parts();
    let (level, component) = (
        dice.one_of(&LEVELS).to_lowercase(),
        dice.one_of(&COMPONENTS),
    );
    let (event, number, id) = (dice.one_of(&EVENTS), dice.below(10_000), dice.next());
    writeln!(
        out,
        "{{\"time\":\"2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z\",\"level\":\"{level}\",\
         \"component\":\"{component}\",\"msg\":\"{event} {number}\",\"trace\":\"{id:016x}\"}}"
    )
}

fn text(out: &mut impl Write, dice: &mut Dice, clock: &Clock) -> io::Result<()> {
    let (day, hour, minute, second, millis) = clock.parts();
    let (level, component) = (dice.one_of(&LEVELS), dice.one_of(&COMPONENTS));
    write!(
        out,
        "2026-01-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03} {level} {component}: "
    )?;
    if dice.below(2000) == 0 {
        // Letters only, so that nothing masks them.
        let mut word = dice.next();
        let mut letters = [b'a'; 12];
        for letter in &mut letters {
            *letter += u8::try_from(word % 26).unwrap_or_default();
            word /= 26;
        }
        let word = String::from_utf8_lossy(&letters);
        return writeln!(out, "state {word} is not known, going on without it");
    }
    let (event, number, took) = (dice.one_of(&EVENTS), dice.below(10_000), dice.skewed(5_000));
    writeln!(
        out,
        "{event} {number}, request {:08x}, took {took}.{:02} ms",
        dice.next() as u32,
        took % 97
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_the_same_and_about_a_hundred_bytes_a_line() {
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        write(&mut one, 10_000).expect("a vector takes all");
        write(&mut other, 10_000).expect("a vector takes all");
        assert!(one == other);
        assert_eq!(one.iter().filter(|&&byte| byte == b'\n').count(), 10_000);
        assert!((900_000..1_150_000).contains(&one.len()), "{}", one.len());
    }
}

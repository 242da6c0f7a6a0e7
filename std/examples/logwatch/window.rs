//! Which lines are repetitions: bedplate's dedup window, with what is needed to tell about it.
//!
//! The window itself knows keys and times only. Beside it, at the same place, lies the line that
//! passed (its *exemplar*), so that the record of the closed window can show it.

use crate::shape::{Parsed, Severity, Shape};
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Counts, Decision, DedupWindow, Summary};
use core::time::Duration;

/// How much of a line is kept to be shown again.
const EXEMPLAR_BYTES: usize = 512;

/// How long after a line with a time one without is no longer taken for a part of it.
const LONG_AFTER: Duration = Duration::from_secs(1);

/// How many lines go by between two looks for windows that are over.
const POLL_EVERY: u32 = 1024;

/// A dedup window of a capacity chosen at run time.
trait Window: Send {
    fn offer(&mut self, key: u64, now: Instant) -> Decision;
    fn poll(&mut self, now: Instant, sink: &mut dyn FnMut(Summary)) -> Option<Instant>;
    fn flush(&mut self, sink: &mut dyn FnMut(Summary));
    fn counts(&self) -> Counts;
}

impl<const N: usize> Window for DedupWindow<N> {
    fn offer(&mut self, key: u64, now: Instant) -> Decision {
        self.offer(key, now)
    }
    fn poll(&mut self, now: Instant, sink: &mut dyn FnMut(Summary)) -> Option<Instant> {
        self.poll(now, sink)
    }
    fn flush(&mut self, sink: &mut dyn FnMut(Summary)) {
        self.flush(sink);
    }
    fn counts(&self) -> Counts {
        self.counts()
    }
}

fn window(capacity: usize, length: Duration) -> Box<dyn Window> {
    match capacity {
        ..=256 => Box::new(DedupWindow::<256>::new(length)),
        257..=1024 => Box::new(DedupWindow::<1024>::new(length)),
        1025..=4096 => Box::new(DedupWindow::<4096>::new(length)),
        _ => Box::new(DedupWindow::<16384>::new(length)),
    }
}

/// When a line was: its own time as it stands there or, without one, when it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stamp {
    Text { bytes: [u8; 46], length: u8 },
    Arrival(Instant),
}

impl Stamp {
    fn text(text: &[u8]) -> Self {
        let mut bytes = [0; 46];
        let length = text.len().min(bytes.len());
        bytes[..length].copy_from_slice(&text[..length]);
        #[expect(clippy::cast_possible_truncation, reason = "at most 46")]
        Self::Text {
            bytes,
            length: length as u8,
        }
    }
}

/// A line that passed.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) line: u64,
    pub(crate) shape: Shape,
    pub(crate) severity: Severity,
    pub(crate) first: Stamp,
    pub(crate) last: Stamp,
    pub(crate) text: Vec<u8>,
}

/// The repetitions of one source.
pub(crate) struct Repetitions {
    window: Box<dyn Window>,
    exemplars: Vec<Exemplar>,
    clock: LineClock,
    until_poll: u32,
    next_end: Option<Instant>,
}

/// Time as the lines tell it.
///
/// Each shape has a calendar of its own (one without years, another in another zone), which is laid
/// on the source's clock when it first shows: from then on they run side by side. Where a calendar
/// goes back a little, as lines of several programs do, the clock stands still; where it goes back
/// by more than a window, as at the end of summer time, it is laid on anew. So neither holds up a
/// window. Before the first line with a time, the clock is that of arrival.
#[derive(Debug)]
struct LineClock {
    now: Instant,
    window: Duration,
    /// What to add to a shape's time, modulo 2⁶⁴, to get the clock's.
    offsets: [Option<u64>; Shape::COUNT],
    stamp: Stamp,
    /// The last line with a time: what it told, and when it came.
    told: Option<(Instant, Instant)>,
    arrival: Instant,
}

impl Repetitions {
    pub(crate) fn new(capacity: usize, length: Duration, now: Instant) -> Self {
        let nothing = Exemplar {
            line: 0,
            shape: Shape::Plain,
            severity: Severity::Unknown,
            first: Stamp::Arrival(now),
            last: Stamp::Arrival(now),
            text: Vec::new(),
        };
        Self {
            window: window(capacity, length),
            exemplars: vec![nothing; capacity],
            clock: LineClock::new(length, now),
            until_poll: POLL_EVERY,
            next_end: None,
        }
    }

    /// Whether the line passes. `closed` is given the windows that closed meanwhile.
    pub(crate) fn offer(
        &mut self,
        key: u64,
        line: u64,
        text: &[u8],
        parsed: &Parsed<'_>,
        arrival: Instant,
        mut closed: impl FnMut(&Summary, &Exemplar),
    ) -> bool {
        let now = self.clock.advance(parsed, arrival);
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_EVERY;
            if self.next_end.is_none_or(|end| end <= now) {
                self.poll(now, &mut closed);
            }
        }
        match self.window.offer(key, now) {
            // The window's mode lets no repetition pass.
            Decision::Suppress { slot } | Decision::Repeat { slot, .. } => {
                self.exemplars[slot].last = self.clock.stamp;
                false
            }
            Decision::Pass {
                slot,
                closed: summary,
            } => {
                if let Some(summary) = summary {
                    closed(&summary, &self.exemplars[summary.slot]);
                }
                let exemplar = &mut self.exemplars[slot];
                exemplar.line = line;
                exemplar.shape = parsed.shape;
                exemplar.severity = parsed.severity;
                exemplar.first = self.clock.stamp;
                exemplar.last = self.clock.stamp;
                exemplar.text.clear();
                exemplar.text.extend_from_slice(&text[..cut(text)]);
                true
            }
        }
    }

    /// Closes the windows that are over when no line comes.
    pub(crate) fn idle(&mut self, arrival: Instant, mut closed: impl FnMut(&Summary, &Exemplar)) {
        let now = self.clock.idle(arrival);
        self.poll(now, &mut closed);
    }

    /// Closes all windows, in the order of their lines.
    pub(crate) fn flush(&mut self, mut closed: impl FnMut(&Summary, &Exemplar)) {
        let mut summaries = Vec::new();
        self.window.flush(&mut |summary| summaries.push(summary));
        summaries.sort_by_key(|summary| self.exemplars[summary.slot].line);
        for summary in summaries {
            closed(&summary, &self.exemplars[summary.slot]);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.window.counts()
    }

    fn poll(&mut self, now: Instant, closed: &mut impl FnMut(&Summary, &Exemplar)) {
        let exemplars = &self.exemplars;
        let mut sink = |summary: Summary| closed(&summary, &exemplars[summary.slot]);
        self.next_end = self.window.poll(now, &mut sink);
    }
}

/// Where to cut a text for an exemplar: not in the middle of a character.
fn cut(text: &[u8]) -> usize {
    let mut end = text.len().min(EXEMPLAR_BYTES);
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    end
}

impl LineClock {
    fn new(window: Duration, now: Instant) -> Self {
        let offsets = [None; Shape::COUNT];
        let stamp = Stamp::Arrival(now);
        Self {
            now,
            window,
            offsets,
            stamp,
            told: None,
            arrival: now,
        }
    }

    fn advance(&mut self, parsed: &Parsed<'_>, arrival: Instant) -> Instant {
        if let Some((time, text)) = parsed.time {
            self.tell(parsed.shape, time);
            self.stamp = Stamp::text(text);
            self.told = Some((self.now, arrival));
        } else if let Some((told, told_at)) = self.told {
            // It belongs to the line before it, like the lines of a stack trace; unless that came long
            // before.
            let since = arrival.saturating_duration_since(told_at);
            if since >= LONG_AFTER {
                self.now = self.now.max(told.saturating_add(since));
            }
        } else {
            self.now = arrival;
            self.stamp = Stamp::Arrival(arrival);
        }
        self.arrival = arrival;
        self.now
    }

    fn tell(&mut self, shape: Shape, time: u64) {
        let now = self.now.as_nanos();
        let offset = self.offsets[shape as usize].get_or_insert(now.wrapping_sub(time));
        let told = time.wrapping_add(*offset);
        let ahead = told.wrapping_sub(now).cast_signed();
        if ahead >= 0 {
            self.now = Instant::from_nanos(told);
        } else if u128::from(ahead.unsigned_abs()) > self.window.as_nanos() {
            // Another day's log, or one that is read backwards: what was before is over.
            self.now = self.now.saturating_add(self.window);
            *offset = self.now.as_nanos().wrapping_sub(time);
        }
    }

    fn idle(&self, arrival: Instant) -> Instant {
        self.now
            .saturating_add(arrival.saturating_duration_since(self.arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// Offers lines that arrive at the given seconds; what passed, and the closed windows.
    fn run(lines: &[(u64, &str)]) -> (Vec<bool>, Vec<(String, u64)>) {
        let mut repetitions = Repetitions::new(256, Duration::from_secs(10), at(0));
        let (mut passed, mut closed) = (Vec::new(), Vec::new());
        let mut note = |summary: &Summary, exemplar: &Exemplar| {
            let text = String::from_utf8_lossy(&exemplar.text).into_owned();
            closed.push((text, summary.suppressed));
        };
        for (number, (arrival, text)) in (1..).zip(lines) {
            let parsed = shape::parse(text.as_bytes());
            let key = u64::from(parsed.message.first().copied().unwrap_or_default());
            let text = text.as_bytes();
            passed.push(repetitions.offer(key, number, text, &parsed, at(*arrival), &mut note));
        }
        repetitions.flush(&mut note);
        (passed, closed)
    }

    #[test]
    fn lines_with_a_time_are_replayed_in_their_own() {
        let (passed, closed) = run(&[
            (0, "2026-11-24T10:00:00Z a"),
            (0, "2026-11-24T10:00:09Z a"),
            (0, "2026-11-24T10:00:10Z a"),
            (0, "a, a line that belongs to it"),
        ]);
        assert_eq!(passed, [true, false, true, false]);
        assert_eq!(closed[0], ("2026-11-24T10:00:00Z a".to_owned(), 1));
        assert_eq!(closed[1], ("2026-11-24T10:00:10Z a".to_owned(), 1));
    }

    #[test]
    fn lines_without_a_time_count_from_their_arrival() {
        assert_eq!(
            run(&[(0, "a"), (9, "a"), (10, "a"), (11, "b")]).0,
            [true, false, true, true]
        );
    }

    #[test]
    fn a_time_that_goes_back_holds_up_no_window() {
        let (passed, _) = run(&[
            (0, "2026-11-24T10:00:00Z a"),
            (0, "2026-11-24T09:00:00Z a"),
            (0, "2026-11-24T09:00:09Z a"),
            (0, "2026-11-24T09:00:10Z a"),
        ]);
        // What was before the jump is over; from there on the window counts anew.
        assert_eq!(passed, [true, true, false, true]);
    }

    #[test]
    fn a_log_read_backwards_passes_what_it_passes_forwards() {
        let lines = ["10:00:33", "10:00:22", "10:00:11", "10:00:00"]
            .map(|time| format!("2026-11-24T{time}Z a"));
        let backwards: Vec<(u64, &str)> = lines.iter().map(|line| (0, &**line)).collect();
        assert_eq!(run(&backwards).0, [true; 4]);
    }

    #[test]
    fn a_line_without_a_time_long_after_one_with_one_counts_from_its_arrival() {
        let (passed, _) = run(&[
            (0, "2026-11-24T10:00:00Z a"),
            (0, "  at frame"),
            (9, "  at frame"),
            (11, "  at frame"),
        ]);
        assert_eq!(passed, [true, true, false, true]);
    }

    #[test]
    fn an_exemplar_is_not_cut_within_a_character() {
        let text = "é".repeat(EXEMPLAR_BYTES).into_bytes();
        assert!(core::str::from_utf8(&text[1..]).is_err());
        assert!(core::str::from_utf8(&text[..cut(&text)]).is_ok());
        let shifted = format!("x{}", "é".repeat(EXEMPLAR_BYTES)).into_bytes();
        assert!(core::str::from_utf8(&shifted[..cut(&shifted)]).is_ok());
        assert_eq!(cut(b"short"), 5);
    }

    #[test]
    fn lines_out_of_order_do_not_drive_the_clock() {
        let jitter: Vec<(u64, &str)> = (0..20)
            .map(|n| {
                (
                    0,
                    ["2026-11-24T10:00:01Z a", "2026-11-24T10:00:04Z a"][n % 2],
                )
            })
            .collect();
        assert_eq!(run(&jitter).0.iter().filter(|&&passed| passed).count(), 1);
    }

    #[test]
    fn calendars_of_several_shapes_run_side_by_side() {
        let (passed, _) = run(&[
            (0, "2026-11-24T10:00:00Z a"),
            (0, "Nov 24 11:00:00 host a"),
            (0, "2026-11-24T10:00:01Z a"),
            (0, "Nov 24 11:00:09 host a"),
            (0, "2026-11-24T10:00:09Z a"),
            (0, "Nov 24 11:00:10 host a"),
        ]);
        assert_eq!(passed, [true, false, false, false, false, true]);
    }

    #[test]
    fn windows_close_while_no_line_comes() {
        let mut repetitions = Repetitions::new(256, Duration::from_secs(10), at(0));
        let text = b"2026-11-24T10:00:00Z a";
        let parsed = shape::parse(text);
        for line in 1..4 {
            repetitions.offer(1, line, text, &parsed, at(5), |_, _| {
                panic!("nothing closes yet")
            });
        }
        repetitions.idle(at(14), |_, _| panic!("not yet"));
        let mut closed = Vec::new();
        repetitions.idle(at(15), |summary, exemplar| {
            closed.push((summary.suppressed, exemplar.line))
        });
        assert_eq!(closed, [(2, 1)]);
        assert_eq!(repetitions.counts().suppressed, 2);
    }
}

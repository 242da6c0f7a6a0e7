//! Records: their text, their batches, and the one place they are written to.

use crate::shape::Parsed;
use crate::time;
use crate::window::{Exemplar, Stamp};
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Cause, Summary};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A batch is written when it has so many bytes, however young it is.
const BATCH_BYTES: usize = 64 * 1024;

/// Records that are not written yet.
#[derive(Debug)]
pub(crate) struct Batch {
    format: Format,
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<(usize, Kind)>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Line,
    Window,
}

/// How records look.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) json: bool,
    /// The source as it was given on the command line.
    pub(crate) source: String,
    /// What the clock of the system showed when the process's clock was at zero.
    pub(crate) epoch: SystemTime,
}

/// Records that could not be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) lines: u64,
    pub(crate) windows: u64,
}

impl Batch {
    pub(crate) const fn new(format: Format) -> Self {
        Self {
            format,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    /// Adds a line that passed.
    pub(crate) fn line(&mut self, line: u64, restarts: u64, text: &[u8], parsed: &Parsed<'_>) {
        let (out, format) = (&mut self.bytes, &self.format);
        if format.json {
            format.json_head(out, "line", line, restarts);
            field(out, "shape", parsed.shape.name().as_bytes());
            field(out, "severity", parsed.severity.name().as_bytes());
            if let Some((_, time)) = parsed.time {
                field(out, "time", time);
            }
            field(out, "text", text);
            out.extend_from_slice(b"}\n");
        } else {
            format.human_head(out, line, restarts);
            printable(out, text);
            out.push(b'\n');
        }
        self.ends.push((self.bytes.len(), Kind::Line));
    }

    /// Adds a window that closed: how often its line came, and when first and last.
    pub(crate) fn window(&mut self, restarts: u64, summary: &Summary, exemplar: &Exemplar) {
        let (out, format) = (&mut self.bytes, &self.format);
        let count = summary.suppressed + 1;
        if format.json {
            format.json_head(out, "window", exemplar.line, restarts);
            field(out, "shape", exemplar.shape.name().as_bytes());
            field(out, "severity", exemplar.severity.name().as_bytes());
            push(out, format_args!(",\"count\":{count}"));
            field(out, "first", &format.stamp(&exemplar.first));
            field(out, "last", &format.stamp(&exemplar.last));
            if summary.cause == Cause::Evicted {
                out.extend_from_slice(b",\"early\":true");
            }
            field(out, "text", &exemplar.text);
            out.extend_from_slice(b"}\n");
        } else {
            format.human_head(out, exemplar.line, restarts);
            push(out, format_args!("({count} times, "));
            printable(out, &format.stamp(&exemplar.first));
            out.extend_from_slice(b" to ");
            printable(out, &format.stamp(&exemplar.last));
            out.extend_from_slice(b") ");
            printable(out, &exemplar.text);
            out.push(b'\n');
        }
        self.ends.push((self.bytes.len(), Kind::Window));
    }

    /// Writes the batch and empties it, whatever comes of it; says what could not be written.
    pub(crate) fn write_to(&mut self, sink: &Sink) -> Lost {
        let written = if self.bytes.is_empty() {
            0
        } else {
            sink.write(&self.bytes)
        };
        let mut lost = Lost::default();
        for (_, kind) in self.ends.iter().filter(|(end, _)| *end > written) {
            match kind {
                Kind::Line => lost.lines += 1,
                Kind::Window => lost.windows += 1,
            }
        }
        self.bytes.clear();
        self.ends.clear();
        lost
    }
}

impl Format {
    fn json_head(&self, out: &mut Vec<u8>, kind: &str, line: u64, restarts: u64) {
        push(out, format_args!("{{\"type\":\"{kind}\""));
        field(out, "source", self.source.as_bytes());
        push(out, format_args!(",\"line\":{line}"));
        if restarts > 0 {
            push(out, format_args!(",\"restarts\":{restarts}"));
        }
    }

    fn human_head(&self, out: &mut Vec<u8>, line: u64, restarts: u64) {
        printable(out, self.source.as_bytes());
        match restarts {
            0 => push(out, format_args!(":{line}: ")),
            1 => push(out, format_args!(":{line} [1 restart]: ")),
            _ => push(out, format_args!(":{line} [{restarts} restarts]: ")),
        }
    }

    fn stamp(&self, stamp: &Stamp) -> Vec<u8> {
        match stamp {
            Stamp::Text { bytes, length } => bytes[..usize::from(*length)].to_vec(),
            Stamp::Arrival(arrival) => {
                let since = arrival.saturating_duration_since(Instant::ZERO);
                let time = self
                    .epoch
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                time::to_iso(time.saturating_add(since)).into_bytes()
            }
        }
    }
}

/// How long is waited before a full output is tried again.
const PATIENCE: Duration = Duration::from_millis(2);

/// The standard output as it is: what was written was written, and no buffer holds more.
#[cfg(unix)]
pub(crate) fn unbuffered() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd as _;
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(output) => Box::new(std::fs::File::from(output)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// Elsewhere a line may be counted as written and still be in its buffer.
#[cfg(not(unix))]
pub(crate) fn unbuffered() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

/// Text for a terminal, as a string.
pub(crate) fn shown(text: &str) -> String {
    let mut out = Vec::new();
    printable(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Where all sources write to.
pub(crate) struct Sink {
    output: Mutex<Box<dyn Write + Send>>,
    /// Set once nobody reads any more.
    closed: AtomicBool,
    /// Set once something else went wrong.
    failed: AtomicBool,
}

impl Sink {
    pub(crate) fn new(output: impl Write + Send + 'static) -> Self {
        Self {
            output: Mutex::new(Box::new(output)),
            closed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Whether the reader of the output has gone.
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a flag that is only ever set; nothing is read through it.
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether writing failed in another way.
    pub(crate) fn has_failed(&self) -> bool {
        // Relaxed: as in `is_closed`.
        self.failed.load(Ordering::Relaxed)
    }

    /// Writes the last record, unless that would have to wait for a worker that did not stop; whether
    /// all of it was written.
    pub(crate) fn write_last(&self, bytes: &[u8]) -> bool {
        self.output.try_lock().is_ok() && self.write(bytes) == bytes.len()
    }

    /// Writes whole batches, one after the other; how many bytes of this one.
    pub(crate) fn write(&self, bytes: &[u8]) -> usize {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = 0;
        while written < bytes.len() && !self.is_closed() {
            match output.write(&bytes[written..]) {
                Ok(0) => self.note(&io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody else made it non-blocking; its reader is slow.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(PATIENCE);
                }
                Err(error) => self.note(&error),
            }
            if self.has_failed() {
                break;
            }
        }
        if let Err(error) = output.flush() {
            self.note(&error);
        }
        written
    }

    fn note(&self, error: &io::Error) {
        let (flag, what) = match error.kind() {
            io::ErrorKind::BrokenPipe => (&self.closed, "nobody reads the output any more"),
            _ => (&self.failed, "the output cannot be written"),
        };
        // Relaxed: as in `is_closed`.
        if !flag.swap(true, Ordering::Relaxed) {
            tracing::error!("{what}: {error}");
        }
    }
}

fn push(out: &mut Vec<u8>, text: core::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

/// A member of a JSON object; what is not UTF-8 is replaced.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    push(out, format_args!(",\"{name}\":"));
    // A string is always JSON, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, &*String::from_utf8_lossy(value));
}

/// Text for a terminal: what is not UTF-8 is replaced, control characters are shown, not obeyed.
fn printable(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        out.extend_from_slice(text);
        return;
    }
    for c in String::from_utf8_lossy(text).chars() {
        if c.is_control() && c != '\t' {
            push(out, format_args!("{}", c.escape_default()));
        } else {
            push(out, format_args!("{c}"));
        }
    }
}

/// What the clock of the system showed when the process's clock was at zero.
pub(crate) fn epoch() -> SystemTime {
    let since: Duration = bedplate::clock::now().saturating_duration_since(Instant::ZERO);
    SystemTime::now()
        .checked_sub(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;

    fn batch(json: bool) -> Batch {
        let source = "a\"b".to_owned();
        Batch::new(Format {
            json,
            source,
            epoch: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut out = Vec::new();
        printable(&mut out, b"a\x1b[2J\tb\xffc \xc3\xbc");
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u{1b}[2J\tb\u{fffd}c ü");
    }

    #[test]
    fn json_records_are_json() {
        let mut batch = batch(true);
        let text = b"err\xff \"quoted\"";
        batch.line(7, 2, text, &shape::parse(text));
        let value: serde_json::Value = serde_json::from_slice(&batch.bytes).expect("valid");
        assert_eq!(
            (&value["source"], &value["line"]),
            (&"a\"b".into(), &7.into())
        );
        assert_eq!(
            (&value["restarts"], &value["text"]),
            (&2.into(), &"err\u{fffd} \"quoted\"".into())
        );
    }

    #[test]
    fn what_a_closing_pipe_cut_off_is_lost() {
        /// Takes so many bytes, then breaks.
        struct Pipe(usize);
        impl Write for Pipe {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = bytes.len().min(self.0);
                self.0 -= taken;
                if taken == 0 {
                    Err(io::ErrorKind::BrokenPipe.into())
                } else {
                    Ok(taken)
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut batch = batch(false);
        for line in 1..=5 {
            batch.line(line, 0, b"x", &shape::parse(b"x"));
        }
        let record = batch.bytes.len() / 5;
        let sink = Sink::new(Pipe(2 * record + 1));
        assert_eq!(
            batch.write_to(&sink),
            Lost {
                lines: 3,
                windows: 0
            }
        );
        assert!(sink.is_closed() && !sink.has_failed());
        batch.line(6, 0, b"x", &shape::parse(b"x"));
        assert_eq!(
            batch.write_to(&sink),
            Lost {
                lines: 1,
                windows: 0
            }
        );
        assert_eq!(batch.write_to(&sink), Lost::default());
    }
}

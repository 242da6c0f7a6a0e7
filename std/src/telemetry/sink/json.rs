//! One line of JSON for each event.

use crate::sync::Mutex;
use crate::telemetry::{Event, Measurement, Value};
use core::fmt::{self, Write as _};
use std::io;

/// Writes each event to `to` as one line of JSON, at once and in one piece:
///
/// ```json
/// {"event":"order.placed","time":5120043,"measurements":{"count":1},"metadata":{"customer":"Ada"}}
/// ```
///
/// The time is in nanoseconds on the process's [clock](crate::clock); durations are in seconds. A number that is
/// none is `null`. An event that stands for several has a `weight`. Of two values with the same key both are written. Lines are not flushed: give a
/// [`LineWriter`](io::LineWriter) if `to` keeps what is written.
///
/// What `to` does is done under a lock, by which threads that emit wait for each other. If that is slow,
/// [record](crate::telemetry::record) events instead of emitting them.
///
/// ```
/// use bedplate::telemetry::{self, EventName, sink};
/// use std::fs::OpenOptions;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("events.jsonl");
/// let file = OpenOptions::new().create(true).append(true).open(&path)?;
/// telemetry::attach("file", EventName::new("order.placed"), sink::json_lines(file))?;
/// telemetry::emit!("order.placed", { count: 1_u64 });
/// # telemetry::detach("file")?;
/// assert!(std::fs::read_to_string(&path)?.starts_with(r#"{"event":"order.placed","time":"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn json_lines<W>(to: W) -> impl Fn(&Event<'_>) -> io::Result<()> + Send + Sync + 'static
where
    W: io::Write + Send + 'static,
{
    let to = Mutex::new(to);
    move |event| {
        // Before the lock: what is to be shown is a user's code.
        let line = Line(event).to_string();
        to.lock().write_all(line.as_bytes())
    }
}

struct Line<'e>(&'e Event<'e>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        let time = event.time().as_nanos();
        write!(
            f,
            "{{\"event\":\"{}\",\"time\":{time},\"measurements\":{{",
            event.name()
        )?;
        for (index, (key, number)) in event.measurements().iter().enumerate() {
            separate(f, index, key)?;
            match number {
                Measurement::Unsigned(number) => write!(f, "{number}")?,
                Measurement::Signed(number) => write!(f, "{number}")?,
                float => write_float(f, float.as_f64())?,
            }
        }
        f.write_str("},\"metadata\":{")?;
        for (index, (key, value)) in event.metadata().iter().enumerate() {
            separate(f, index, key)?;
            match value {
                Value::Nothing => f.write_str("null")?,
                Value::Bool(value) => write!(f, "{value}")?,
                Value::Unsigned(number) => write!(f, "{number}")?,
                Value::Signed(number) => write!(f, "{number}")?,
                Value::Float(number) => write_float(f, *number)?,
                text => write_text(f, text)?,
            }
        }
        f.write_char('}')?;
        if event.weight() > 1.0 {
            write!(f, ",\"weight\":{}", event.weight())?;
        }
        f.write_str("}\n")
    }
}

fn separate(f: &mut fmt::Formatter<'_>, index: usize, key: &str) -> fmt::Result {
    if index > 0 {
        f.write_char(',')?;
    }
    write_text(f, &key)?;
    f.write_char(':')
}

/// JSON has no infinity.
fn write_float(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_finite() {
        write!(f, "{number}")
    } else {
        f.write_str("null")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &dyn fmt::Display) -> fmt::Result {
    f.write_char('"')?;
    write!(Escaping(f), "{text}")?;
    f.write_char('"')
}

/// Escapes what is written to it.
struct Escaping<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '"' => self.0.write_str("\\\"")?,
                '\\' => self.0.write_str("\\\\")?,
                '\n' => self.0.write_str("\\n")?,
                '\r' => self.0.write_str("\\r")?,
                '\t' => self.0.write_str("\\t")?,
                control if control < ' ' => write!(self.0, "\\u{:04x}", u32::from(control))?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

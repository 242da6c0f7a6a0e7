//! The command line.

use clap::{Parser, builder::PossibleValuesParser, builder::TypedValueParser};
use core::time::Duration;
use std::path::PathBuf;

/// Watches logs: collapses repeated messages and counts them.
///
/// Each FILE is read by a worker thread of its own under a supervisor. Lines that say the same, but
/// for numbers, ids and addresses, are printed once per window; when the window closes, one more
/// record says how often they came, and when first and last. A worker that crashes is restarted and
/// goes on behind the last line it had finished.
#[derive(Parser, Debug)]
#[command(name = "logwatch", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The logs to read, at most 256; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Write records as JSON, one a line, the report last
    #[arg(long)]
    pub(crate) json: bool,

    /// How long a message stays suppressed after it was printed, in seconds
    ///
    /// Counted in the lines' own time where they carry one, so that replaying yesterday's log gives
    /// what watching it would have given; else in the time at which they arrive. 0 prints all.
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) window: Duration,

    /// Write what has been collected at least this often, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0.2",
          value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) interval: Duration,

    /// How many different messages a source keeps apart at a time
    ///
    /// Where there is no room for one more, the window of an older one closes early, which is
    /// counted.
    #[arg(long, value_name = "MESSAGES", default_value = "4096", value_parser = capacity())]
    pub(crate) capacity: usize,

    /// Reject lines longer than this, in bytes
    #[arg(long, value_name = "BYTES", default_value = "65536",
          value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    pub(crate) max_line: u32,

    /// Crash the worker once at each line that contains PATTERN, to see it recover
    #[arg(long, value_name = "PATTERN")]
    pub(crate) inject_crash: Option<String>,

    /// How many restarts a worker may have …
    #[arg(long, value_name = "RESTARTS", default_value = "100",
          value_parser = clap::value_parser!(u32).range(0..=128))]
    pub(crate) restarts: u32,

    /// … within this time, in seconds, before its source is given up
    #[arg(long, value_name = "SECONDS", default_value = "5",
          value_parser = some_seconds, allow_negative_numbers = true)]
    pub(crate) period: Duration,

    /// No progress display
    ///
    /// There is none anyway unless standard error is a terminal and standard output is not.
    #[arg(long)]
    pub(crate) no_progress: bool,

    /// Neither progress nor report, and of the diagnostics only errors
    ///
    /// With --json the report is still the last record.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

const AFTER_HELP: &str = "\
Accounting (for each source, at every moment): read = passed + collapsed + rejected + lost.
  read       lines that were finished
  passed     printed
  collapsed  not printed, but counted in the record of their window
  rejected   longer than --max-line, or crashed the worker twice
  lost       would have been printed, but could not be written

Records go to standard output, report and diagnostics to standard error; with --json the report
is the last record instead.

Exit status:
  0    everything was read
  1    something could not be read or was given up; everything else was
  2    the command line was wrong
  130  interrupted (Ctrl-C); the report is printed all the same
  141  nobody reads standard output any more";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    let time = seconds(text)?;
    if time.is_zero() {
        Err("must be more than nothing".to_owned())
    } else {
        Ok(time)
    }
}

fn capacity() -> impl TypedValueParser<Value = usize> {
    PossibleValuesParser::new(["256", "1024", "4096", "16384"])
        .map(|text| text.parse().unwrap_or(4096))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_and_limits_hold() {
        let args = Args::try_parse_from(["logwatch", "-"]).expect("a source is enough");
        assert_eq!(args.window, Duration::from_secs(60));
        assert_eq!(args.capacity, 4096);
        for wrong in [
            &["logwatch"][..],
            &["logwatch", "-", "--window", "-1"],
            &["logwatch", "-", "--capacity", "5"],
            &["logwatch", "-", "--max-line", "3"],
            &["logwatch", "-", "--restarts", "129"],
            &["logwatch", "-", "--no-such-option"],
        ] {
            assert!(Args::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}

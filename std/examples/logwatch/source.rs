//! Where lines come from: a file or the standard input, opened with a clear word on what is wrong.

use core::fmt;
use core::time::Duration;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

/// How long a read of something that has nothing at the moment waits.
const PATIENCE: Duration = Duration::from_millis(50);

/// How much of a source's first block is looked at to tell text from other things.
const SAMPLE: usize = 8 * 1024;

/// An open source. Reading it never blocks for long: when nothing comes for a moment, it says
/// [`WouldBlock`](io::ErrorKind::WouldBlock).
#[derive(Debug)]
pub(crate) struct Source {
    input: Input,
    /// How many bytes there are to read; unknown for what is no regular file.
    pub(crate) size: Option<u64>,
    /// How long was waited for something to read.
    pub(crate) waited: Duration,
}

#[derive(Debug)]
enum Input {
    File(File),
    Stdin(io::Stdin),
}

/// Why a source cannot be read.
#[derive(Debug)]
pub(crate) enum SourceError {
    /// The system said so.
    Io(io::Error),
    /// It is a directory.
    Directory,
    /// It is no text.
    Binary,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Directory => f.write_str("is a directory"),
            Self::Binary => f.write_str("is not text (compressed or binary data?)"),
        }
    }
}

impl core::error::Error for SourceError {}

impl Source {
    /// Opens a file, or the standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        if path.as_os_str() == "-" {
            if io::stdin().is_terminal() {
                tracing::info!("reading the terminal; end with Ctrl-D");
            }
            return Ok(Self {
                input: Input::Stdin(io::stdin()),
                size: None,
                waited: Duration::ZERO,
            });
        }
        let file = open_without_waiting(path).map_err(SourceError::Io)?;
        let metadata = file.metadata().map_err(SourceError::Io)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory);
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self {
            input: Input::File(file),
            size,
            waited: Duration::ZERO,
        })
    }

    /// Waits a little for something to read; `false` if nothing came.
    #[cfg(unix)]
    fn is_ready(&mut self) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if self.size.is_some() {
            return Ok(true);
        }
        let mut fds = [match &self.input {
            Input::File(file) => PollFd::new(file, PollFlags::IN),
            Input::Stdin(stdin) => PollFd::new(stdin, PollFlags::IN),
        }];
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: PATIENCE.subsec_nanos().into(),
        };
        let begun = bedplate::clock::now();
        let ready = poll(&mut fds, Some(&patience));
        self.waited += bedplate::clock::now().saturating_duration_since(begun);
        Ok(ready? > 0)
    }

    /// Elsewhere a read may block; a worker that is asked to stop meanwhile is abandoned.
    #[cfg(not(unix))]
    fn is_ready(&mut self) -> io::Result<bool> {
        let _ = PATIENCE;
        Ok(true)
    }
}

/// Opens a file; a pipe as well that nobody writes to yet, where this would otherwise block.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_ready()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match &mut self.input {
            Input::File(file) => file.read(buffer),
            Input::Stdin(stdin) => stdin.read(buffer),
        }
    }
}

/// Whether a source that begins like this is a log: not if it has zero bytes, nor if more than
/// three in ten bytes are control characters or no UTF-8. A few bytes of another encoding are.
pub(crate) fn is_text(block: &[u8]) -> bool {
    let sample = &block[..block.len().min(SAMPLE)];
    if memchr::memchr(0, sample).is_some() {
        return false;
    }
    let mut strange = 0;
    let mut chunks = sample.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        // What the block cut off at its end may be the beginning of a character.
        if chunks.peek().is_some() || chunk.invalid().len() > 3 {
            strange += chunk.invalid().len();
        }
        let controls = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x1b');
        strange += chunk.valid().chars().filter(|&c| controls(c)).count();
    }
    strange * 10 <= sample.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_things() {
        assert!(is_text(b""));
        assert!(is_text(b"a line\r\n\tand \x1b[31mcolour\x1b[0m\n"));
        assert!(is_text("Größe überschritten".as_bytes()));
        assert!(
            is_text(b"\xc3"),
            "the first half of a character from a slow writer"
        );
        assert!(is_text(b"Gr\xf6\xdfe \xfcberschritten, in Latin-1"));
        assert!(!is_text(b"\x1f\x8b\x08\x00gzip"));
        assert!(!is_text(&[0x93, 0x01, 0xc3, 0x28, 0x88, 0xff, 0x61, 0x07]));
        assert!(!is_text(b"t\0e\0x\0t\0"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let error = Source::open(directory.path()).unwrap_err();
        assert_eq!(error.to_string(), "is a directory");
        let error = Source::open(&directory.path().join("missing")).unwrap_err();
        assert!(matches!(error, SourceError::Io(_)), "{error}");
    }
}

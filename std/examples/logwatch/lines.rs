//! A line reader in constant memory that forgets a line only when told to.
//!
//! ```text
//!            start                    end
//!              ▼                       ▼
//! buffer  ░░░░░first line⏎second line⏎thi        (░ finished)
//!              └── peek ──┘
//! ```
//!
//! [`LineReader::peek`] shows the current line and can be called again; [`LineReader::finish`] goes
//! on to the next. Whoever crashes in between finds the same line again. A line longer than the
//! limit is skipped as it comes in, counted but never held.

use std::io::{self, ErrorKind, Read};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// What is at the reader's position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peek<'a> {
    /// A line, without its end (`\n` or `\r\n`).
    Line(&'a [u8]),
    /// A line over the limit, and how long it was without its `\n`.
    TooLong(u64),
    /// Something came, but not yet a whole line.
    Partial,
    /// The input has nothing at the moment.
    Idle,
    /// The input has ended.
    End,
}

/// Splits an input into lines of bounded length.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// The unfinished part of the buffer is `start..end`.
    start: usize,
    end: usize,
    /// Up to here no line end was found.
    searched: usize,
    max_line: usize,
    current: Current,
    ended: bool,
    line: u64,
    offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Current {
    /// Not looked at yet.
    Unknown,
    /// A line of so many bytes, which takes so many in the buffer.
    Line { length: usize, taken: usize },
    /// In the middle of a line over the limit; so many bytes of it are gone.
    Skipping { gone: u64 },
    /// A line over the limit has been passed, with its end if it had one.
    Skipped { length: u64, taken: u64 },
}

impl<R: Read> LineReader<R> {
    pub(crate) fn new(input: R, max_line: usize) -> Self {
        Self {
            input,
            buffer: vec![0; max_line + CHUNK],
            start: 0,
            end: 0,
            searched: 0,
            max_line,
            current: Current::Unknown,
            ended: false,
            line: 1,
            offset: 0,
        }
    }

    pub(crate) const fn input(&self) -> &R {
        &self.input
    }

    /// The number of the current line, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// Where the current line begins: how many bytes have been finished.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether all that was read is finished, so that the next look at a line may have to wait.
    pub(crate) const fn is_drained(&self) -> bool {
        self.start == self.end
    }

    /// The first block of the input, to see what kind of thing it is; empty while it has nothing.
    pub(crate) fn first_block(&mut self) -> io::Result<&[u8]> {
        if self.end == 0 && !self.ended {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The current line; the same again until it is finished. Reads once at most, so that a line that
    /// never ends keeps nobody here.
    pub(crate) fn peek(&mut self) -> io::Result<Peek<'_>> {
        let mut has_read = false;
        loop {
            match self.current {
                Current::Line { length, .. } => {
                    return Ok(Peek::Line(&self.buffer[self.start..self.start + length]));
                }
                Current::Skipped { length, .. } => return Ok(Peek::TooLong(length)),
                Current::Unknown | Current::Skipping { .. } => {
                    if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) {
                        self.found(self.searched + at, 1);
                        continue;
                    }
                    self.searched = self.end;
                    if self.ended {
                        if self.start == self.end && self.current == Current::Unknown {
                            return Ok(Peek::End);
                        }
                        self.found(self.end, 0);
                        continue;
                    }
                }
            }
            self.drop_excess();
            if has_read {
                return Ok(Peek::Partial);
            }
            if !self.fill()? {
                return Ok(Peek::Idle);
            }
            has_read = true;
        }
    }

    /// Goes on to the next line. Without a line that was peeked at, it does nothing.
    pub(crate) fn finish(&mut self) {
        let taken = match self.current {
            Current::Line { taken, .. } => {
                self.start += taken;
                taken as u64
            }
            Current::Skipped { taken, .. } => taken,
            Current::Unknown | Current::Skipping { .. } => return,
        };
        self.searched = self.start;
        self.current = Current::Unknown;
        self.line += 1;
        self.offset += taken;
    }

    /// The line ends before `at`, with a line end of `terminator` bytes.
    fn found(&mut self, at: usize, terminator: usize) {
        let in_buffer = at - self.start;
        let gone = match self.current {
            Current::Skipping { gone } => gone,
            _ => 0,
        };
        let carriage_return =
            usize::from(terminator == 1 && self.buffer[self.start..at].ends_with(b"\r"));
        let length = in_buffer - carriage_return;
        if gone == 0 && length <= self.max_line {
            let taken = in_buffer + terminator;
            self.current = Current::Line { length, taken };
        } else {
            let length = gone + in_buffer as u64;
            let taken = length + terminator as u64;
            self.start = at + terminator;
            self.current = Current::Skipped { length, taken };
        }
    }

    /// Forgets the part of a line that is already over the limit.
    fn drop_excess(&mut self) {
        let held = self.end - self.start;
        let gone = match self.current {
            Current::Skipping { gone } => gone,
            // One byte more than the limit may be a carriage return.
            _ if held > self.max_line + 1 => 0,
            _ => return,
        };
        self.current = Current::Skipping {
            gone: gone + held as u64,
        };
        self.start = self.end;
    }

    /// Reads more; `false` if there is nothing at the moment.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            self.searched = self.end;
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces, with a pause before each.
    struct Pieces(Vec<Vec<u8>>, bool);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    /// Lines as text, those over the limit as their length.
    fn read_all(input: impl Read, max_line: usize) -> Vec<String> {
        let mut reader = LineReader::new(input, max_line);
        let mut lines = Vec::new();
        loop {
            match reader.peek().expect("the input does not fail") {
                Peek::Line(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
                Peek::TooLong(length) => lines.push(format!("{length}!")),
                Peek::Idle | Peek::Partial => continue,
                Peek::End => return lines,
            }
            reader.finish();
        }
    }

    #[test]
    fn line_ends_of_all_kinds() {
        assert_eq!(read_all(&b""[..], 8), [""; 0]);
        assert_eq!(read_all(&b"\n"[..], 8), [""]);
        assert_eq!(read_all(&b"a\r\nb\n\nc"[..], 8), ["a", "b", "", "c"]);
        assert_eq!(read_all(&b"a\rb\n\r"[..], 8), ["a\rb", "\r"]);
    }

    #[test]
    fn the_limit_is_exact_wherever_the_pieces_end() {
        let input = b"12345678\r\n123456789\n1234567890123456789012\nend";
        for size in 1..input.len() {
            let pieces = input.chunks(size).map(<[u8]>::to_vec).collect();
            let lines = read_all(Pieces(pieces, false), 8);
            assert_eq!(lines, ["12345678", "9!", "22!", "end"], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_far_over_the_limit_is_counted_and_not_held() {
        let input = io::repeat(b'x').take(10 << 20).chain(&b"\nnext\n"[..]);
        let mut reader = LineReader::new(input, 64);
        while reader.peek().unwrap() == Peek::Partial {}
        assert_eq!(reader.peek().unwrap(), Peek::TooLong(10 << 20));
        let held = reader.buffer.len();
        reader.finish();
        assert_eq!((reader.line(), reader.offset()), (2, (10 << 20) + 1));
        assert_eq!(reader.peek().unwrap(), Peek::Line(b"next"));
        assert_eq!((reader.buffer.len(), held), (64 + CHUNK, 64 + CHUNK));
    }

    #[test]
    fn an_unfinished_line_stays() {
        let mut reader = LineReader::new(&b"one\r\ntwo\n"[..], 64);
        assert_eq!(reader.peek().unwrap(), Peek::Line(b"one"));
        assert_eq!(reader.peek().unwrap(), Peek::Line(b"one"));
        reader.finish();
        reader.finish();
        assert_eq!((reader.line(), reader.offset()), (2, 5));
        assert_eq!(reader.peek().unwrap(), Peek::Line(b"two"));
    }

    #[test]
    fn an_error_of_the_input_is_passed_on() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        assert!(LineReader::new(Broken, 64).peek().is_err());
    }

    /// It once kept the reader from its stop token and its interval.
    #[test]
    fn a_line_without_end_keeps_nobody() {
        let mut reader = LineReader::new(io::repeat(b'x'), 100);
        for _ in 0..50 {
            assert_eq!(reader.peek().unwrap(), Peek::Partial);
        }
    }
}

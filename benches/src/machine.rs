//! A virtual machine that takes samples when it is told to: a script of `benches/beam` on its other end, and one line each
//! way for a sample.
//!
//! A sample is taken again when threads of the virtual machine waited for a processor for more than a
//! tenth of the time, as far as the kernel tells: ours are taken again for the same reason.

use crate::pinned;
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Machine {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
    versions: String,
}

impl Machine {
    /// Starts one with a script, which is told a number; none where Elixir is not installed.
    pub fn start(flags: &str, script: &str, number: usize) -> io::Result<Option<Self>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("beam")
            .join(script);
        let mut command = Command::new("elixir");
        if !flags.is_empty() {
            command.args(["--erl", flags]);
        }
        command.arg(script).arg(number.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let ends = child.stdin.take().zip(child.stdout.take());
        let (told, says) = ends.expect("both were asked for");
        let mut machine = Self {
            child,
            told,
            says: BufReader::new(says),
            versions: String::new(),
        };
        let greeting = machine.hear()?;
        let [elixir, otp] = ["elixir", "otp"].map(|part| greeting[part].as_str().unwrap_or("?"));
        machine.versions = format!("Elixir {elixir} on Erlang/OTP {otp}");
        Ok(Some(machine))
    }

    pub fn versions(&self) -> &str {
        &self.versions
    }

    /// One sample of `what`, in nanoseconds for each operation.
    pub fn sample(&mut self, what: &str) -> io::Result<f64> {
        pinned::least_disturbed(|| {
            let (begun, waited) = (Instant::now(), self.waited());
            let nanoseconds = self.ask(what)?;
            let waited = self.waited().saturating_sub(waited);
            let disturbed = waited.as_secs_f64() / begun.elapsed().as_secs_f64();
            Ok((1.0 - disturbed, nanoseconds))
        })
    }

    fn ask(&mut self, what: &str) -> io::Result<f64> {
        writeln!(self.told, "{what}")?;
        self.told.flush()?;
        let said = self.hear()?;
        match said["ns"].as_f64() {
            Some(nanoseconds) if said["case"] == what => Ok(nanoseconds),
            _ => Err(io::Error::other(format!(
                "asked for {what}, the virtual machine says {said}"
            ))),
        }
    }

    /// How long its threads, together, have been ready to run and were not running.
    fn waited(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let waits = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let told = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            told.split(' ').nth(1)?.parse::<u64>().ok()
        });
        Duration::from_nanos(waits.sum())
    }

    fn hear(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.says.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the virtual machine has ended early"));
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

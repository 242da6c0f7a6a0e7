//! Where things are, and running other programs.

use crate::failure::Failure;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs};

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// A directory for what `purpose` builds, apart from the ordinary builds: its flags differ, and a
/// shared directory would be rebuilt at every change of purpose.
pub(crate) fn target_dir(purpose: &str) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir))
        .join(purpose)
}

/// The integration tests in a directory of the workspace, by name and in order.
pub(crate) fn tests(directory: &str) -> Result<Vec<String>, Failure> {
    let unreadable = |error| Failure::failed(format!("{directory}: {error}"));
    let mut tests = Vec::new();
    for entry in fs::read_dir(root().join(directory)).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_file = path.extension().is_some_and(|extension| extension == "rs");
        let is_directory = path.join("main.rs").is_file();
        tests.extend(stem.filter(|_| is_file || is_directory).map(str::to_owned));
    }
    tests.sort_unstable();
    Ok(tests)
}

/// The tests but those left out, each of which must be there.
pub(crate) fn without(mut tests: Vec<String>, left_out: &[&str]) -> Result<Vec<String>, Failure> {
    for name in left_out {
        let before = tests.len();
        tests.retain(|test| test != name);
        if tests.len() == before {
            return Err(Failure::failed(format!("there is no test `{name}`")));
        }
    }
    Ok(tests)
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs `command`; its exit status may be anything.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus, Failure> {
    println!("$ {}", line(command));
    command
        .status()
        .map_err(|error| unrunnable(command, &error))
}

/// As [`status`], without showing what `command` says.
pub(crate) fn status_quietly(command: &mut Command) -> Result<ExitStatus, Failure> {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| unrunnable(command, &error))
}

/// Runs `command`, which must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = status(command)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "`{}` ended with {status}",
            line(command)
        )))
    }
}

/// Runs `command`, which must succeed; what it says is shown only if it does not.
pub(crate) fn run_heard(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", line(command));
    let output = command
        .output()
        .map_err(|error| unrunnable(command, &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{}{}`{}` ended with {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        line(command),
        output.status
    )))
}

/// What `command`, which must succeed, prints.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| unrunnable(command, &error))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(Failure::failed(format!(
            "{stdout}`{}` ended with {}",
            line(command),
            output.status
        )));
    }
    Ok(stdout)
}

/// The triple of this machine.
pub(crate) fn host() -> Result<String, Failure> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed("`rustc -vV` names no host"))
}

/// Whether a program of this name is found.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The command as one would type it, without the environment.
fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn unrunnable(command: &Command, error: &std::io::Error) -> Failure {
    Failure::failed(format!("`{}` cannot be run: {error}", line(command)))
}

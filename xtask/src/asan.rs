//! AddressSanitizer, with LeakSanitizer in it, over unit and integration tests.
//!
//! The runtime ships with every Linux toolchain; only the flag is reserved for unstable compilers,
//! hence `RUSTC_BOOTSTRAP`. Doc tests are left out: each would be linked on its own.

use crate::failure::Failure;
use crate::shell;
use lexopt::{Arg, Parser, ValueExt};

/// What finds nothing here that others do not, and takes long: an example's many runs over whole logs, and a reading of
/// the sources.
const LEFT_OUT: &[&str] = &["logwatch_golden", "house"];

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    let mut filter = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if filter.is_none() => filter = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let host = shell::host()?;
    let forgotten = shell::root().join("xtask/lsan.supp");
    // The target is named so that build scripts and macros, which are not instrumented, are built
    // apart.
    shell::run(
        shell::cargo()
            .args([
                "test",
                "--workspace",
                "--exclude=xtask",
                "--lib",
                "--example=logwatch",
            ])
            .args(tests()?)
            .args(["--target", &host, "--target-dir"])
            .arg(shell::target_dir("asan"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address")
            // Property tests have tried as many as usual without.
            .env("BEDPLATE_FEWER_CASES", "1")
            .env(
                "LSAN_OPTIONS",
                format!("print_suppressions=0:suppressions={}", forgotten.display()),
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .arg("--")
            // Its variables are not on the thread's stack, whose growth is looked at.
            .args(["--skip", "the_stack_does_not_grow"])
            .args(filter),
    )
}

/// An argument for each integration test to be built.
fn tests() -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for directory in ["core/tests", "std/tests", "loom-tests/tests"] {
        all.extend(shell::tests(directory)?);
    }
    let run = shell::without(all, LEFT_OUT)?.into_iter();
    Ok(run.map(|test| format!("--test={test}")).collect())
}

//! ThreadSanitizer over the tests that run threads against core. Unit tests run none; the others of `loom-tests` are
//! sequential, or explored by loom. The facade forbids itself unsafe code, so it cannot race: of its tests those are
//! run that use what core has in the ways its own do not.
//!
//! Lanes are compared one by one (`bedplate_one_by_one`), since it sees nothing of assembly.
//!
//! It understands only what was compiled for it, the standard library included: against the shipped
//! one it reports races that are none. So Debian's Rust builds std along, and the runtime, which
//! Debian does not ship for Rust, comes from the compiler in use.

use crate::failure::Failure;
use crate::shell;
use crate::toolchain::Toolchain;
use lexopt::{Arg, Parser, ValueExt};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sequential.
const LEFT_OUT_OF_CORE: &[&str] = &["registry_bad_input"];

/// Where many threads of the facade meet in one of core's structures.
const OF_FACADE: &[&str] = &[
    "dispatch_in_parallel",
    "names_are_free_before_death_is_known",
    "registry_changes",
    "registry_conformance",
    "requests_race",
    "soak_crashing_children",
    "span_conformance",
    "telemetry_batches",
    "telemetry_comes_back",
    "telemetry_conformance",
    "threads_are_reused",
];

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    let mut filter = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if filter.is_none() => filter = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let toolchain = Toolchain::debian().map_err(Failure::missing)?;
    let host = shell::host()?;
    let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let of_host = Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}"));
    // The runtime is linked whole and before the objects, since it takes the place of functions of
    // the C library.
    let flags = format!(
        "--cfg bedplate_one_by_one -Zsanitizer=thread -Zexternal-clangrt \
         -Zpre-link-arg=-Wl,--whole-archive -Zpre-link-arg={} -Zpre-link-arg=-Wl,--no-whole-archive \
         -Zpre-link-arg=-lm -Zpre-link-arg=-ldl -Zpre-link-arg=-lpthread -Zpre-link-arg=-lrt \
         -Zpre-link-arg=-lresolv{}",
        runtime(&of_host.join("lib"))?.display(),
        faster_linker(&of_host.join("bin/gcc-ld")),
    );
    shell::run(
        toolchain
            .cargo("test", "std")
            .args(["--package", "bedplate-core", "--package", "bedplate"])
            .args(["--package", "loom-tests"])
            .args(tests()?)
            .args(["--target", &host, "--target-dir"])
            .arg(shell::target_dir("tsan"))
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("TSAN_OPTIONS", "halt_on_error=1 exitcode=66")
            // `core/tests/registry_churn.rs` goes on for a minute.
            .env("BEDPLATE_CHURN_SECONDS", "60")
            .arg("--")
            // Its interrupts come in the middle of the sanitizer, which is not made for that.
            .args(["--skip", "at_every_instruction"])
            .args(filter),
    )
}

/// An argument for each test to be built.
fn tests() -> Result<Vec<String>, Failure> {
    let core = shell::without(shell::tests("core/tests")?, LEFT_OUT_OF_CORE)?;
    // As an error if one is not there.
    shell::without(shell::tests("std/tests")?, OF_FACADE)?;
    let facade = OF_FACADE.iter().map(|test| (*test).to_owned());
    let models = shell::tests("loom-tests/tests")?;
    let models = models.into_iter().filter(|test| runs_threads(test));
    let run = core.into_iter().chain(facade).chain(models);
    Ok(run.map(|test| format!("--test={test}")).collect())
}

/// Whether a test of `loom-tests` runs threads for long enough to find anything.
fn runs_threads(test: &str) -> bool {
    test.starts_with("linearizable_")
}

/// Flags for the linker in `dir`, if it is there: it takes a third of the time of GNU's, a hundred times.
fn faster_linker(dir: &Path) -> String {
    if dir.join("ld.lld").is_file() {
        format!(" -Clink-arg=-fuse-ld=lld -Clink-arg=-B{}", dir.display())
    } else {
        String::new()
    }
}

/// The sanitizer's runtime, whose file name holds the name of the release channel.
fn runtime(dir: &Path) -> Result<PathBuf, Failure> {
    let is_runtime = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("librustc") && name.ends_with("_rt.tsan.a"))
    };
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| is_runtime(path))
        .ok_or_else(|| {
            Failure::missing(format!(
                "{} holds no ThreadSanitizer runtime (librustc-*_rt.tsan.a); \
                 a toolchain installed by rustup on Linux has it",
                dir.display()
            ))
        })
}

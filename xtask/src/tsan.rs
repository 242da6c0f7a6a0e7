//! ThreadSanitizer over unit and integration tests.
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
    let runtime = runtime(&Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}/lib")))?;
    // The runtime is linked whole and before the objects, since it takes the place of functions of
    // the C library.
    let flags = format!(
        "-Zsanitizer=thread -Zexternal-clangrt \
         -Zpre-link-arg=-Wl,--whole-archive -Zpre-link-arg={} -Zpre-link-arg=-Wl,--no-whole-archive \
         -Zpre-link-arg=-Wl,--export-dynamic -Zpre-link-arg=-lm -Zpre-link-arg=-ldl \
         -Zpre-link-arg=-lpthread -Zpre-link-arg=-lrt -Zpre-link-arg=-lresolv",
        runtime.display()
    );
    shell::run(
        toolchain
            .cargo("test", "std")
            .args(["--workspace", "--exclude=xtask", "--lib", "--tests"])
            .args(["--target", &host, "--target-dir"])
            .arg(shell::target_dir("tsan"))
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("TSAN_OPTIONS", "halt_on_error=1 exitcode=66")
            // `core/tests/registry_churn.rs` goes on for a minute.
            .env("BEDPLATE_CHURN_SECONDS", "60")
            // It reads the tree, takes ten times as long here, and has one thread.
            .args(["--", "--skip=the_house_is_in_order"])
            .args(filter),
    )
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

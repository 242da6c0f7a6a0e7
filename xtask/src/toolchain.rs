//! A Rust that can build for targets whose standard library was not shipped with it.
//!
//! Either the compiler in use has the targets (`rustup target add`), or, where rustup may not
//! fetch anything, Debian's Rust builds the standard library along from Debian's own sources. The
//! two cannot be mixed: the sources fit exactly one compiler version.

use crate::failure::Failure;
use crate::shell;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTDOC: &str = "/usr/bin/rustdoc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library";

/// How to install Debian's Rust; the security suite of bookworm has a recent enough one.
pub(crate) const GET_DEBIAN_RUST: &str =
    "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src";

/// A compiler together with a way to have a standard library.
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// The compiler in use, with the standard libraries it has installed.
    InUse,
    /// Debian's, building the standard library along; with the search path that has a linker.
    Debian { path: OsString },
}

impl Toolchain {
    /// A toolchain for all of `targets`, or a line on what to install.
    pub(crate) fn for_targets(targets: &[&str]) -> Result<Self, Failure> {
        if targets.iter().all(|target| has_standard_library(target)) {
            return Ok(Self::InUse);
        }
        Self::debian().map_err(|missing| {
            Failure::missing(format!(
                "{missing}\n  or, with rustup:  rustup target add {}",
                targets.join(" ")
            ))
        })
    }

    /// Debian's toolchain, or what of it is missing.
    pub(crate) fn debian() -> Result<Self, String> {
        for (part, package) in [
            (DEBIAN_RUSTC, "rustc-web"),
            (DEBIAN_CARGO, "cargo-web"),
            (DEBIAN_SOURCES, "rust-web-src"),
        ] {
            if !Path::new(part).exists() {
                return Err(format!(
                    "there is no {part} (package {package})\n  on Debian:  {GET_DEBIAN_RUST}"
                ));
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let dirs = linker_dir().into_iter().chain(env::split_paths(&path));
        let path = env::join_paths(dirs).map_err(|error| error.to_string())?;
        Ok(Self::Debian { path })
    }

    /// `cargo SUBCOMMAND` for the parts `std` of the standard library.
    pub(crate) fn cargo(&self, subcommand: &str, std: &str) -> Command {
        match self {
            Self::InUse => {
                let mut command = shell::cargo();
                command.arg(subcommand);
                command
            }
            Self::Debian { path } => {
                let mut command = Command::new(DEBIAN_CARGO);
                command
                    .current_dir(shell::root())
                    .arg(subcommand)
                    .arg(format!("-Zbuild-std={std}"))
                    .env("PATH", path)
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTDOC", DEBIAN_RUSTDOC)
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }
}

/// Whether the compiler in use has the standard library of `target`.
fn has_standard_library(target: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]);
    shell::output(&mut rustc).is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

/// Where the compiler in use keeps `rust-lld`, which Debian does not ship.
fn linker_dir() -> Option<PathBuf> {
    let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"])).ok()?;
    let host = shell::host().ok()?;
    let dir = PathBuf::from(sysroot.trim()).join(format!("lib/rustlib/{host}/bin"));
    dir.join("rust-lld").is_file().then_some(dir)
}

//! Bare metal: core compiles for every kind of target, and the firmware proofs hold under QEMU.

use crate::failure::Failure;
use crate::shell;
use crate::toolchain::Toolchain;
use lexopt::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets and features with which core must compile: with and without a native compare-and-swap,
/// with and without an allocator.
const BUILDS: &[(&str, &str)] = &[
    ("thumbv6m-none-eabi", ""),
    ("thumbv6m-none-eabi", "critical-section"),
    ("thumbv6m-none-eabi", "alloc"),
    ("thumbv7m-none-eabi", "alloc,critical-section"),
    ("riscv32imac-unknown-none-elf", "alloc"),
];

/// What must not be compiled where there is no native compare-and-swap.
const NEEDS_CAS: &[&str] = &["crossbeam-epoch", "spin"];
const WITHOUT_CAS: &str = "thumbv6m-none-eabi";

const FIRMWARE_TARGET: &str = "thumbv7m-none-eabi";
/// The exit status of a firmware that panicked, as its `report` module has it.
const PANICKED: i32 = 1;

/// Programs the proofs need, and Debian's package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-arm", "qemu-system-arm"),
    ("nm", "binutils"),
    ("timeout", "coreutils"),
];

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let toolchain = find_tools()?;
    without_cas_nothing_needs_it()?;
    for (target, features) in BUILDS {
        let mut build = toolchain.cargo("build", "core,alloc");
        shell::run(settings(&mut build).args([
            "--package",
            "bedplate-core",
            "--target",
            target,
            "--features",
            features,
        ]))?;
    }
    let proofs = proofs()?;
    for proof in &proofs {
        holds(&toolchain, proof)?;
        statics_cost_no_flash(proof)?;
        planted_failure_is_noticed(&toolchain, proof)?;
    }
    println!(
        "embedded: {} builds of core and {} firmware proofs hold",
        BUILDS.len(),
        proofs.len()
    );
    Ok(())
}

/// The toolchain, or everything that is missing at once.
fn find_tools() -> Result<Toolchain, Failure> {
    let mut missing = Vec::new();
    for (program, package) in PROGRAMS {
        if !shell::is_installed(program) {
            missing.push(format!(
                "there is no {program}\n  on Debian:  apt-get install --no-install-recommends {package}"
            ));
        }
    }
    let mut targets: Vec<&str> = BUILDS.iter().map(|(target, _)| *target).collect();
    targets.dedup();
    match Toolchain::for_targets(&targets) {
        Ok(toolchain) if missing.is_empty() => Ok(toolchain),
        Ok(_) => Err(Failure::missing(missing.join("\n"))),
        Err(failure) => {
            missing.push(failure.message);
            Err(Failure::missing(missing.join("\n")))
        }
    }
}

/// What all builds have in common; that way the standard library is built once per target.
fn settings(command: &mut Command) -> &mut Command {
    command
        .args(["--release", "--target-dir"])
        .arg(shell::target_dir("embedded"))
        .env("RUSTFLAGS", "-Dwarnings")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
}

fn without_cas_nothing_needs_it() -> Result<(), Failure> {
    let tree = shell::output(shell::cargo().args([
        "tree",
        "--package=bedplate-core",
        "--all-features",
        "--edges=normal",
        "--prefix=none",
        "--target",
        WITHOUT_CAS,
    ]))?;
    for line in tree.lines() {
        let package = line.split(' ').next().unwrap_or_default();
        if NEEDS_CAS.contains(&package) {
            return Err(Failure::failed(format!(
                "{package} is compiled for {WITHOUT_CAS}, which has no compare-and-swap"
            )));
        }
    }
    Ok(())
}

/// The names of the firmware binaries.
fn proofs() -> Result<Vec<String>, Failure> {
    let dir = firmware_dir().join("src/bin");
    let entries = fs::read_dir(&dir)
        .map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
    let mut proofs: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            is_source.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    proofs.sort();
    if proofs.is_empty() {
        return Err(Failure::failed(format!("no proof in {}", dir.display())));
    }
    Ok(proofs)
}

/// The runner in the firmware's `.cargo/config.toml` makes `cargo run` end as the firmware did.
fn firmware(toolchain: &Toolchain, subcommand: &str, proof: &str) -> Command {
    let mut command = toolchain.cargo(subcommand, "core,alloc");
    settings(&mut command)
        .args(["--target", FIRMWARE_TARGET, "--bin", proof])
        .current_dir(firmware_dir());
    command
}

fn holds(toolchain: &Toolchain, proof: &str) -> Result<(), Failure> {
    shell::run(&mut firmware(toolchain, "run", proof))
}

/// Rings and registries are all zero and lie in `.bss`; in `.data` a static's image would take as
/// much flash as RAM.
fn statics_cost_no_flash(proof: &str) -> Result<(), Failure> {
    let elf = shell::target_dir("embedded")
        .join(FIRMWARE_TARGET)
        .join("release")
        .join(proof);
    let symbols = shell::output(Command::new("nm").arg("--demangle").arg(&elf))?;
    let prefix = format!("{proof}::");
    if let Some(name) = in_section(&symbols, &prefix, "dD").next() {
        return Err(Failure::failed(format!(
            "{name} lies in .data instead of .bss"
        )));
    }
    let names: Vec<&str> = in_section(&symbols, &prefix, "bB").collect();
    if names.is_empty() {
        return Err(Failure::failed(format!(
            "{} has no statics in .bss",
            elf.display()
        )));
    }
    println!("in .bss: {}", names.join(", "));
    Ok(())
}

/// The symbols that begin with `prefix` and whose section has one of the `letters` nm prints.
fn in_section<'s>(symbols: &'s str, prefix: &str, letters: &str) -> impl Iterator<Item = &'s str> {
    symbols.lines().filter_map(move |line| {
        let mut columns = line.splitn(3, ' ');
        let (_address, section, symbol) = (columns.next()?, columns.next()?, columns.next()?);
        (letters.contains(section) && symbol.starts_with(prefix)).then_some(symbol)
    })
}

/// Builds the proof with one fact wrong; the run must end as a panic does, and not otherwise.
fn planted_failure_is_noticed(toolchain: &Toolchain, proof: &str) -> Result<(), Failure> {
    let planted = ["--features", "planted-failure"];
    shell::run(firmware(toolchain, "build", proof).args(planted))?;
    let status = shell::status(firmware(toolchain, "run", proof).args(planted))?;
    if status.code() == Some(PANICKED) {
        println!("{proof}: the planted failure was noticed, as it should be");
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "{proof} with a planted failure ended with {status} instead of {PANICKED}"
        )))
    }
}

fn firmware_dir() -> PathBuf {
    shell::root().join(Path::new("core/firmware"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nm_is_read_to_the_letter() {
        let symbols = "20000000 B __sbss\n20000040 b skeleton::SHARD\n000004c0 T main\n\
                       20000080 d skeleton::TABLE\n000004c0 t skeleton::main\n";
        let of = |letters| in_section(symbols, "skeleton::", letters).collect::<Vec<_>>();
        assert_eq!(of("bB"), ["skeleton::SHARD"]);
        assert_eq!(of("dD"), ["skeleton::TABLE"]);
    }
}

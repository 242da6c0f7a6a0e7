//! Bare metal: core compiles for every kind of target, the firmware proofs hold under QEMU, and figures of
//! what it costs are taken there.

mod elf;
mod figures;
mod machines;
mod sizes;

use crate::failure::Failure;
use crate::shell;
use crate::toolchain::Toolchain;
use figures::Figures;
use lexopt::Parser;
use machines::{MACHINES, Machine, Run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets and features with which core must compile, beside those the proofs use: alone, and with one
/// feature without the other.
const BUILDS: &[(&str, &str)] = &[
    ("thumbv6m-none-eabi", ""),
    ("thumbv6m-none-eabi", "alloc"),
    ("thumbv7m-none-eabi", ""),
    ("thumbv7m-none-eabi", "alloc"),
    ("riscv32imac-unknown-none-elf", "alloc"),
];

/// What must not be compiled where there is no native compare-and-swap.
const NEEDS_CAS: &[&str] = &["crossbeam-epoch", "spin"];
const WITHOUT_CAS: &str = "thumbv6m-none-eabi";

/// The exit status of a firmware that panicked.
const PANICKED: i32 = 1;

/// Programs the proofs need, and Debian's package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-arm", "qemu-system-arm"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-riscv32", "qemu-system-misc"),
    ("timeout", "coreutils"),
];

/// What an author would start from: each a package in `core/firmware/examples/`, for a Cortex-M3.
const EXAMPLES: &[&str] = &["embassy", "interrupts"];
const EXAMPLE_TARGET: &str = "thumbv7m-none-eabi";

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let toolchain = find_tools()?;
    without_cas_nothing_needs_it()?;
    every_proof_is_run()?;
    for (target, features) in BUILDS {
        let mut build = toolchain.cargo("build", "core,alloc");
        shell::run(settings(&mut build).args([
            "--package=bedplate-core",
            "--target",
            target,
            "--features",
            features,
        ]))?;
    }
    let mut figures = Figures::default();
    let mut runs = 0;
    for machine in MACHINES {
        build(&toolchain, machine)?;
        for run in machine.runs {
            holds(machine, run, &mut figures)?;
            runs += 1;
        }
        if machine.proofs().contains(&"skeleton") {
            statics_cost_no_flash(machine)?;
        }
    }
    for example in EXAMPLES {
        example_ends_well(&toolchain, example)?;
    }
    let sizes = sizes::measure(&toolchain)?;
    let report = format!("{figures}\n{sizes}");
    println!("\n{report}");
    let path = shell::target_dir("embedded").join("figures.md");
    fs::write(&path, report)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    println!(
        "embedded: {} builds of core and {runs} firmware proofs hold; the figures are in {}",
        BUILDS.len(),
        path.display()
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
    let mut targets: Vec<&str> = MACHINES.iter().map(|machine| machine.target).collect();
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

/// What all builds have in common, the release profile of the firmware included; that way the standard library
/// is built once for each target.
fn settings(command: &mut Command) -> &mut Command {
    command
        .args(["--quiet", "--release", "--target-dir"])
        .arg(shell::target_dir("embedded"))
        .env("RUSTFLAGS", "-Dwarnings")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
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

/// A proof that no machine runs would prove nothing.
fn every_proof_is_run() -> Result<(), Failure> {
    let dir = firmware_dir().join("src/bin");
    let entries = fs::read_dir(&dir)
        .map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
    for entry in entries {
        let path = entry
            .map_err(|error| Failure::failed(error.to_string()))?
            .path();
        let name = path.file_stem().unwrap_or_default();
        let is_run = |machine: &Machine| machine.runs.iter().any(|run| name == run.proof);
        if !MACHINES.iter().any(is_run) {
            return Err(Failure::failed(format!(
                "no machine runs {}: add it to xtask/src/embedded/machines.rs",
                path.display()
            )));
        }
    }
    Ok(())
}

fn firmware(toolchain: &Toolchain, target: &str, package: &str) -> Command {
    let mut command = toolchain.cargo("build", "core,alloc");
    settings(&mut command)
        .args(["--target", target, "--package", package])
        .current_dir(firmware_dir());
    command
}

fn build(toolchain: &Toolchain, machine: &Machine) -> Result<(), Failure> {
    let mut command = firmware(toolchain, machine.target, "bedplate-firmware");
    for proof in machine.proofs() {
        command.args(["--bin", proof]);
    }
    shell::run(&mut command)
}

/// Where the program `name` for `target` is.
fn image(target: &str, name: &str) -> PathBuf {
    let dir = shell::target_dir("embedded");
    dir.join(target).join("release").join(name)
}

/// The proof holds, repeats where it should, and notices when one fact is wrong.
fn holds(machine: &Machine, run: &Run, figures: &mut Figures) -> Result<(), Failure> {
    let title = format!("{} on {}", run.title(), machine.name);
    println!("== {title}");
    let mut command = machine.command(run, &[]);
    let output = shell::output(&mut command)?;
    for line in output.lines().filter(|line| !line.starts_with("figure: ")) {
        println!("{line}");
    }
    if run.is_repeatable() && shell::output(&mut command)? != output {
        return Err(Failure::failed(format!("{title} did not repeat")));
    }
    figures.read(machine.name, &output);
    let planted = shell::status_quietly(&mut machine.command(run, &["planted-failure"]))?;
    if planted.code() == Some(PANICKED) {
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "{title} with a planted failure ended with {planted} instead of {PANICKED}"
        )))
    }
}

/// Rings and registries are all zero and lie in `.bss`; in `.data` a static's image would take as
/// much flash as RAM. Dedup windows are not: they know their length. Nor are the sides of `sweep`.
fn statics_cost_no_flash(machine: &Machine) -> Result<(), Failure> {
    for proof in machine
        .proofs()
        .into_iter()
        .filter(|&proof| proof != "sweep")
    {
        let program = elf::Program::read(&image(machine.target, proof))?;
        for name in program.statics_in(".data", proof) {
            if !["WINDOW", "MAIN", "HANDLER"]
                .iter()
                .any(|of| name.contains(of))
            {
                return Err(Failure::failed(format!(
                    "{name} of {proof} lies in .data instead of .bss"
                )));
            }
        }
    }
    let skeleton = elf::Program::read(&image(machine.target, "skeleton"))?;
    if skeleton.statics_in(".bss", "skeleton").is_empty() {
        return Err(Failure::failed(format!(
            "the skeleton for {} has no ring in .bss",
            machine.target
        )));
    }
    Ok(())
}

/// Builds an example, and runs it to its end.
fn example_ends_well(toolchain: &Toolchain, example: &str) -> Result<(), Failure> {
    let name = format!("example-{example}");
    shell::run(&mut firmware(toolchain, EXAMPLE_TARGET, &name))?;
    println!("== {name}");
    let output = shell::output(&mut machines::example(&image(EXAMPLE_TARGET, &name)))?;
    print!("{output}");
    Ok(())
}

fn firmware_dir() -> PathBuf {
    shell::root().join(Path::new("core/firmware"))
}

//! The machines QEMU emulates, and what is run on each.

use std::path::Path;
use std::process::Command;

/// A target, and a machine that runs its programs.
pub(super) struct Machine {
    pub(super) name: &'static str,
    pub(super) target: &'static str,
    emulator: &'static str,
    arguments: &'static [&'static str],
    pub(super) runs: &'static [Run],
}

/// A proof, and how time passes while it runs.
pub(super) struct Run {
    pub(super) proof: &'static str,
    time: Time,
}

/// What drives the machine's clock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    /// Each instruction takes two to the power of so many nanoseconds; cores take turns. Repeats to the instruction.
    Instructions(u32),
    /// The host's; cores run at once.
    Host,
}

impl Run {
    const fn counted(proof: &'static str, shift: u32) -> Self {
        Self {
            proof,
            time: Time::Instructions(shift),
        }
    }

    const fn at_once(proof: &'static str) -> Self {
        Self {
            proof,
            time: Time::Host,
        }
    }

    pub(super) fn title(&self) -> String {
        match self.time {
            Time::Instructions(_) => self.proof.to_owned(),
            Time::Host => format!("{}, cores at once,", self.proof),
        }
    }

    /// Whether a second run is to say the same: where figures are taken, and where cores take turns.
    pub(super) fn is_repeatable(&self) -> bool {
        self.time != Time::Host && ["costs", "smp"].contains(&self.proof)
    }
}

/// An instruction takes 32 ns: enough of them between two interrupts.
const ORDINARY: u32 = 5;
/// An instruction takes a microsecond, so that every timer can tell it from another.
const MEASURED: u32 = 10;

const CORTEX_M: &[Run] = &[
    Run::counted("skeleton", ORDINARY),
    Run::counted("nested", ORDINARY),
    Run::counted("tasks", ORDINARY),
    Run::counted("supervisor", ORDINARY),
    Run::counted("epoch", ORDINARY),
    // SysTick counts 40 ns, an instruction takes 64.
    Run::counted("sweep", 6),
    Run::counted("costs", MEASURED),
];

pub(super) const MACHINES: &[Machine] = &[
    Machine {
        name: "Cortex-M0",
        target: "thumbv6m-none-eabi",
        emulator: "qemu-system-arm",
        arguments: &["-machine", "microbit", "-serial", "null"],
        runs: &[
            Run::counted("skeleton", ORDINARY),
            Run::counted("nested", ORDINARY),
            Run::counted("tasks", ORDINARY),
            Run::counted("supervisor", ORDINARY),
            // SysTick counts 62.5 ns, an instruction takes 128.
            Run::counted("sweep", 7),
            Run::counted("costs", MEASURED),
        ],
    },
    Machine {
        name: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        emulator: "qemu-system-arm",
        arguments: &["-machine", "mps2-an385", "-serial", "null"],
        runs: CORTEX_M,
    },
    Machine {
        name: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        emulator: "qemu-system-arm",
        arguments: &["-machine", "mps2-an386", "-serial", "null"],
        runs: CORTEX_M,
    },
    Machine {
        name: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        emulator: "qemu-system-riscv32",
        arguments: &[
            "-machine",
            "virt",
            "-cpu",
            "rv32,a=false",
            "-bios",
            "none",
            "-serial",
            "null",
        ],
        runs: &[
            Run::counted("skeleton", ORDINARY),
            Run::counted("nested", ORDINARY),
            Run::counted("tasks", ORDINARY),
            Run::counted("supervisor", ORDINARY),
            // The timer counts 100 ns, an instruction takes 128.
            Run::counted("sweep", 7),
            Run::counted("costs", MEASURED),
        ],
    },
    Machine {
        name: "RV32IMAC",
        target: "riscv32imac-unknown-none-elf",
        emulator: "qemu-system-riscv32",
        arguments: &[
            "-machine", "virt", "-smp", "2", "-bios", "none", "-serial", "null",
        ],
        runs: &[
            // Two harts that are counted hang in QEMU, so nothing is counted here.
            Run::at_once("smp"),
        ],
    },
    Machine {
        name: "RV32IMAC, one hart",
        target: "riscv32imac-unknown-none-elf",
        emulator: "qemu-system-riscv32",
        arguments: &["-machine", "virt", "-bios", "none", "-serial", "null"],
        runs: &[
            Run::counted("skeleton", ORDINARY),
            Run::counted("nested", ORDINARY),
            Run::counted("tasks", ORDINARY),
            Run::counted("supervisor", ORDINARY),
            Run::counted("epoch", ORDINARY),
            Run::counted("sweep", 7),
            Run::counted("costs", MEASURED),
        ],
    },
    Machine {
        name: "AArch64",
        target: "aarch64-unknown-none-softfloat",
        emulator: "qemu-system-aarch64",
        arguments: &[
            "-machine",
            "virt",
            "-cpu",
            "cortex-a53",
            "-m",
            "128",
            "-nic",
            "none",
            "-smp",
            "2",
            "-serial",
            "null",
        ],
        runs: &[
            Run::counted("skeleton", ORDINARY),
            Run::counted("nested", ORDINARY),
            Run::counted("tasks", ORDINARY),
            Run::counted("supervisor", ORDINARY),
            Run::counted("epoch", ORDINARY),
            // The timer counts 16 ns, an instruction takes 32.
            Run::counted("sweep", 5),
            Run::counted("smp", 2),
            Run::at_once("smp"),
        ],
    },
];

impl Machine {
    /// Each once.
    pub(super) fn proofs(&self) -> Vec<&'static str> {
        let mut proofs: Vec<_> = self.runs.iter().map(|run| run.proof).collect();
        proofs.sort_unstable();
        proofs.dedup();
        proofs
    }

    /// Runs a proof; the emulator's exit status is the firmware's.
    pub(super) fn command(&self, run: &Run, arguments: &[&str]) -> Command {
        let image = super::image(self.target, run.proof);
        let mut command = emulator(self.emulator, &image, run.proof, arguments);
        command.args(self.arguments);
        if let Time::Instructions(shift) = run.time {
            command.args(["-icount", &format!("shift={shift},sleep=off")]);
        }
        command
    }
}

/// Runs an example.
pub(super) fn example(image: &Path) -> Command {
    let mut command = emulator("qemu-system-arm", image, "example", &[]);
    command.args([
        "-machine",
        "mps2-an385",
        "-serial",
        "null",
        "-icount",
        "shift=5,sleep=off",
    ]);
    command
}

fn emulator(program: &str, image: &Path, name: &str, arguments: &[&str]) -> Command {
    let mut semihosting = format!("enable=on,target=native,arg={name}");
    for argument in arguments {
        semihosting.push_str(",arg=");
        semihosting.push_str(argument);
    }
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "60", program])
        .args([
            "-nographic",
            "-monitor",
            "none",
            "-semihosting-config",
            &semihosting,
        ])
        .arg("-kernel")
        .arg(image);
    command
}

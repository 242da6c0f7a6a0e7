//! Links for the machine that QEMU emulates for the target.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let get = |name: &str| env::var(name).unwrap_or_default();
    let here = get("CARGO_MANIFEST_DIR");
    match (
        get("CARGO_CFG_TARGET_ARCH").as_str(),
        get("TARGET").as_str(),
    ) {
        // The micro:bit has as little memory as a Cortex-M0 usually has.
        ("arm", "thumbv6m-none-eabi") => cortex_m(16),
        ("arm", _) => cortex_m(64),
        ("riscv32", _) => riscv(),
        ("aarch64", _) => link_with(&format!("{here}/aarch64.ld")),
        // Whoever looks at the package on another machine, as an editor does, links nothing.
        _ => {}
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=aarch64.ld");
}

fn cortex_m(kilobytes: u32) {
    memory(&format!(
        "MEMORY {{
          FLASH : ORIGIN = 0x00000000, LENGTH = 256K
          RAM : ORIGIN = 0x20000000, LENGTH = {kilobytes}K
        }}"
    ));
    link_with("link.x");
}

fn riscv() {
    memory(
        "MEMORY { RAM : ORIGIN = 0x80000000, LENGTH = 2M }
        REGION_ALIAS(\"REGION_TEXT\", RAM);
        REGION_ALIAS(\"REGION_RODATA\", RAM);
        REGION_ALIAS(\"REGION_DATA\", RAM);
        REGION_ALIAS(\"REGION_BSS\", RAM);
        REGION_ALIAS(\"REGION_HEAP\", RAM);
        REGION_ALIAS(\"REGION_STACK\", RAM);
        _max_hart_id = 1;
        _hart_stack_size = 64K;",
    );
    link_with("link.x");
}

fn memory(script: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    fs::write(out.join("memory.x"), script).expect("the output directory can be written");
    println!("cargo:rustc-link-search={}", out.display());
}

fn link_with(script: &str) {
    println!("cargo:rustc-link-arg-bins=-T{script}");
    // No padding to a page between sections: the flash image would carry it.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}

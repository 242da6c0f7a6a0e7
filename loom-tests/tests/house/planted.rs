//! Violations of every rule, each of which must be found where it is; and code that looks like a
//! violation and is none.

use crate::check;
use crate::rules::Rule;
use std::collections::HashSet;

/// A file, and the rule it breaks on a line.
struct Planted {
    path: &'static str,
    text: &'static str,
    rule: Rule,
    line: usize,
}

const fn planted(path: &'static str, text: &'static str, rule: Rule, line: usize) -> Planted {
    Planted {
        path,
        text,
        rule,
        line,
    }
}

const PLANTED: &[Planted] = &[
    planted(
        "core/src/a.rs",
        "\nuse core::sync::atomic::AtomicU8;",
        Rule::CoreDoor,
        2,
    ),
    planted(
        "core/src/a.rs",
        "use core::{fmt,\n cell::{self, Cell}};",
        Rule::CoreDoor,
        2,
    ),
    planted(
        "core/src/a.rs",
        "fn f() { ::core::cell::Cell::new(1); }",
        Rule::CoreDoor,
        1,
    ),
    planted(
        "core/src/a.rs",
        "use portable_atomic::*;",
        Rule::CoreDoor,
        1,
    ),
    planted("core/src/a.rs", "use spin as turn;", Rule::CoreDoor, 1),
    planted(
        "core/src/a.rs",
        "macro_rules! m { () => { critical_section::with(f) } }",
        Rule::CoreDoor,
        1,
    ),
    planted("core/src/a.rs", "extern crate loom;", Rule::CoreDoor, 1),
    planted("std/src/a.rs", "use std::sync::Mutex;", Rule::StdDoor, 1),
    planted(
        "std/src/a.rs",
        "use std::{\n sync::{Arc,\n mpsc}};",
        Rule::StdDoor,
        3,
    ),
    planted("std/src/a.rs", "use std::sync::*;", Rule::StdDoor, 1),
    planted("std/src/a.rs", "use std::sync::{self};", Rule::StdDoor, 1),
    planted(
        "std/src/a.rs",
        "fn f() { std::thread::sleep(d) }",
        Rule::StdDoor,
        1,
    ),
    planted("std/src/a.rs", "use std::thread as t;", Rule::StdDoor, 1),
    planted(
        "std/src/a.rs",
        "use core::sync::atomic::Ordering;",
        Rule::StdDoor,
        1,
    ),
    planted(
        "std/src/a/b.rs",
        "use parking_lot::Mutex;",
        Rule::StdDoor,
        1,
    ),
    planted(
        "core/src/a.rs",
        "\n#[cfg(not(bedplate_loom))] fn f() {}",
        Rule::LoomCfg,
        2,
    ),
    planted(
        "std/src/sync.rs",
        "#[cfg(crossbeam_loom)] fn f() {}",
        Rule::LoomCfg,
        1,
    ),
    planted(
        "core/src/sync/mod.rs",
        "#[cfg(all(test, loom))] fn f() {}",
        Rule::LoomCfg,
        1,
    ),
    planted(
        "loom-tests/src/a.rs",
        "fn f() { if cfg!(loom) {} }",
        Rule::LoomCfg,
        1,
    ),
    planted(
        "core/src/a.rs",
        "fn f() { static COUNT: u8 = 0; }",
        Rule::NoStatic,
        1,
    ),
    planted(
        "core/src/sync/a.rs",
        "\n\nstatic COUNT: u8 = 0;",
        Rule::NoStatic,
        3,
    ),
    planted("core/src/a.rs", "use std::vec::Vec;", Rule::NoStd, 1),
    planted("core/src/a.rs", "thread_local! { }", Rule::NoStd, 1),
    planted(
        "core/src/a.rs",
        "#[cfg(any(test, feature = \"x\"))] extern crate std;",
        Rule::NoStd,
        1,
    ),
    planted(
        "core/src/lib.rs",
        "#![cfg_attr(not(test), no_std)]",
        Rule::NoStd,
        1,
    ),
    planted("core/Cargo.toml", "[features]\nstd = []", Rule::NoStd, 2),
    planted(
        "core/src/a.rs",
        "fn f() { let t = Instant::now(); }",
        Rule::NoClock,
        1,
    ),
    planted(
        "core/src/a.rs",
        "fn f() { x::SystemTime::UNIX_EPOCH; }",
        Rule::NoClock,
        1,
    ),
    planted(
        "core/src/a.rs",
        "fn f() { x.load(Ordering::SeqCst); }",
        Rule::FenceOnly,
        1,
    ),
    planted(
        "std/src/sync.rs",
        "use a::Ordering::SeqCst;",
        Rule::FenceOnly,
        1,
    ),
    planted(
        "loom-tests/tests/a.rs",
        "fn f() { x.swap(1, SeqCst); fence(SeqCst) }",
        Rule::FenceOnly,
        1,
    ),
    planted(
        "std/src/lib.rs",
        "#![warn(missing_docs)]",
        Rule::NoUnsafe,
        1,
    ),
    planted(
        "core/src/a.rs",
        "/// ```ignore\n/// x\n/// ```\nfn f() {}",
        Rule::CompiledDocs,
        1,
    ),
    planted(
        "std/src/a.rs",
        "//! a\n//! ```rust,ignore\n//! ```",
        Rule::CompiledDocs,
        2,
    ),
    planted(
        "std/src/a.rs",
        "/** a\n ``` ignore-wasm32\n ``` */\nfn f() {}",
        Rule::CompiledDocs,
        1,
    ),
    planted(
        "README.md",
        "a\n```rust, ignore\n```",
        Rule::CompiledDocs,
        2,
    ),
    planted(
        "docs/A.md",
        concat!("see /", "work/a"),
        Rule::NoLocalPath,
        1,
    ),
    planted(
        "std/tests/data/a.log",
        concat!("a\nopen(\"/", "home/me/a\")"),
        Rule::NoLocalPath,
        2,
    ),
    planted(
        "core/src/a.rs",
        concat!("// /", "tmp/a\n"),
        Rule::NoLocalPath,
        1,
    ),
    planted(
        "Cargo.toml",
        concat!("# from https://static.crates", ".io/x"),
        Rule::NoRegistryHost,
        1,
    ),
    planted(
        "std/tests/data/a.log",
        concat!("Get:1 http://deb.debian", ".org"),
        Rule::NoRegistryHost,
        1,
    ),
    planted(
        "fuzz/Cargo.lock",
        "\nsource = \"registry+https://mirror.example/\"",
        Rule::NoRegistryHost,
        2,
    ),
];

/// Files that break nothing.
const INNOCENT: &[(&str, &str)] = &[
    // Comments, strings, docs and lifetimes name nothing.
    (
        "core/src/a.rs",
        "// use core::cell::Cell;\n/* static /* x */ SeqCst */ const A: &'static str = \"std::thread\";",
    ),
    (
        "core/src/a.rs",
        "/// Like [`std::sync::Mutex`], with a `static`.\n/// ```\n/// use std::thread;\n/// ```\nfn f() {}",
    ),
    (
        "core/src/a.rs",
        "const A: &str = r#\"portable_atomic::x \" loom::y\"#; const B: char = '\"';",
    ),
    // Tests may.
    (
        "core/src/a.rs",
        "#[cfg(test)]\nextern crate std;\n#[cfg(test)] #[allow(x)] mod tests { use std::thread; static A: u8 = 0; }\nfn f() {}",
    ),
    (
        "std/src/a.rs",
        "#[cfg(all(test, feature = \"tracing\"))] mod tests { use std::thread; }",
    ),
    // The doors themselves.
    (
        "core/src/sync/lock.rs",
        "use core::cell::RefCell; #[cfg(bedplate_loom)] use loom::x;",
    ),
    (
        "std/src/sync.rs",
        "pub(crate) use std::sync::{Condvar, Mutex}; use std::thread;",
    ),
    // What comes through a door, or only sounds like it.
    (
        "core/src/a.rs",
        "use crate::sync::{AtomicBool, Ordering, fence, epoch::Atomic}; fn f(spin: u8, atomic: u8) { spin.max(atomic); }",
    ),
    (
        "core/src/a.rs",
        "fn f() { fence(Ordering::SeqCst); crate::sync::fence(Ordering::SeqCst); }",
    ),
    (
        "core/src/sync/a.rs",
        "fn f() { core::sync::atomic::compiler_fence(Ordering::SeqCst); compiler_fence(SeqCst); }",
    ),
    (
        "core/src/a.rs",
        "fn f(now: Instant) { let later = now.after(now); }",
    ),
    (
        "std/src/a.rs",
        "use std::sync::{Arc, Weak}; use crate::sync::{Mutex, thread}; fn f() { thread::spawn(g); }",
    ),
    (
        "std/src/a.rs",
        "use std::cell::Cell; thread_local! { static A: Cell<u8> = const { Cell::new(0) }; }",
    ),
    (
        "loom-tests/tests/a.rs",
        "#[cfg(bedplate_loom)] use loom::thread;",
    ),
    ("README.md", "```text\nignore\n```"),
    (
        "std/tests/data/a.log",
        concat!("2026 socket /", "tmp/.s.5432 and path a/", "work/b"),
    ),
    ("core/src/lib.rs", "#![no_std]"),
    ("std/src/lib.rs", "#![forbid(unsafe_code)]"),
];

#[test]
fn every_planted_violation_is_found() {
    for Planted {
        path,
        text,
        rule,
        line,
    } in PLANTED
    {
        let findings = check(path, text);
        assert!(
            findings
                .iter()
                .any(|found| found.rule == *rule && found.line == *line && found.path == *path),
            "{rule:?} was not found on line {line} of\n{text}\n\nbut {findings:#?}"
        );
    }
}

#[test]
fn every_rule_has_a_planted_violation() {
    let shown: HashSet<Rule> = PLANTED.iter().map(|planted| planted.rule).collect();
    for rule in Rule::ALL {
        // A file that is too long is made, below; what takes two files is beside its rule.
        let elsewhere = [Rule::ShortFiles, Rule::ListedOrderings];
        assert!(shown.contains(rule) || elsewhere.contains(rule), "{rule:?}");
    }
}

#[test]
fn a_long_file_is_found_unless_its_length_is_in_its_tests() {
    let long = "fn f() {}\n".repeat(601);
    let findings = check("core/src/a.rs", &long);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].rule, Rule::ShortFiles);

    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", &long[10..]);
    assert_eq!(check("core/src/a.rs", &tested).len(), 0);
}

#[test]
fn nothing_is_found_where_nothing_is() {
    for (path, text) in INNOCENT {
        let findings = check(path, text);
        assert!(findings.is_empty(), "in\n{text}\n\nwas found {findings:#?}");
    }
}

#[test]
fn a_finding_says_where_what_and_what_to_do() {
    let finding = &check("std/src/a.rs", "\nuse std::sync::Mutex;")[0];
    assert_eq!(
        finding.to_string(),
        "std/src/a.rs:2: `std::sync::Mutex`\n    StdDoor: std names threads, locks and atomics in \
         std/src/sync.rs only: take it from `crate::sync`, or let it in there"
    );
}

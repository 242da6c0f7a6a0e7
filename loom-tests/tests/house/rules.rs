//! The rules, one function each.

use crate::source::{At, Source, begins_with, paths};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    CoreDoor,
    StdDoor,
    LoomCfg,
    NoStatic,
    NoStd,
    NoClock,
    FenceOnly,
    NoUnsafe,
    ShortFiles,
    CompiledDocs,
    NoLocalPath,
    NoRegistryHost,
    ListedOrderings,
}

impl Rule {
    pub(crate) const ALL: &[Self] = &[
        Self::CoreDoor,
        Self::StdDoor,
        Self::LoomCfg,
        Self::NoStatic,
        Self::NoStd,
        Self::NoClock,
        Self::FenceOnly,
        Self::NoUnsafe,
        Self::ShortFiles,
        Self::CompiledDocs,
        Self::NoLocalPath,
        Self::NoRegistryHost,
        Self::ListedOrderings,
    ];

    /// What to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::CoreDoor => {
                "core names atomics, cells, locks and their crates in core/src/sync/ only: take it \
                 from `crate::sync`, or let it in there"
            }
            Self::StdDoor => {
                "std names threads, locks and atomics in std/src/sync.rs only: take it from \
                 `crate::sync`, or let it in there"
            }
            Self::LoomCfg => {
                "the model checker is switched by `bedplate_loom`, and in the product only behind \
                 core/src/sync/: move the difference there"
            }
            Self::NoStatic => "core has no state of its own: let the caller own it",
            Self::NoStd => "core is `no_std`, always: what needs std belongs into std/",
            Self::NoClock => "core reads no clock: take `now` as an argument",
            Self::FenceOnly => {
                "sequential consistency is a `fence(Ordering::SeqCst)`; loom weakens a SeqCst access"
            }
            Self::NoUnsafe => {
                "std/src/lib.rs has `#![forbid(unsafe_code)]`: unsafe belongs into core"
            }
            Self::ShortFiles => "a file has one job and at most 600 lines without tests: divide it",
            Self::CompiledDocs => "examples are compiled: make it compile, or mark it `text`",
            Self::NoLocalPath => {
                "this path exists on one machine only: say it relative to the tree"
            }
            Self::NoRegistryHost => "where packages come from is for each machine to say",
            Self::ListedOrderings => {
                "docs/ORDERINGS.md has a row for each tag, which stands at both ends in the code, and says \
                 which model was seen to fail, or why none is"
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: Rule,
    what: String,
}

impl Finding {
    pub(crate) fn of_orderings(path: &str, line: usize, what: String) -> Self {
        Self {
            path: path.to_owned(),
            line,
            rule: Rule::ListedOrderings,
            what,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            what,
        } = self;
        write!(f, "{path}:{line}: {what}\n    {rule:?}: {}", rule.remedy())
    }
}

/// What the tokens of a Rust file break.
pub(crate) fn of_source(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let in_core = path.starts_with("core/src/");
    let in_std = path.starts_with("std/src/");
    // A module in a file of its own called `tests.rs` is test code as a whole.
    let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
    let mut findings = Vec::new();
    if in_core && !is_test {
        core_stands_alone(source, &mut findings);
    }
    if in_core && !is_test && !path.starts_with("core/src/sync/") {
        core_has_one_door(source, &mut findings);
    }
    if in_std && !is_test && path != "std/src/sync.rs" {
        std_has_one_door(source, &mut findings);
    }
    if (in_core && !path.starts_with("core/src/sync/")) || in_std {
        product_knows_no_loom(source, &mut findings);
    }
    crate_attributes(source, &mut findings);
    no_plain_loom_cfg(source, &mut findings);
    if !path.starts_with("benches/") {
        fences_only(source, &mut findings);
    }
    if !is_test {
        files_are_short(source, &mut findings);
    }
    for (line, text) in &source.docs {
        if opens_ignored_example(text) {
            findings.push(finding(source, *line, Rule::CompiledDocs, text.trim()));
        }
    }
    findings
}

/// What the text of any file breaks.
pub(crate) fn of_text(path: &str, text: &str) -> Vec<Finding> {
    // Written in parts, because this file is searched, too.
    const LOCAL: &[&str] = &[
        concat!("/", "work/"),
        concat!("/", "root/"),
        concat!("/", "home/"),
        concat!("/", "Users/"),
    ];
    const TEMPORARY: &str = concat!("/", "tmp/");
    const HOSTS: &[&str] = &[
        concat!("crates", ".io"),
        concat!("debian", ".org"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
        concat!("golang", ".org"),
        concat!("jfrog", ".io"),
        concat!("arti", "factory"),
    ];
    const LOCKED_SOURCE: &str = concat!(
        "source = \"registry+https://github.com/rust-lang/crates",
        ".io-index\""
    );
    let written_by_us = [".rs", ".md", ".toml", ".sh", ".ci/run"]
        .iter()
        .any(|end| path.ends_with(end));
    let mut findings = Vec::new();
    let mut push = |line, rule, what: &str| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            rule,
            what: what.to_owned(),
        });
    };
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        // Programs whose logs we keep may speak of temporary files.
        let local = LOCAL
            .iter()
            .chain(written_by_us.then_some(&TEMPORARY))
            .find(|local| names_path(text, local));
        if let Some(local) = local {
            push(line, Rule::NoLocalPath, local);
        }
        let is_lock = path.ends_with("Cargo.lock");
        if is_lock && text.starts_with("source = ") && text != LOCKED_SOURCE {
            push(line, Rule::NoRegistryHost, text);
        }
        if !is_lock && let Some(host) = HOSTS.iter().find(|host| text.contains(**host)) {
            push(line, Rule::NoRegistryHost, host);
        }
        if path.ends_with(".md") && opens_ignored_example(text) {
            push(line, Rule::CompiledDocs, text.trim());
        }
        if path == "core/Cargo.toml" && text.replace(' ', "").starts_with("std=") {
            push(line, Rule::NoStd, text);
        }
    }
    findings
}

fn core_stands_alone(source: &Source, findings: &mut Vec<Finding>) {
    for at in &source.product {
        if at.is_word("static") {
            findings.push(finding(source, at.line, Rule::NoStatic, "a `static`"));
        }
    }
    for (line, path) in paths(&source.product) {
        let mut segments = path.split("::");
        let rule = match segments.next() {
            Some("std" | "thread_local") => Rule::NoStd,
            _ if path.ends_with("Instant::now") || path.contains("SystemTime") => Rule::NoClock,
            _ => continue,
        };
        findings.push(finding(source, line, rule, &format!("`{path}`")));
    }
}

fn core_has_one_door(source: &Source, findings: &mut Vec<Finding>) {
    const CRATES: &[&str] = &[
        "portable_atomic",
        "atomic",
        "crossbeam_epoch",
        "crossbeam_utils",
        "spin",
        "critical_section",
        "loom",
    ];
    for (line, path) in paths(&source.product) {
        let first = path.split("::").next().unwrap_or_default();
        // A lone word may be anything; a crate is named at the beginning of a path, or imported.
        let is_crate = CRATES.contains(&first) && path.contains("::");
        if is_crate || begins_path(&path, "core::sync") || begins_path(&path, "core::cell") {
            findings.push(finding(source, line, Rule::CoreDoor, &format!("`{path}`")));
        }
    }
    for (line, name) in imported_crates(&source.product) {
        if CRATES.contains(&name.as_str()) {
            findings.push(finding(
                source,
                line,
                Rule::CoreDoor,
                &format!("`use {name}`"),
            ));
        }
    }
}

fn std_has_one_door(source: &Source, findings: &mut Vec<Finding>) {
    const CRATES: &[&str] = &[
        "parking_lot",
        "crossbeam_channel",
        "flume",
        "portable_atomic",
    ];
    for (line, path) in paths(&source.product) {
        let first = path.split("::").next().unwrap_or_default();
        // Counting references is neither a lock nor an atomic of ours.
        let shared = ["std::sync::Arc", "std::sync::Weak"]
            .iter()
            .any(|allowed| begins_path(&path, allowed));
        let through_the_wall = CRATES.contains(&first)
            || begins_path(&path, "std::thread")
            || begins_path(&path, "core::sync")
            || (begins_path(&path, "std::sync") && !shared);
        if through_the_wall {
            findings.push(finding(source, line, Rule::StdDoor, &format!("`{path}`")));
        }
    }
}

fn product_knows_no_loom(source: &Source, findings: &mut Vec<Finding>) {
    for at in &source.all {
        if at.is_word("bedplate_loom") || at.is_word("crossbeam_loom") {
            findings.push(finding(source, at.line, Rule::LoomCfg, "a loom cfg"));
        }
    }
}

/// `cfg(loom)` is global to a dependency graph: setting it breaks other people's crates.
fn no_plain_loom_cfg(source: &Source, findings: &mut Vec<Finding>) {
    let tokens = &source.all;
    let mut index = 0;
    while index < tokens.len() {
        let is_cfg = tokens[index].is_word("cfg") || tokens[index].is_word("cfg_attr");
        let open = index + 1 + usize::from(begins_with(&tokens[index + 1..], "!"));
        index += 1;
        if !is_cfg || !begins_with(&tokens[open.min(tokens.len())..], "(") {
            continue;
        }
        let mut depth = 0;
        for at in &tokens[open..] {
            depth += i32::from(at.is_mark('(')) - i32::from(at.is_mark(')'));
            if at.is_word("loom") {
                findings.push(finding(source, at.line, Rule::LoomCfg, "`cfg(loom)`"));
            }
            if depth == 0 {
                break;
            }
        }
    }
}

fn crate_attributes(source: &Source, findings: &mut Vec<Finding>) {
    let (pattern, rule) = match source.path.as_str() {
        "core/src/lib.rs" => ("# ! [ no_std ]", Rule::NoStd),
        "std/src/lib.rs" => ("# ! [ forbid ( unsafe_code ) ]", Rule::NoUnsafe),
        _ => return,
    };
    let has = (0..source.all.len()).any(|at| begins_with(&source.all[at..], pattern));
    if !has {
        let missing = format!("there is no `{}`", pattern.replace(' ', ""));
        findings.push(finding(source, 1, rule, &missing));
    }
}

fn fences_only(source: &Source, findings: &mut Vec<Finding>) {
    let tokens = &source.all;
    let fence_ends_at = |index: usize, pattern: &str| {
        let length = pattern.split(' ').count();
        (index + 2)
            .checked_sub(length)
            .is_some_and(|start| begins_with(&tokens[start..], pattern))
    };
    for (index, at) in tokens.iter().enumerate() {
        let is_fence = ["fence", "compiler_fence"].iter().any(|fence| {
            fence_ends_at(index, &format!("{fence} ( SeqCst )"))
                || fence_ends_at(index, &format!("{fence} ( Ordering : : SeqCst )"))
        });
        if at.is_word("SeqCst") && !is_fence {
            findings.push(finding(
                source,
                at.line,
                Rule::FenceOnly,
                "a SeqCst that is no fence",
            ));
        }
    }
}

fn files_are_short(source: &Source, findings: &mut Vec<Finding>) {
    const MOST: usize = 600;
    if source.product_lines > MOST {
        let what = format!("{} lines without tests", source.product_lines);
        findings.push(finding(source, 1, Rule::ShortFiles, &what));
    }
}

/// Whether a line of Markdown begins a code block that `rustdoc` would not compile.
fn opens_ignored_example(line: &str) -> bool {
    let line = line.trim_start();
    let Some(fence) = ["```", "~~~"]
        .iter()
        .find(|fence| line.starts_with(**fence))
    else {
        return false;
    };
    line.trim_start_matches(&fence[..1])
        .split([',', ' ', '\t'])
        .any(|word| word.starts_with("ignore"))
}

/// Names of crates, or of what else a `use` begins with, where the whole tree is one word: `use
/// loom;`, `use loom as model;`, `extern crate loom;`.
fn imported_crates(tokens: &[At]) -> Vec<(usize, String)> {
    tokens
        .windows(3)
        .filter(|window| {
            (window[0].is_word("use") || window[0].is_word("crate"))
                && (window[2].is_mark(';') || window[2].is_word("as"))
        })
        .filter_map(|window| match &window[1].token {
            crate::source::Token::Word(name) => Some((window[1].line, name.clone())),
            _ => None,
        })
        .collect()
}

/// Whether `path` is `beginning` or lies below it.
fn begins_path(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `text` names an absolute path that begins with `local`.
fn names_path(text: &str, local: &str) -> bool {
    text.match_indices(local).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-*/}$)".contains(before))
    })
}

fn finding(source: &Source, line: usize, rule: Rule, what: &str) -> Finding {
    Finding {
        path: source.path.clone(),
        line,
        rule,
        what: what.to_owned(),
    }
}

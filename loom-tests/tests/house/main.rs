//! The house rules, read from the sources.
//!
//! What a compiler or a lint can enforce is left to it; here is what only a reader of the whole
//! tree can see. Every rule is shown to be able to fail: [`planted`] holds a violation of each.

mod orderings;
mod planted;
mod rules;
mod source;

use rules::Finding;
use source::Source;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("loom-tests lies in the workspace");
    let files = files(root);
    let count = |directory: &str| {
        let inside = |(path, _): &&(String, String)| path.starts_with(directory);
        files.iter().filter(inside).count()
    };
    for directory in ["core/src/", "std/src/", "loom-tests/", "core/firmware/"] {
        assert!(count(directory) > 0, "{directory} was not found");
    }
    let findings: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| check(path, text))
        .chain(orderings::of_tree(&files))
        .map(|finding| finding.to_string())
        .collect();
    assert!(
        findings.is_empty(),
        "house rules are broken:\n\n{}\n",
        findings.join("\n")
    );
}

/// What a file of this path, relative to the workspace, and content breaks.
fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = rules::of_text(path, text);
    if path.ends_with(".rs") {
        match Source::parse(path, text) {
            Ok(source) => findings.extend(rules::of_source(&source)),
            Err(error) => panic!("{path} is not Rust: {error}"),
        }
    }
    findings
}

/// Every text file of the tree, with its path.
fn files(root: &Path) -> Vec<(String, String)> {
    const NOT_OURS: &[&str] = &["target", ".git", "artifacts", "coverage"];
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("the tree can be read") {
            let entry = entry.expect("the tree can be read");
            let path = entry.path();
            let kind = entry.file_type().expect("the tree can be read");
            if NOT_OURS.iter().any(|name| entry.file_name() == **name) {
                continue;
            }
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() {
                // What is not text (a fuzz input, an archive) names nothing to a reader.
                if let Ok(text) = fs::read_to_string(&path) {
                    let relative = path.strip_prefix(root).expect("below the root");
                    let relative = relative.to_string_lossy().replace('\\', "/");
                    files.push((relative, text));
                }
            }
        }
    }
    files.sort();
    files
}

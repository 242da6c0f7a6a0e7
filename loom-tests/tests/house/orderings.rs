//! The table of orderings and the code, held against each other: `docs/ORDERINGS.md` has a row for each tag
//! that stands in a comment, and each of its tags stands at both ends.
//!
//! A tag is a capital letter and a number: in the table the first cell of a row, in comments between
//! brackets, several of them with commas.

use crate::rules::Finding;
use std::collections::{HashMap, HashSet};

const TABLE: &str = "docs/ORDERINGS.md";

/// What the tree breaks, if it has a table.
pub(crate) fn of_tree(files: &[(String, String)]) -> Vec<Finding> {
    let Some((_, table)) = files.iter().find(|(path, _)| path == TABLE) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let rows = rows(table);
    let listed: HashSet<&str> = rows.iter().map(|row| row.tag).collect();
    let mut ends: HashMap<&str, usize> = HashMap::new();
    let mut functions = HashSet::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let product = path.starts_with("core/src/") || path.starts_with("std/src/");
        if !product && !path.starts_with("loom-tests/tests/loom_") {
            continue;
        }
        functions.extend(text.lines().filter_map(function));
        for (line, text) in (1..).zip(text.lines()) {
            let Some(comment) = text.trim_start().strip_prefix("//") else {
                continue;
            };
            for tag in tags(comment) {
                if !listed.contains(tag) {
                    let what = format!("[{tag}] has no row in {TABLE}");
                    findings.push(Finding::of_orderings(path, line, what));
                }
                // What a head tells is not one of the ends.
                if product && !comment.starts_with('!') {
                    *ends.entry(tag).or_default() += 1;
                }
            }
        }
    }
    let mut before = HashSet::new();
    for row in rows {
        let mut find = |what| findings.push(Finding::of_orderings(TABLE, row.line, what));
        if !before.insert(row.tag) {
            find(format!("{} has two rows", row.tag));
        }
        if ends.get(row.tag).is_none_or(|ends| *ends < 2) {
            find(format!("{} does not stand at both ends", row.tag));
        }
        if row.seen.is_empty() {
            find(format!("{}: seen to fail, or not?", row.tag));
        }
        for name in quoted(row.seen).filter(|name| !functions.contains(name)) {
            find(format!("{}: there is no model `{name}`", row.tag));
        }
    }
    findings
}

/// A row of the table.
struct Row<'t> {
    line: usize,
    tag: &'t str,
    /// The last cell.
    seen: &'t str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    (1..)
        .zip(table.lines())
        .filter_map(|(line, text)| {
            let cells = text.strip_prefix('|')?.strip_suffix('|')?;
            let tag = cells.split('|').next()?.trim();
            let seen = cells.rsplit('|').next()?.trim();
            is_tag(tag).then_some(Row { line, tag, seen })
        })
        .collect()
}

fn is_tag(text: &str) -> bool {
    let mut rest = text.chars();
    rest.next().is_some_and(|first| first.is_ascii_uppercase())
        && !rest.as_str().is_empty()
        && rest.all(|next| next.is_ascii_digit())
}

/// The tags in the brackets of a comment; brackets that hold anything else are no tags.
fn tags(comment: &str) -> impl Iterator<Item = &str> {
    comment
        .split('[')
        .skip(1)
        .filter_map(|behind| behind.split_once(']'))
        .filter(|(inside, _)| inside.split(", ").all(is_tag))
        .flat_map(|(inside, _)| inside.split(", "))
}

/// The names between backticks that a test can have: other things there have other letters, or no underscore.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| {
        name.contains('_')
            && name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    cell.split('`').skip(1).step_by(2).filter(is_name)
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

mod planted {
    use super::*;

    const HEAD: &str = "| tag | store side | seen to fail |\n|---|---|---|\n";

    /// What is found where the code, a model and the table are these.
    fn found(code: &str, rows: &str) -> Vec<String> {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let files = [
            file("core/src/a.rs", code),
            file("loom-tests/tests/loom_a.rs", "fn a_model() {}"),
            file(TABLE, &format!("{HEAD}{rows}\n")),
        ];
        of_tree(&files).iter().map(ToString::to_string).collect()
    }

    /// Whether just one thing is found, which begins like that.
    fn is_one(found: &[String], beginning: &str) -> bool {
        found.len() == 1 && found[0].starts_with(beginning)
    }

    const BOTH: &str = "//! | A1 | x |\n// Release: x [A1].\n// Acquire: y [A1].";

    #[test]
    fn a_table_that_agrees_with_the_code_is_in_order() {
        assert_eq!(found(BOTH, "| A1 | x | `a_model` |"), [""; 0]);
        let code = "/// [`AtomicU8`], an [A] of [1] or [A1x]\nconst A: [u8; 1] = [1];";
        assert_eq!(found(code, ""), [""; 0]);
    }

    #[test]
    fn a_tag_without_a_row_is_found() {
        let code = "\n    // Release: x [A1, B2].\n    // Acquire: y [A1].";
        let found = found(code, "| A1 | x | `a_model` |");
        assert!(
            is_one(&found, "core/src/a.rs:2: [B2] has no row"),
            "{found:?}"
        );
    }

    #[test]
    fn a_row_without_both_ends_is_found() {
        let code = "//! At both ends [A1].\n// Release: x [A1].";
        let found = found(code, "| A1 | x | `a_model` |");
        assert!(
            is_one(&found, "docs/ORDERINGS.md:3: A1 does not stand"),
            "{found:?}"
        );
    }

    #[test]
    fn a_row_that_is_not_filled_or_doubled_is_found() {
        let empty = found(BOTH, "| A1 | x | |");
        assert!(
            is_one(&empty, "docs/ORDERINGS.md:3: A1: seen to fail"),
            "{empty:?}"
        );
        let twice = found(BOTH, "| A1 | x | no |\n| A1 | x | no |");
        assert!(
            is_one(&twice, "docs/ORDERINGS.md:4: A1 has two rows"),
            "{twice:?}"
        );
    }

    #[test]
    fn a_model_that_is_not_there_is_found() {
        let found = found(BOTH, "| A1 | x | `a_model`, `other_model` |");
        assert!(
            is_one(&found, "docs/ORDERINGS.md:3: A1: there is no model"),
            "{found:?}"
        );
    }
}
